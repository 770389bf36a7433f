// cpu_avx2/codes.h - what both policies of bitnet/kit/vector/matmul.hpp here have in common: registers of 8 rows.
#pragma once

#include <immintrin.h>

#include "bitnet/kit/vector/matmul.hpp"
#include "kernels.h"

namespace bn::avx2 {

// Policy: the type that derives from it. So that each gets copies of its own, compiled for its instructions.
template <class Policy>
struct EightRows {
  using R = __m256i;
  static constexpr uint32_t kLanes = 8;
  static constexpr uint32_t kFewTokens = 8;
  static constexpr int kRowsEach = 1, kFewTile = 4, kStreams = 1;

  static inline R zero() { return _mm256_setzero_si256(); }
  static inline R load(const void* p) { return _mm256_load_si256(static_cast<const R*>(p)); }
  static inline R load_any(const void* p) { return _mm256_loadu_si256(static_cast<const R*>(p)); }
  static inline void store(void* p, R a) { _mm256_store_si256(static_cast<R*>(p), a); }
  static inline R set(int32_t x) { return _mm256_set1_epi32(x); }
  static inline R add(R a, R b) { return _mm256_add_epi32(a, b); }
  static inline R byte_and(R a, int byte) { return _mm256_and_si256(a, _mm256_set1_epi8(static_cast<char>(byte))); }
  static inline R right(R a, int n) { return _mm256_srli_epi16(a, n); }
  static inline R load_rows(const uint8_t* w, uint64_t) { return load_any(w); }
  static inline R load_x(const int8_t* x) { return load_any(x); }
  static inline const int8_t* ordered(const int8_t* x, uint32_t, int8_t*) { return x; }

  static inline int32_t sum(R a) {
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xB1)));
  }
  static inline void sum_rows(const R* a, int32_t* dot) {
    BN_UNROLL
    for (int i = 0; i < Policy::kFew; ++i) dot[i] = sum(a[i]);
  }

  // 16 bytes of row r and of row r + 4, side by side.
  static inline R load_two(const uint8_t* const* row, int r, uint64_t offset) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row[r] + offset));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low),
                                   _mm_loadu_si128(reinterpret_cast<const __m128i*>(row[r + 4] + offset)), 1);
  }
  static inline void unpack_group(const uint8_t* const* row, uint64_t offset, uint8_t* out, uint64_t out_stride) {
    BN_UNROLL
    for (int half = 0; half < 2; ++half) {
      R a[4], b[4];
      BN_UNROLL
      for (int i = 0; i < 4; ++i) a[i] = load_two(row, i, offset + 16 * half);
      BN_UNROLL
      for (int i = 0; i < 4; i += 2) {
        b[i] = _mm256_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_epi32(a[i], a[i + 1]);
      }
      BN_UNROLL
      for (int i = 0; i < 2; ++i) {  // four bytes of each of the 8 rows
        a[2 * i] = _mm256_unpacklo_epi64(b[i], b[i + 2]);
        a[2 * i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 2]);
      }
      BN_UNROLL
      for (int plane = 0; plane < 4; ++plane) {
        BN_UNROLL
        for (int j = 0; j < 4; ++j) {
          store(out + (8 * plane + 4 * half + j) * out_stride, byte_and(right(a[j], 6 - 2 * plane), 3));
        }
      }
    }
  }
};

}  // namespace bn::avx2
