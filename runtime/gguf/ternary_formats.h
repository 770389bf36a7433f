// gguf/ternary_formats.h - decodes the ternary layouts found in GGUF files into trits and scales.
//
// Meaning weight(row, column) = scale(row) * trit, trit in {-1, 0, +1}. Files store scales per tensor (I2_S, TL1, TL2), per row
//         (IQ*_BN) or per block (TQ1_0, TQ2_0, Q2_0, Q1_0); here they always come per row. Block scales must be the same along
//         a row, blocks without a non-zero weight aside. Where a stored row or block scale is 0 the trits are 0.
// Source  I2_S, TL1, TL2: bitnet.cpp; TQ1_0, TQ2_0, Q2_0, Q1_0: ggml; IQ1_BN, IQ2_BN, IQ2_BN_R4: ik_llama.cpp.
// Errors  Error{kInvalidModel} naming tensor, row and column: code 3 (never read as +2), a scale that is not finite, scales
// that
//         differ along a row, a tensor beyond the end of a cut file, a type that is not decoded here; TL1 and TL2: a shape
//         without tile parameters, a scale of 0 or below, or of exactly 1.
// Threads all functions are pure; any row range may be decoded at any time.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "gguf/reader.h"
#include "gguf/tiles.h"

namespace bitnet::gguf {

// Four programs write I2_S in four orders without a mark. Every published file is kX86; the others are read only when the user
// names them.
enum class I2sLayout : uint8_t {
  kX86,         // "x86": groups of 128 values in 32 bytes
  kArm64,       // "arm64": groups of 64 values in 16 bytes
  kX86FourRow,  // "x86-4row": four rows interleaved
  kSequential,  // "seq": four neighbours in a byte, low bits first
};
inline constexpr I2sLayout kI2sLayouts[] = {I2sLayout::kX86, I2sLayout::kArm64, I2sLayout::kX86FourRow, I2sLayout::kSequential};
std::optional<I2sLayout> parse_i2s_layout(std::string_view name);
const char* i2s_layout_name(I2sLayout layout);

enum class ScaleKind : uint8_t { kTensor, kRow, kBlock };

// What a file does not say about itself.
struct TernaryOptions {
  I2sLayout i2s_layout = I2sLayout::kX86;
  const TileTable* tiles = nullptr;  // of TL1 and TL2, before the built-in ones; must live as long as the options
  bool unit_scale_is_right = false;  // TL1 and TL2: a tensor .scale beside it holds the real one
};

// How the type stores its scales; empty for a type that decode_rows does not read.
std::optional<ScaleKind> ternary_scale_kind(const TypeInfo& type);

// Trits of rows [row0, row1): trits[(row - row0) * columns + column].
void decode_rows(const TensorInfo& tensor, uint64_t row0, uint64_t row1, int8_t* trits, const TernaryOptions& options = {});

// Scales of rows [row0, row1): scales[row - row0]. A tensor scale is repeated. A row without a non-zero weight may get 0.
void row_scales(const TensorInfo& tensor, uint64_t row0, uint64_t row1, float* scales, const TernaryOptions& options = {});

}  // namespace bitnet::gguf
