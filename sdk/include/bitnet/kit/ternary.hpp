// bitnet/kit/ternary.hpp - the two 2-bit layouts every plugin should know, and conversion between codes and layouts.
#pragma once

#include <cstdint>
#include <cstring>

#include "bitnet/formats.h"

namespace bn::kit {

enum class Layout { kUnknown, kT2, kI2s128 };

static inline Layout layout_of(const bn_format* format) {
  static const uint8_t t2[16] = BN_FINGERPRINT_T2;
  static const uint8_t i2s128[16] = BN_FINGERPRINT_I2S128;
  if (format == nullptr) return Layout::kUnknown;
  if (std::memcmp(format->fingerprint, t2, 16) == 0) return Layout::kT2;
  if (std::memcmp(format->fingerprint, i2s128, 16) == 0) return Layout::kI2s128;
  return Layout::kUnknown;
}

// Bytes of one row; rows follow each other without gap.
static inline uint64_t row_bytes(Layout layout, uint32_t cols) {
  return layout == Layout::kI2s128 ? static_cast<uint64_t>(cols) / 128 * 32 : (static_cast<uint64_t>(cols) + 3) / 4;
}

// One row of stored bytes to trits w in {-1, 0, 1}. The code 3 is refused when a model is loaded; here it would be 2.
static inline void read_row(Layout layout, const uint8_t* row, uint32_t cols, int8_t* trits) {
  if (layout == Layout::kI2s128) {
    for (uint32_t c = 0; c < cols; c += 128, row += 32, trits += 128) {
      uint8_t group[32];  // apart from the trits, and no index that could wrap around: compilers vectorise this
      std::memcpy(group, row, 32);
      for (int p = 0; p < 32; ++p) trits[p] = static_cast<int8_t>((group[p] >> 6) - 1);
      for (int p = 0; p < 32; ++p) trits[32 + p] = static_cast<int8_t>((group[p] >> 4 & 3) - 1);
      for (int p = 0; p < 32; ++p) trits[64 + p] = static_cast<int8_t>((group[p] >> 2 & 3) - 1);
      for (int p = 0; p < 32; ++p) trits[96 + p] = static_cast<int8_t>((group[p] & 3) - 1);
    }
  } else {
    for (uint32_t c = 0; c < cols; ++c) trits[c] = static_cast<int8_t>((row[c / 4] >> (2 * (c % 4)) & 3) - 1);
  }
}

// Trits of one row to bn.t2; unused bits of the last byte hold code 1 (weight 0).
static inline void write_row_t2(const int8_t* trits, uint32_t cols, uint8_t* row) {
  for (uint32_t c = 0; c < cols; c += 4) {
    unsigned byte = 0;
    for (uint32_t j = 0; j < 4; ++j) byte |= static_cast<unsigned>(c + j < cols ? trits[c + j] + 1 : 1) << (2 * j);
    row[c / 4] = static_cast<uint8_t>(byte);
  }
}

// Trits of one row to the group-of-128 layout; cols is rounded up to whole groups with weight 0.
static inline void write_row_i2s128(const int8_t* trits, uint32_t cols, uint8_t* row) {
  for (uint32_t c = 0; c < cols; c += 128) {
    for (uint32_t p = 0; p < 32; ++p) {
      unsigned byte = 0;
      for (uint32_t g = 0; g < 4; ++g) {
        const uint32_t i = c + 32 * g + p;
        byte |= static_cast<unsigned>(i < cols ? trits[i] + 1 : 1) << (6 - 2 * g);
      }
      row[c / 4 + p] = static_cast<uint8_t>(byte);
    }
  }
}

// The scale of row r.
static inline float row_scale(const bn_tensor& w, uint32_t r) { return w.n_scales == 1 ? w.scales[0] : w.scales[r]; }

// Element (r, c) of the canonical matrix whose packed bytes make a fingerprint, as a trit. 256 rows, 1024 columns.
static inline int8_t canonical_trit(uint32_t r, uint32_t c) {
  return static_cast<int8_t>(static_cast<int>(((r * 1024u + c) * 2654435761u >> 16) % 3u) - 1);
}

}  // namespace bn::kit
