// engine/rows.h - what can be said of rows of logits: whether they are usable, the best of them, their normaliser.
//
// Threads pure.
#pragma once

#include <cstdint>
#include <span>

#include "engine/engine.h"

namespace bitnet::engine {

// Why no text can be made from a row of logits; null: it can.
const char* why_unusable(const float* row, uint32_t n_vocab);
// Throws UnusableLogits when there is a reason.
void check_row(const float* row, uint32_t n_vocab);

// Throws UnusableLogits for rows of hidden states, [rows][n_embd], that are not finite or all zero.
void check_hidden(std::span<const float> rows, uint32_t n_embd);

// Fills top_id, top_logit and z of an output, where wanted, from its logits [n_rows][n_vocab]. The best logits of an unusable
// row are NaN.
void summarize_rows(const Output& output, const float* logits, uint32_t n_rows, uint32_t n_vocab);

}  // namespace bitnet::engine
