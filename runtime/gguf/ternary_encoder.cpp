// gguf/ternary_encoder.cpp - parts and pieces of each format, and the walks that fill them.
#include "gguf/ternary_encoder.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "bitnet/kit/arithmetic.hpp"
#include "gguf/lookup_formats.h"
#include "gguf/row_formats.h"

namespace bitnet::gguf {
namespace {

constexpr uint64_t kI2sBlock = 128;

void put_scale(uint8_t* at, float scale, uint32_t bytes) {
  if (bytes == 4) {
    std::memcpy(at, &scale, 4);
  } else {
    const uint16_t half = bn::kit::f32_to_f16(scale);
    std::memcpy(at, &half, 2);
  }
}

bool all_zero(const int8_t* trits, uint32_t n) {
  return std::all_of(trits, trits + n, [](int8_t t) { return t == 0; });
}

}  // namespace

bool is_f16(float scale) { return bn::kit::f16_to_f32(bn::kit::f32_to_f16(scale)) == scale; }

bool TernaryEncoder::writes(const TypeInfo& type) {
  const RowFormat* format = row_format(type.type);
  return type.type == Type::kI2_S || type.type == Type::kIQ2_BN_R4 || type.type == Type::kTL1 || type.type == Type::kTL2 ||
         (format != nullptr && format->encode != nullptr);
}

TernaryEncoder::TernaryEncoder(const TypeInfo& type, const std::string& name, const Extents& extents,
                               const TernaryOptions& options)
    : type_(type), columns_(extents[0]) {
  std::string why = "this type is not written here";
  const std::optional<uint64_t> bytes = writes(type) ? tensor_bytes(type, extents, &why) : std::nullopt;
  if (!bytes) fail(ErrorKind::kInvalidModel, "tensor '{}' cannot be {}: {}", printable(name), type.name, why);
  bytes_ = *bytes;
  tail_bytes_ = type.tail;
  const uint64_t rows = *element_count(extents) / columns_;
  if (type.type == Type::kTL2) {
    tile_ = find_tile(type, name, extents, options.tiles);
    granule_ = tile_.rows;
    const Tl2Parts p = tl2_parts(extents, tile_);
    const uint64_t strips = rows / granule_;
    parts_ = {{0, p.signs / strips}, {p.signs, (p.pairs - p.signs) / strips}, {p.pairs, (p.end - p.pairs) / strips}};
    tail_bytes_ = bytes_ - p.end;
    return;
  }
  if (type.type == Type::kTL1) {
    tile_ = find_tile(type, name, extents, options.tiles);
    granule_ = tile_.rows;
  } else if (type.type == Type::kI2_S) {
    granule_ = kI2sBlock / std::gcd(kI2sBlock, columns_);  // rows that make whole blocks together
  } else {
    granule_ = type.row_group;
  }
  parts_ = {{0, (bytes_ - tail_bytes_) * granule_ / rows}};
}

void TernaryEncoder::encode_row(const int8_t* trits, float scale, uint8_t* out) const {
  const RowFormat& format = *row_format(type_.type);
  if (format.scale_kind == ScaleKind::kRow) put_scale(out + format.scale_offset, scale, format.scale_bytes);
  out += type_.row_header;
  const uint32_t block = type_.block_elements;
  for (uint64_t c = 0; c < columns_; c += block, trits += block, out += type_.block_bytes) {
    format.encode(trits, out);
    if (format.scale_kind == ScaleKind::kBlock) {
      put_scale(out + format.scale_offset, all_zero(trits, block) ? 0.0f : scale, format.scale_bytes);
    }
  }
}

// Four rows: their scales, then 16 bytes for every 16 columns, four of them a row's.
void TernaryEncoder::encode_r4(const int8_t* trits, const float* scales, uint8_t* out) const {
  std::memcpy(out, scales, 16);
  out += 16;
  for (int row = 0; row < 4; ++row, trits += columns_) {
    for (uint64_t c = 0; c < columns_; c += 16) {
      const int8_t* t = trits + c;
      for (int i = 0; i < 4; ++i) out[c + static_cast<uint64_t>(4 * row + i)] = four_codes(t[i], t[i + 4], t[i + 8], t[i + 12]);
    }
  }
}

void TernaryEncoder::encode(const int8_t* trits, const float* scales, uint64_t rows, uint8_t* const* pieces) const {
  if (type_.type == Type::kI2_S) {
    for (uint64_t i = 0; i < rows * columns_; i += kI2sBlock) encode_i2s_x86(trits + i, pieces[0] + i / 4);
    return;
  }
  for (uint64_t row = 0; row < rows; row += granule_, trits += granule_ * columns_) {
    uint8_t* out = pieces[0] + piece_offset(0, row);
    if (type_.type == Type::kTL1) {
      encode_tl1(tile_, columns_, trits, out);
    } else if (type_.type == Type::kTL2) {
      encode_tl2(tile_, columns_, trits, out, pieces[1] + piece_offset(1, row), pieces[2] + piece_offset(2, row));
    } else if (type_.type == Type::kIQ2_BN_R4) {
      encode_r4(trits, scales + row, out);
    } else {
      encode_row(trits, scales[row], out);
    }
  }
}

std::vector<uint8_t> TernaryEncoder::tail(float scale) const {
  std::vector<uint8_t> bytes(tail_bytes_, 0);
  if (tail_bytes_ != 0) std::memcpy(bytes.data() + (tail_bytes_ - type_.tail), &scale, sizeof scale);
  return bytes;
}

}  // namespace bitnet::gguf
