// device/step.h - what the kernels of one step share: where in the sequence they are.
#pragma once

#include <cstdint>

namespace bn_cuda {

// Why the steps of a chain stopped.
enum StepEnd : uint32_t {
  kGoingOn = 0,
  kStopToken = 1,  // the last token drawn is a stop token
  kNoRoom = 2,     // the context is full
  kAllDrawn = 3,   // no more draws are wanted
  kNeedsFull = 4,  // screening found too many rows: this step must draw from all logits; nothing was drawn
  kNotFinite = 5,  // a logit is not finite; nothing was drawn
};

// In device memory, one per session. Because kernels read it there, one captured graph serves every step.
struct StepState {
  int32_t position;     // of the first token of this step; keys and values of [0, position) are in the cache
  uint32_t stopped;     // StepEnd; where it is not kGoingOn, later steps of the chain change nothing
  uint32_t n_drawn;     // tokens drawn since the host reset it
  uint32_t steps_left;  // draws that are still wanted
};

}  // namespace bn_cuda
