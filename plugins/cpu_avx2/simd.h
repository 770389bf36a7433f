// cpu_avx2/simd.h - the vector forms of the kit's arithmetic: partial loads, EXP on 8 floats, the S16 fold.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

// Before a loop with a constant count: unrolls it early. Without it gcc 12 keeps local arrays of vectors in memory, with a
// store of every element before and after each inner loop (attention, dense: half of the speed).
#define BN_UNROLL _Pragma("GCC unroll 16")

namespace bn::avx2 {

// Says that v is not what was loaded, so that the compiler keeps it in its register instead of loading it again.
template <class Vector>
static inline void keep(Vector* v) {
  __asm__("" : "+x"(*v));
}

// Lanes [0, n) set, n in 0..8.
static inline __m256i first_lanes(uint32_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// The first n of 8 floats, zeros after them; nothing past them is read or written.
static inline __m256 load_first(const float* p, uint32_t n) {
  return n >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(n));
}
static inline void store_first(float* p, uint32_t n, __m256 v) {
  if (n >= 8) {
    _mm256_storeu_ps(p, v);
  } else {
    _mm256_maskstore_ps(p, first_lanes(n), v);
  }
}

// kit::exp1 on 8 lanes: the same operations, so the same bits; comparisons are ordered so that NaN passes through.
static inline __m256 exp8(__m256 x) {
  const __m256 in_range = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_GE_OQ);
  const __m256 is_nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  const __m256 magic = _mm256_set1_ps(12582912.0f);
  const __m256 z = _mm256_min_ps(_mm256_set1_ps(88.0f), x);
  const __m256 n = _mm256_sub_ps(_mm256_add_ps(_mm256_mul_ps(z, _mm256_set1_ps(0x1.715476p+0f)), magic), magic);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.62e4p-1f), z);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.7f7d1cp-20f), r);
  __m256 p = _mm256_set1_ps(0x1.a01a02p-13f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.6c16c2p-10f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.111112p-7f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555556p-5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555556p-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127)), 23);
  const __m256 e = _mm256_and_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(power)), in_range);
  return _mm256_blendv_ps(e, x, is_nan);
}

// kit::fold16 of the lanes lo (0..7) and hi (8..15).
static inline float fold16(__m256 lo, __m256 hi) {
  const __m256 eight = _mm256_add_ps(lo, hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// The last three steps of eight folds at once: a[i] holds the 8 lanes of sum i after the first step (lo + hi); the result
// has sum i in lane i. 14 shuffles and 7 additions instead of 8 times 3 and 3.
static inline __m256 fold_eight(const __m256* a) {
  __m256 four[4];
  for (int i = 0; i < 4; ++i) {
    four[i] = _mm256_add_ps(_mm256_permute2f128_ps(a[i], a[i + 4], 0x20), _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
  }
  __m256 two[2];
  for (int i = 0; i < 2; ++i) {
    const __m256d u = _mm256_castps_pd(four[2 * i]), v = _mm256_castps_pd(four[2 * i + 1]);
    two[i] = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(u, v)), _mm256_castpd_ps(_mm256_unpackhi_pd(u, v)));
  }
  return _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x88), _mm256_shuffle_ps(two[0], two[1], 0xdd));
}

static inline __m256 half_to_float(const void* p) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))); }

}  // namespace bn::avx2
