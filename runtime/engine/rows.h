// engine/rows.h - what can be said of rows of logits: the best of them and their normaliser.
//
// Threads pure.
#pragma once

#include <cstdint>

#include "engine/engine.h"

namespace bitnet::engine {

// Throws UnusableLogits when a row [n_vocab] is not finite or all equal.
void check_row(const float* row, uint32_t n_vocab);

// Fills top_id, top_logit and z of an output, where wanted, from its logits [n_rows][n_vocab].
void summarize_rows(const Output& output, const float* logits, uint32_t n_rows, uint32_t n_vocab);

}  // namespace bitnet::engine
