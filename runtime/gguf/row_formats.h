// gguf/row_formats.h - one table row per format of independent rows (internal to gguf/).
//
// A row is a header, then blocks. The scale lies in the header (kRow) or in each block (kBlock).
#pragma once

#include <algorithm>
#include <iterator>

#include "gguf/ternary_blocks.h"
#include "gguf/ternary_formats.h"

namespace bitnet::gguf {

struct RowFormat {
  Type type;
  ScaleKind scale_kind;
  uint32_t scale_bytes;                            // 2: f16, 4: f32
  uint32_t scale_offset;                           // in the row (kRow) or in the block (kBlock)
  bool (*decode)(const uint8_t* in, int8_t* out);  // one block
  void (*encode)(const int8_t* in, uint8_t* out);  // one block but its scale; null: this format is only read
};

inline constexpr RowFormat kRowFormats[] = {
    {Type::kTQ1_0, ScaleKind::kBlock, 2, 52, decode_tq1_0, encode_tq1_0},
    {Type::kTQ2_0, ScaleKind::kBlock, 2, 64, decode_tq2_0, encode_tq2_0},
    {Type::kQ2_0, ScaleKind::kBlock, 2, 0, decode_q2_0, encode_q2_0},
    {Type::kQ1_0, ScaleKind::kBlock, 2, 0, decode_q1_0, nullptr},
    {Type::kIQ1_BN, ScaleKind::kRow, 2, 0, decode_iq1_bn, encode_iq1_bn},
    {Type::kIQ2_BN, ScaleKind::kRow, 4, 0, decode_iq2_bn, encode_iq2_bn},
};

inline constexpr uint32_t kMaxBlock = 256;  // values, over all row formats

inline const RowFormat* row_format(Type type) {
  const auto found =
      std::find_if(std::begin(kRowFormats), std::end(kRowFormats), [&](const RowFormat& f) { return f.type == type; });
  return found == std::end(kRowFormats) ? nullptr : found;
}

}  // namespace bitnet::gguf
