// gguf/checkpoint_rows.h - ternary matrices as Hugging Face checkpoints store them, row by row as a GGUF file would have them.
//
// Packed  bytes [ceil(M/4)][K]; with R = ceil(M/4), code T+1 of row i*R+r, column c, is in bits 2i+1..2i of byte (r, c).
// Master  numbers [M][K] in f32, f16 or bf16; T = clamp(round_half_even(w * (1/s)), -1, 1) with the matrix's scale s, in f32.
// Order   TensorInfo::rotated_pairs = head_dim: row h*d + 2i + b of the matrix is stored row h*d + b*(d/2) + i, the order in
//         which GGUF files of the llama family keep attn_q and attn_k. 0: as stored.
// Scale   TensorInfo::scale; the data holds none.
// Errors  Error{kInvalidModel} naming tensor, row and column: code 3, a number that is not finite.
// Threads all functions are pure.
#pragma once

#include <cstdint>

#include "gguf/reader.h"

namespace bitnet::gguf {

// The row of the type table, for Type::kPackedRows and Type::kMaster*; null for every other type.
const TypeInfo* checkpoint_type(Type type);

// Trits of rows [row0, row1) of a tensor of such a type: trits[(row - row0) * columns + column].
void decode_checkpoint_rows(const TensorInfo& tensor, uint64_t row0, uint64_t row1, int8_t* trits);

// Where such files keep row `row` of a matrix whose heads have d rows: the order above.
inline uint64_t halves_row(uint64_t row, uint64_t d) {
  const uint64_t at = row % d;
  return row - at + at % 2 * (d / 2) + at / 2;
}

// The scale of a master matrix: m where all its values are -m, 0 or m, else max(1e-5, mean|w|), the sum taken in f64 in row
// order.
float master_scale(const TensorInfo& tensor);

}  // namespace bitnet::gguf
