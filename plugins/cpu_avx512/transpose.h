// cpu_avx512/transpose.h - packed groups of 16 rows, turned so that a register holds the same four bytes of every row.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "bitnet/kit/vector/arithmetic.hpp"

namespace bn::avx512 {

// 32 bytes; of two places.
static inline __m256i half(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
static inline __m512i load_two(const void* low, const void* high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(half(low)), half(high), 1);
}

// One group, 32 bytes at row(i) of 16 rows: dword i of word[j] is bytes [4j, 4j + 4) of row i.
template <class Row>
static inline void transpose_group(Row row, __m512i* word) {
  __m512i a[8], b[8];
  BN_UNROLL
  for (int i = 0; i < 8; ++i) {  // rows i and i + 4 of each eight
    const int r = i / 4 * 8 + i % 4;
    a[i] = load_two(row(r), row(r + 4));
  }
  BN_UNROLL
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  BN_UNROLL
  for (int i = 0; i < 8; i += 4) {  // quarters: dword j of rows 0-3, j + 4 of 0-3, j of 4-7, j + 4 of 4-7
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  BN_UNROLL
  for (int j = 0; j < 4; ++j) {
    word[j] = _mm512_shuffle_i32x4(a[j], a[j + 4], 0x88);
    word[j + 4] = _mm512_shuffle_i32x4(a[j], a[j + 4], 0xDD);
  }
}

}  // namespace bn::avx512
