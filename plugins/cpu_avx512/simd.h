// cpu_avx512/simd.h - the policy of bitnet/kit/vector for AVX-512: the 16 lanes of S16 are one zmm register.
#pragma once

#include <immintrin.h>

#include "bitnet/kit/vector/arithmetic.hpp"

namespace bn::avx512 {

struct Avx512 {
  using F = __m512;
  using I = __m512i;
  using Part = Avx512;
  static constexpr int kParts = 1, kLanes = 16;
  static constexpr int kScores = 16, kSums = 4;
  static constexpr uint32_t kByteRows = 4;
  static constexpr int kTileRows = 4, kTileTokens = 6;

  static inline __mmask16 first_lanes(uint32_t n) { return static_cast<__mmask16>(n >= 16 ? 0xFFFF : (1u << n) - 1); }

  static inline F load(const float* p) { return _mm512_loadu_ps(p); }
  static inline void store(float* p, F a) { _mm512_storeu_ps(p, a); }
  static inline F load_first(const float* p, uint32_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
  static inline void store_first(float* p, uint32_t n, F a) { _mm512_mask_storeu_ps(p, first_lanes(n), a); }
  static inline F load_half(const void* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p))); }
  static inline float half(const uint8_t* p) {
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(static_cast<int>(p[0] | p[1] << 8))));
  }
  static inline F from_i8(kit::vector::Bytes v) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(reinterpret_cast<__m128i>(v)));
  }
  static inline F load_i8(const void* p) { return from_i8(kit::vector::load_bytes(p)); }
  static inline F from_u16_high(const void* p) {
    const __m512i v = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
  }
  static inline void load_pairs(const float* p, F* a, F* b) {
    const F u = load(p), v = load(p + 16);
    *a = _mm512_permutex2var_ps(u, even(), v);
    *b = _mm512_permutex2var_ps(u, _mm512_add_epi32(even(), _mm512_set1_epi32(1)), v);
  }
  static inline void interleave(F a, F b, F* first, F* second) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *first = _mm512_permutex2var_ps(a, low, b);
    *second = _mm512_permutex2var_ps(a, _mm512_add_epi32(low, _mm512_set1_epi32(8)), b);
  }
  static inline void store_pairs(float* p, F a, F b) {
    F first, second;
    interleave(a, b, &first, &second);
    store(p, first);
    store(p + 16, second);
  }

  static inline F join(const F* part) { return part[0]; }
  static inline F set(float x) { return _mm512_set1_ps(x); }
  static inline F zero() { return _mm512_setzero_ps(); }
  static inline void keep(F* a) { __asm__("" : "+v"(*a)); }
  static inline F add(F a, F b) { return _mm512_add_ps(a, b); }
  static inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static inline F div(F a, F b) { return _mm512_div_ps(a, b); }
  static inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static inline F fms(F a, F b, F c) { return _mm512_fmsub_ps(a, b, c); }
  static inline F larger(F a, F b) { return _mm512_max_ps(a, b); }
  static inline F smaller(F a, F b) { return _mm512_min_ps(a, b); }
  static inline F magnitude(F a) { return _mm512_abs_ps(a); }
  static inline F negative(F a) { return _mm512_xor_ps(a, set(-0.0f)); }
  static inline F power_of_two(F n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvttps_epi32(n), _mm512_set1_epi32(127)), 23));
  }
  static inline F if_at_least(F x, F least, F a) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, least, _CMP_GE_OQ), a); }
  static inline F or_nan(F x, F a) { return _mm512_mask_mov_ps(a, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x); }

  // The last three steps of kit::fold16, of 8 lanes.
  static inline float fold_eight_lanes(__m256 eight) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static inline __m256 low_half(F a) { return _mm512_castps512_ps256(a); }
  static inline __m256 high_half(F a) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)); }
  static inline float fold(F a) { return fold_eight_lanes(_mm256_add_ps(low_half(a), high_half(a))); }
  static inline void fold_scores(const F* a, float scale, float* out) {
    BN_UNROLL
    for (int i = 0; i < kScores; i += 8) fold_eight(a + i, scale, out + i);
  }
  // Eight folds at once: quarters of two sums side by side in each step, 15 shuffles and 8 additions.
  static inline void fold_eight(const F* a, float scale, float* out) {
    F eight[4], four[2];
    BN_UNROLL
    for (int i = 0; i < 4; ++i) {  // lanes 0..7 of sum i, 8..15 of sum i + 4
      eight[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a[i], a[i + 4], 0x44), _mm512_shuffle_f32x4(a[i], a[i + 4], 0xEE));
    }
    BN_UNROLL
    for (int i = 0; i < 2; ++i) {  // quarters: sums i, i + 4, i + 2, i + 6
      four[i] =
          _mm512_add_ps(_mm512_shuffle_f32x4(eight[i], eight[i + 2], 0x88), _mm512_shuffle_f32x4(eight[i], eight[i + 2], 0xDD));
    }
    const __m512d u = _mm512_castps_pd(four[0]), v = _mm512_castps_pd(four[1]);
    const F two = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(u, v)), _mm512_castpd_ps(_mm512_unpackhi_pd(u, v)));
    const F one = _mm512_add_ps(two, _mm512_movehdup_ps(two));  // even lanes: sums 0 1, 4 5, 2 3, 6 7
    const __m512i order = _mm512_setr_epi32(0, 2, 8, 10, 4, 6, 12, 14, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm256_storeu_ps(out, _mm256_mul_ps(low_half(_mm512_permutexvar_ps(order, one)), _mm256_set1_ps(scale)));
  }
  static inline float largest(F a) {
    const __m256 m = _mm256_max_ps(low_half(a), high_half(a));
    __m128 top = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    top = _mm_max_ps(top, _mm_movehl_ps(top, top));
    return _mm_cvtss_f32(_mm_max_ss(top, _mm_movehdup_ps(top)));
  }

  static inline I truncate(F a) { return _mm512_cvttps_epi32(a); }
  static inline I add(I a, I b) { return _mm512_add_epi32(a, b); }
  static inline int32_t sum(I a) {
    __m256i s = _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xB1)));
  }
  static inline void store_codes(int8_t* p, I a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a)); }

 private:
  static inline __m512i even() { return _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30); }
};

}  // namespace bn::avx512
