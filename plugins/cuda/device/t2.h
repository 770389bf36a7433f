// device/t2.h - T2, the weight format of this plugin: tiles of 16 rows x 128 columns, 512 bytes, ready for every path.
//
// Codes: -1 is 00, 0 is 01, +1 is 11 (the number of set bits is w+1); 10 never occurs. With R = r/16, b = r/8%2, g = r%8,
// kb = k/128, h = k/64%2, t = k/16%4, m = k/4%4, j = k%4 and KT = ceil(K/128), weight (r, k) is in bits 2m, 2m+1 of byte
//   (R*KT + kb)*512 + (4*g + t)*16 + (2*h + b)*4 + j.
// Lane 4g+t of a warp so reads 16 bytes: word 2h+b holds 16 successive weights of row 16R+8b+g. Padding has code 01.
// Fused matrices: QKV is rows of Q, K, V after each other, padded at the end alone. Gate and up alternate by 8: tile R has gate
// rows 8R..8R+7, then up rows 8R..8R+7.
#pragma once

#include <cstdint>

namespace bn_cuda {

constexpr uint32_t kTileRows = 16, kTileCols = 128, kTileBytes = 512;

inline uint32_t t2_col_tiles(uint32_t cols) { return (cols + kTileCols - 1) / kTileCols; }
inline uint64_t t2_bytes(uint32_t rows, uint32_t cols) {
  return uint64_t{(rows + kTileRows - 1) / kTileRows} * t2_col_tiles(cols) * kTileBytes;
}

// One row of codes (two bits each as bn.t2: w+1, column c in bits 2(c%4) of byte c/4) into row `r` of the packed matrix.
// packed: t2_bytes(), filled with 0x55 before its first row. False: a code 3 was found.
bool t2_put_row(uint8_t* packed, uint32_t r, uint32_t cols, const uint8_t* bn_t2_row);
// The same from a row of bn.i2s128 (cols a multiple of 128).
bool t2_put_row_i2s128(uint8_t* packed, uint32_t r, uint32_t cols, const uint8_t* row);
// The definition, for tests: weight (r, k) of a packed matrix, -1, 0 or 1.
int8_t t2_weight(const uint8_t* packed, uint32_t cols, uint32_t r, uint32_t k);

}  // namespace bn_cuda
