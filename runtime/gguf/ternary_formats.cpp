// gguf/ternary_formats.cpp - the walks over rows that the table of row formats describes, and those of I2_S and IQ2_BN_R4.
#include "gguf/ternary_formats.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "bitnet/kit/arithmetic.hpp"
#include "gguf/checkpoint_rows.h"
#include "gguf/format_error.h"
#include "gguf/lookup_formats.h"
#include "gguf/row_formats.h"

namespace bitnet::gguf {
namespace {

template <class... Args>
[[noreturn]] void refuse(Fault fault, const TensorInfo& tensor, fmt::format_string<Args...> format, Args&&... args) {
  fail_format(fault, {tensor.name, tensor.offset, tensor.bytes, {}, {}}, "tensor '{}' ({}): {}", printable(tensor.name),
              tensor.type->name, fmt::format(format, std::forward<Args>(args)...));
}

// `trits` are those from value `first` of the tensor on; one of them is 2.
[[noreturn]] void refuse_code(const TensorInfo& tensor, uint64_t first, const int8_t* trits, uint64_t count) {
  const auto at = first + static_cast<uint64_t>(std::find(trits, trits + count, 2) - trits);
  const char* why = tensor.type->type == Type::kQ2_0 ? "the weight is +2 and the matrix not ternary, or the file is damaged"
                                                     : "the file is damaged or of another layout";
  refuse(Fault::kIllegalCode, tensor, "illegal code 3 at index {} (row {}, column {}), expected 0, 1 or 2: {}", at,
         at / tensor.columns(), at % tensor.columns(), why);
}

void check_range(const TensorInfo& tensor, uint64_t row0, uint64_t row1) {
  if (tensor.data == nullptr) refuse(Fault::kTruncatedFile, tensor, "its data lies beyond the end of the file");
  if (row0 > row1 || row1 > tensor.rows()) {
    fail(ErrorKind::kFailure, "tensor '{}': rows {} to {} asked for, it has {}", printable(tensor.name), row0, row1,
         tensor.rows());
  }
}

float load_scale(const TensorInfo& tensor, const uint8_t* at, uint32_t bytes, uint64_t row) {
  float scale = 0;
  if (bytes == 4) {
    std::memcpy(&scale, at, 4);
  } else {
    uint16_t half = 0;
    std::memcpy(&half, at, 2);
    scale = bn::kit::f16_to_f32(half);
  }
  if (!std::isfinite(scale)) refuse(Fault::kUnusableNumber, tensor, "the scale of row {} is {}", row, scale);
  return scale;
}

uint64_t row_bytes(const TensorInfo& tensor) {
  return tensor.type->row_header + tensor.columns() / tensor.type->block_elements * tensor.type->block_bytes;
}

void decode_row_format(const RowFormat& format, const TensorInfo& tensor, uint64_t row0, uint64_t row1, int8_t* trits) {
  const uint32_t block = tensor.type->block_elements;
  for (uint64_t row = row0; row < row1; ++row) {
    const uint8_t* in = tensor.data + row * row_bytes(tensor);
    const float row_scale = format.scale_kind == ScaleKind::kRow ? load_scale(tensor, in, format.scale_bytes, row) : 1.0f;
    in += tensor.type->row_header;
    for (uint64_t column = 0; column < tensor.columns(); column += block, in += tensor.type->block_bytes, trits += block) {
      const bool in_block = format.scale_kind == ScaleKind::kBlock;
      const float scale = in_block ? load_scale(tensor, in + format.scale_offset, format.scale_bytes, row) : row_scale;
      if (!format.decode(in, trits)) refuse_code(tensor, row * tensor.columns() + column, trits, block);
      if (scale == 0) std::memset(trits, 0, block);
    }
  }
}

// The scale that all blocks of a row share, blocks of scale 0 and blocks of zeros aside; 0 when nothing else is left.
float common_block_scale(const RowFormat& format, const TensorInfo& tensor, uint64_t row) {
  const uint32_t block = tensor.type->block_elements;
  const uint8_t* in = tensor.data + row * row_bytes(tensor);
  float common = 0;
  for (uint64_t column = 0; column < tensor.columns(); column += block, in += tensor.type->block_bytes) {
    const float scale = load_scale(tensor, in + format.scale_offset, format.scale_bytes, row);
    if (scale == common || scale == 0) continue;
    int8_t trits[kMaxBlock];
    if (!format.decode(in, trits)) refuse_code(tensor, row * tensor.columns() + column, trits, block);
    if (std::all_of(trits, trits + block, [](int8_t t) { return t == 0; })) continue;
    if (common != 0) {
      refuse(Fault::kUnsupportedQuantization, tensor,
             "the block scales of row {} differ ({} before, {} at column {}): not a matrix with one scale per row", row, common,
             scale, column);
    }
    common = scale;
  }
  return common;
}

// IQ2_BN_R4: groups of four rows, each 4 f32 scales and then 64 bytes for every 64 columns.
const uint8_t* r4_group(const TensorInfo& tensor, uint64_t row) { return tensor.data + row / 4 * (16 + tensor.columns()); }

float r4_scale(const TensorInfo& tensor, uint64_t row) {
  return load_scale(tensor, r4_group(tensor, row) + row % 4 * 4, 4, row);
}

void decode_r4(const TensorInfo& tensor, uint64_t row0, uint64_t row1, int8_t* trits) {
  for (uint64_t row = row0; row < row1; ++row, trits += tensor.columns()) {
    const uint8_t* codes = r4_group(tensor, row) + 16 + row % 4 * 4;
    uint8_t illegal = 0;
    for (uint64_t column = 0; column < tensor.columns(); column += 16) {
      const uint8_t* four = codes + column;  // 16 columns of the four rows take 16 bytes, four of them this row's
      for (int i = 0; i < 4; ++i) {
        illegal |= code_three(four[i]);
        for (int m = 0; m < 4; ++m) trits[column + static_cast<uint64_t>(4 * m + i)] = trit(four[i], 2 * m);
      }
    }
    if (illegal != 0) refuse_code(tensor, row * tensor.columns(), trits, tensor.columns());
    if (r4_scale(tensor, row) == 0) std::memset(trits, 0, tensor.columns());
  }
}

// I2_S: blocks of 128 run over the row-major vector of all values, so a row may begin inside a block.
void decode_i2s_flat(bool (*decode)(const uint8_t*, int8_t*), const TensorInfo& tensor, uint64_t row0, uint64_t row1,
                     int8_t* trits) {
  constexpr uint64_t kBlock = 128;
  const uint64_t first = row0 * tensor.columns();
  const uint64_t last = row1 * tensor.columns();
  for (uint64_t start = first / kBlock * kBlock; start < last; start += kBlock) {
    const uint8_t* in = tensor.data + start / 4;
    const uint64_t from = std::max(start, first);
    const uint64_t to = std::min(start + kBlock, last);
    if (to - from == kBlock) {
      if (!decode(in, trits)) refuse_code(tensor, start, trits, kBlock);
    } else {
      int8_t whole[kBlock];
      if (!decode(in, whole)) refuse_code(tensor, start, whole, kBlock);
      std::memcpy(trits, whole + (from - start), to - from);
    }
    trits += to - from;
  }
}

void decode_i2s_four_row(const TensorInfo& tensor, uint64_t row0, uint64_t row1, int8_t* trits) {
  if (tensor.rows() % 4 != 0)
    refuse(Fault::kUnsupportedQuantization, tensor, "{} rows are no multiple of 4, which layout x86-4row needs", tensor.rows());
  const uint64_t columns = tensor.columns();
  for (uint64_t row = row0; row < row1; ++row, trits += columns) {
    const uint8_t* in = tensor.data + row / 4 * columns;
    const int shift = 6 - 2 * static_cast<int>(row % 4);
    bool illegal = false;
    for (uint64_t column = 0; column < columns; ++column) {
      trits[column] = trit(in[column], shift);
      illegal |= trits[column] == 2;
    }
    if (illegal) refuse_code(tensor, row * columns, trits, columns);
  }
}

void decode_i2s(const TensorInfo& tensor, uint64_t row0, uint64_t row1, int8_t* trits, I2sLayout layout) {
  switch (layout) {
    case I2sLayout::kX86:
      return decode_i2s_flat(decode_i2s_x86, tensor, row0, row1, trits);
    case I2sLayout::kArm64:
      return decode_i2s_flat(decode_i2s_arm64, tensor, row0, row1, trits);
    case I2sLayout::kSequential:
      return decode_i2s_flat(decode_i2s_sequential, tensor, row0, row1, trits);
    case I2sLayout::kX86FourRow:
      return decode_i2s_four_row(tensor, row0, row1, trits);
  }
}

[[noreturn]] void refuse_type(const TensorInfo& tensor) {
  refuse(Fault::kUnsupportedQuantization, tensor, "not a ternary type");
}

bool is_lookup(const TypeInfo& type) { return type.type == Type::kTL1 || type.type == Type::kTL2; }

}  // namespace

std::optional<I2sLayout> parse_i2s_layout(std::string_view name) {
  for (const I2sLayout layout : kI2sLayouts) {
    if (name == i2s_layout_name(layout)) return layout;
  }
  return std::nullopt;
}

const char* i2s_layout_name(I2sLayout layout) {
  switch (layout) {
    case I2sLayout::kX86:
      return "x86";
    case I2sLayout::kArm64:
      return "arm64";
    case I2sLayout::kX86FourRow:
      return "x86-4row";
    case I2sLayout::kSequential:
      return "seq";
  }
  return "?";
}

std::optional<ScaleKind> ternary_scale_kind(const TypeInfo& type) {
  if (type.type == Type::kI2_S || is_lookup(type)) return ScaleKind::kTensor;
  if (type.type == Type::kIQ2_BN_R4) return ScaleKind::kRow;
  if (checkpoint_type(type.type) != nullptr) return ScaleKind::kTensor;
  if (const RowFormat* format = row_format(type.type)) return format->scale_kind;
  return std::nullopt;
}

void decode_rows(const TensorInfo& tensor, uint64_t row0, uint64_t row1, int8_t* trits, const TernaryOptions& options) {
  check_range(tensor, row0, row1);
  switch (tensor.type->type) {
    case Type::kI2_S:
      return decode_i2s(tensor, row0, row1, trits, options.i2s_layout);
    case Type::kIQ2_BN_R4:
      return decode_r4(tensor, row0, row1, trits);
    case Type::kTL1:
      return decode_tl1(tensor, find_tile(*tensor.type, tensor.name, tensor.extents, options.tiles), row0, row1, trits);
    case Type::kTL2:
      return decode_tl2(tensor, find_tile(*tensor.type, tensor.name, tensor.extents, options.tiles), row0, row1, trits);
    default:
      break;
  }
  if (checkpoint_type(tensor.type->type) != nullptr) return decode_checkpoint_rows(tensor, row0, row1, trits);
  const RowFormat* format = row_format(tensor.type->type);
  if (format == nullptr) refuse_type(tensor);
  decode_row_format(*format, tensor, row0, row1, trits);
}

void row_scales(const TensorInfo& tensor, uint64_t row0, uint64_t row1, float* scales, const TernaryOptions& options) {
  check_range(tensor, row0, row1);
  if (tensor.type->type == Type::kI2_S) {
    const uint8_t* at = tensor.data + (tensor.bytes - tensor.type->tail);
    return std::fill(scales, scales + (row1 - row0), load_scale(tensor, at, 4, 0));
  }
  if (checkpoint_type(tensor.type->type) != nullptr) return std::fill(scales, scales + (row1 - row0), tensor.scale);
  if (is_lookup(*tensor.type)) {
    const Tile tile = find_tile(*tensor.type, tensor.name, tensor.extents, options.tiles);
    return std::fill(scales, scales + (row1 - row0), lookup_scale(tensor, tile, options.unit_scale_is_right));
  }
  const RowFormat* format = row_format(tensor.type->type);
  if (format == nullptr && tensor.type->type != Type::kIQ2_BN_R4) refuse_type(tensor);
  for (uint64_t row = row0; row < row1; ++row) {
    float& scale = scales[row - row0];
    if (format == nullptr) {
      scale = r4_scale(tensor, row);
    } else if (format->scale_kind == ScaleKind::kBlock) {
      scale = common_block_scale(*format, tensor, row);
    } else {
      scale = load_scale(tensor, tensor.data + row * row_bytes(tensor), format->scale_bytes, row);
    }
  }
}

}  // namespace bitnet::gguf
