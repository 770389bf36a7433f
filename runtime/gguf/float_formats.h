// gguf/float_formats.h - rows of embeddings, output heads and norms as f32.
//
// Source  the formulas are those of the SDK's kit (bitnet/kit/dense_rows.hpp), which plugins use as well: every product and
// every
//         difference is rounded to f32 on its own.
// Errors  Error{kInvalidModel}: a type that is not read here, a tensor beyond the end of a cut file.
// Threads all functions are pure.
#pragma once

#include <cstdint>
#include <optional>

#include "gguf/reader.h"

namespace bitnet::gguf {

// The SDK's number (BN_DT_*) of a type that dequantize_rows reads: F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K, Q6_K. Else empty.
std::optional<uint32_t> dense_dtype(const TypeInfo& type);

// Values of rows [row0, row1): out[(row - row0) * columns + column].
void dequantize_rows(const TensorInfo& tensor, uint64_t row0, uint64_t row1, float* out);

}  // namespace bitnet::gguf
