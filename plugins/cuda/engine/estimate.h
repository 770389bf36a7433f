// engine/estimate.h - what a decoded token costs on a card, calculated: its bytes over the card's bandwidth, and its kernels.
//
// The constants are those of the README's stages; a GPU has not confirmed them. Nothing a result depends on uses them.
#pragma once

#include "../gpu/gpu.h"
#include "bitnet/engine.h"
#include "options.h"

namespace bn_cuda {

// What one token reads, bytes.
struct StepReads {
  uint64_t matrices;     // of all layers, T2
  uint64_t head;         // the table as it is; 0: no head
  uint64_t head_copy;    // the compact copy instead; 0: none can be made
  uint64_t keys_values;  // at a context of 128, or a full shorter one
};
// desc and plan: checked.
StepReads reads_of_step(const bn_model_desc& desc, const bn_plan& plan);

// Whether the head is screened: when the bytes that the copy saves take longer than the kernels it needs more. A step whose
// bytes all stay in the L2 has its head for nothing there. A card of unknown bandwidth counts as slow.
bool screening_pays(const StepReads& reads, const DeviceFacts& facts);

// Tokens a second of one sequence; 0: the card's bandwidth is unknown.
float decode_speed(const StepReads& reads, uint32_t n_layers, const DeviceFacts& facts, const Options& options);

}  // namespace bn_cuda
