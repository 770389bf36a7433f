// cpu_avx2/simd.h - the policy of bitnet/kit/vector for AVX2: the 16 lanes of S16 are two ymm registers.
#pragma once

#include <immintrin.h>

#include "bitnet/kit/vector/arithmetic.hpp"

namespace bn::avx2 {

// One register.
struct Avx2Part {
  using F = __m256;
  static constexpr int kLanes = 8;

  // Lanes [0, n) set, n in 0..8.
  static inline __m256i first_lanes(uint32_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static inline F load(const float* p) { return _mm256_loadu_ps(p); }
  static inline void store(float* p, F a) { _mm256_storeu_ps(p, a); }
  static inline F load_first(const float* p, uint32_t n) { return n >= 8 ? load(p) : _mm256_maskload_ps(p, first_lanes(n)); }
  static inline void store_first(float* p, uint32_t n, F a) {
    if (n >= 8) {
      store(p, a);
    } else {
      _mm256_maskstore_ps(p, first_lanes(n), a);
    }
  }
  static inline F load_half(const void* p) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))); }
  static inline F set(float x) { return _mm256_set1_ps(x); }
  static inline F zero() { return _mm256_setzero_ps(); }
  static inline void keep(F* a) { __asm__("" : "+x"(*a)); }
  static inline F add(F a, F b) { return _mm256_add_ps(a, b); }
  static inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
};

struct Avx2 {
  using Part = Avx2Part;
  struct F {
    __m256 lo, hi;
  };
  struct I {
    __m256i lo, hi;
  };
  static constexpr int kParts = 2;
  static constexpr int kScores = 8, kSums = 2;
  static constexpr uint32_t kByteRows = 1;
  static constexpr int kTileRows = 4, kTileTokens = 3;

  static inline F join(const __m256* part) { return {part[0], part[1]}; }
  static inline F load(const float* p) { return {Part::load(p), Part::load(p + 8)}; }
  static inline void store(float* p, F a) {
    Part::store(p, a.lo);
    Part::store(p + 8, a.hi);
  }
  static inline F load_first(const float* p, uint32_t n) {
    if (n >= 16) return load(p);
    return {Part::load_first(p, n), n > 8 ? Part::load_first(p + 8, n - 8) : Part::zero()};
  }
  static inline void store_first(float* p, uint32_t n, F a) {
    if (n >= 16) return store(p, a);
    Part::store_first(p, n, a.lo);
    if (n > 8) Part::store_first(p + 8, n - 8, a.hi);
  }
  static inline F load_half(const void* p) { return {Part::load_half(p), Part::load_half(static_cast<const char*>(p) + 16)}; }
  static inline float half(const uint8_t* p) {
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(static_cast<int>(p[0] | p[1] << 8))));
  }
  static inline __m256 low_bytes(__m128i v) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(v)); }
  static inline F from_i8(kit::vector::Bytes v) {
    const __m128i bytes = reinterpret_cast<__m128i>(v);
    return {low_bytes(bytes), low_bytes(_mm_srli_si128(bytes, 8))};
  }
  static inline F load_i8(const void* p) {  // one shuffle less
    const char* v = static_cast<const char*>(p);
    return {low_bytes(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(v))),
            low_bytes(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(v + 8)))};
  }
  static inline __m256 upper_half(const __m128i* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
  }
  static inline F from_u16_high(const void* p) {
    const __m128i* v = static_cast<const __m128i*>(p);
    return {upper_half(v), upper_half(v + 1)};
  }
  static inline void split_pairs(const float* p, __m256* even, __m256* odd) {
    const __m256 u = _mm256_loadu_ps(p), v = _mm256_loadu_ps(p + 8);
    *even = in_order(_mm256_shuffle_ps(u, v, 0x88));
    *odd = in_order(_mm256_shuffle_ps(u, v, 0xDD));
  }
  static inline void load_pairs(const float* p, F* a, F* b) {
    split_pairs(p, &a->lo, &b->lo);
    split_pairs(p + 16, &a->hi, &b->hi);
  }
  static inline void join_pairs(float* p, __m256 even, __m256 odd) {
    const __m256 u = _mm256_unpacklo_ps(even, odd), v = _mm256_unpackhi_ps(even, odd);
    _mm256_storeu_ps(p, _mm256_permute2f128_ps(u, v, 0x20));
    _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(u, v, 0x31));
  }
  static inline void store_pairs(float* p, F a, F b) {
    join_pairs(p, a.lo, b.lo);
    join_pairs(p + 16, a.hi, b.hi);
  }

  static inline F set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static inline F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static inline void keep(F* a) { __asm__("" : "+x"(a->lo), "+x"(a->hi)); }
  static inline F add(F a, F b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
  static inline F sub(F a, F b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
  static inline F mul(F a, F b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
  static inline F div(F a, F b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
  static inline F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
  static inline F fms(F a, F b, F c) { return {_mm256_fmsub_ps(a.lo, b.lo, c.lo), _mm256_fmsub_ps(a.hi, b.hi, c.hi)}; }
  static inline F larger(F a, F b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
  static inline F smaller(F a, F b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
  static inline F magnitude(F a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
  }
  static inline F negative(F a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
  }
  static inline __m256 exponent(__m256 n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127)), 23));
  }
  static inline F power_of_two(F n) { return {exponent(n.lo), exponent(n.hi)}; }
  static inline F if_at_least(F x, F least, F a) {
    return {_mm256_and_ps(a.lo, _mm256_cmp_ps(x.lo, least.lo, _CMP_GE_OQ)),
            _mm256_and_ps(a.hi, _mm256_cmp_ps(x.hi, least.hi, _CMP_GE_OQ))};
  }
  static inline F or_nan(F x, F a) {
    return {_mm256_blendv_ps(a.lo, x.lo, _mm256_cmp_ps(x.lo, x.lo, _CMP_UNORD_Q)),
            _mm256_blendv_ps(a.hi, x.hi, _mm256_cmp_ps(x.hi, x.hi, _CMP_UNORD_Q))};
  }

  static inline float fold(F a) {
    const __m256 eight = _mm256_add_ps(a.lo, a.hi);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  // The halves of two sums side by side, added: kit::fold16 from 16 lanes to 4.
  static inline __m256 fold_two(F a, F b) {
    const __m256 u = _mm256_add_ps(a.lo, a.hi), v = _mm256_add_ps(b.lo, b.hi);
    return _mm256_add_ps(_mm256_permute2f128_ps(u, v, 0x20), _mm256_permute2f128_ps(u, v, 0x31));
  }
  // Eight folds at once: 14 shuffles and 15 additions.
  static inline void fold_scores(const F* a, float scale, float* out) {
    __m256 two[2];
    BN_UNROLL
    for (int i = 0; i < 2; ++i) {  // sums 2i, 2i + 1 and, in the upper half, 2i + 4, 2i + 5
      const F* b = a + 2 * i;
      const __m256d u = _mm256_castps_pd(fold_two(b[0], b[4])), v = _mm256_castps_pd(fold_two(b[1], b[5]));
      two[i] = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(u, v)), _mm256_castpd_ps(_mm256_unpackhi_pd(u, v)));
    }
    const __m256 one = _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x88), _mm256_shuffle_ps(two[0], two[1], 0xDD));
    _mm256_storeu_ps(out, _mm256_mul_ps(one, _mm256_set1_ps(scale)));
  }
  static inline float largest(F a) {
    const __m256 m = _mm256_max_ps(a.lo, a.hi);
    __m128 top = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    top = _mm_max_ps(top, _mm_movehl_ps(top, top));
    return _mm_cvtss_f32(_mm_max_ss(top, _mm_movehdup_ps(top)));
  }

  static inline I truncate(F a) { return {_mm256_cvttps_epi32(a.lo), _mm256_cvttps_epi32(a.hi)}; }
  static inline I add(I a, I b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
  static inline int32_t sum(I a) {
    const __m256i s = _mm256_add_epi32(a.lo, a.hi);
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xB1)));
  }
  static inline void store_codes(int8_t* p, I a) {
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi), 0xD8);
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }

 private:
  // Undoes the order of a shuffle within halves: quarters 0, 2, 1, 3.
  static inline __m256 in_order(__m256 a) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(a), 0xD8)); }
};

}  // namespace bn::avx2
