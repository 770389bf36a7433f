// engine/rows.h - what can be said of rows of logits: the best of them, their normaliser, the token drawn from them.
//
// Threads pure.
#pragma once

#include <cstdint>
#include <span>

#include "engine/engine.h"

namespace bitnet::engine {

// Fills top_id, top_logit and z of an output, where wanted, from its logits [n_rows][n_vocab].
void summarize_rows(const Output& output, const float* logits, uint32_t n_rows, uint32_t n_vocab);

// The token behind `position` tokens, as every engine must draw it.
int32_t sample_row(std::span<const float> logits, uint64_t position, const bn_sampler& sampler);

}  // namespace bitnet::engine
