// device/t2.cpp - puts rows of the host's two ternary layouts into T2 tiles, 16 weights at a time.
#include "t2.h"

#include <cstring>

namespace bn_cuda {
namespace {

constexpr uint32_t kZeros = 0x55555555u;  // 16 weights 0; also the low bit of every weight

// Where the 16 weights of row r that begin at column 16*i lie.
uint8_t* word_at(uint8_t* packed, uint32_t r, uint32_t cols, uint32_t i) {
  const uint64_t tile = uint64_t{r / kTileRows} * t2_col_tiles(cols) + i / 8;
  const uint32_t h = i / 4 % 2, t = i % 4, b = r / 8 % 2, g = r % 8;
  return packed + tile * kTileBytes + (4 * g + t) * 16 + (2 * h + b) * 4;
}

// 4 x 4 fields of two bits: field j of byte m changes places with field m of byte j.
uint32_t transposed(uint32_t v) {
  uint32_t x = (v ^ v >> 6) & 0x00CC00CCu;
  v ^= x ^ x << 6;
  x = (v ^ v >> 12) & 0x0000F0F0u;
  return v ^ x ^ x << 12;
}

bool has_code_3(uint32_t v) { return (v & v >> 1 & kZeros) != 0; }
// w+1 as number of set bits: 0, 1, 2 become 00, 01, 11.
uint32_t counts(uint32_t v) { return v | (v >> 1 & kZeros); }

}  // namespace

bool t2_put_row(uint8_t* packed, uint32_t r, uint32_t cols, const uint8_t* bn_t2_row) {
  uint32_t wrong = 0;
  for (uint32_t i = 0; 16 * i < cols; ++i) {
    uint32_t v = kZeros;
    const uint32_t n = cols - 16 * i < 16 ? cols - 16 * i : 16;  // weights
    std::memcpy(&v, bn_t2_row + 4 * i, n == 16 ? 4 : (n + 3) / 4);
    if (n < 16) v = (v & ((1u << 2 * n) - 1)) | kZeros << 2 * n;
    wrong |= has_code_3(v);
    v = counts(transposed(v));
    std::memcpy(word_at(packed, r, cols, i), &v, 4);
  }
  return wrong == 0;
}

bool t2_put_row_i2s128(uint8_t* packed, uint32_t r, uint32_t cols, const uint8_t* row) {
  uint32_t wrong = 0;
  for (uint32_t i = 0; 16 * i < cols; ++i) {
    const uint32_t in_group = 16 * i % 128;
    const uint8_t* p = row + 16 * i / 128 * 32 + in_group % 32;
    const uint32_t shift = 6 - 2 * (in_group / 32);
    uint32_t v = 0;
    for (uint32_t m = 0; m < 4; ++m) {
      uint32_t four;  // one code a byte, after the mask
      std::memcpy(&four, p + 4 * m, 4);
      v |= (four >> shift & 0x03030303u) << 2 * m;
    }
    wrong |= has_code_3(v);
    v = counts(v);
    std::memcpy(word_at(packed, r, cols, i), &v, 4);
  }
  return wrong == 0;
}

int8_t t2_weight(const uint8_t* packed, uint32_t cols, uint32_t r, uint32_t k) {
  const uint32_t b = r / 8 % 2, g = r % 8, h = k / 64 % 2, t = k / 16 % 4, m = k / 4 % 4, j = k % 4;
  const uint64_t tile = uint64_t{r / kTileRows} * t2_col_tiles(cols) + k / kTileCols;
  const uint8_t byte = packed[tile * kTileBytes + (4 * g + t) * 16 + (2 * h + b) * 4 + j];
  const int bits = byte >> (2 * m) & 3;
  return static_cast<int8_t>(bits == 3 ? 1 : bits - 1);
}

}  // namespace bn_cuda
