// cpu_avx2/norm.cpp - RMS norm and int8 quantisation of vectors.
#include "kernels.h"
#include "simd.h"

namespace bn::avx2 {

// Lanes of `Chunks` neighbouring chunks of S16(x, x), n elements each (256, or the rest of the vector with Chunks = 1).
template <int Chunks>
static inline void square_chunks(const float* x, uint32_t n, __m256* total) {
  __m256 lo[Chunks], hi[Chunks];
  for (int c = 0; c < Chunks; ++c) lo[c] = hi[c] = _mm256_setzero_ps();
  for (uint32_t i = 0; i < n; i += 16) {
    for (int c = 0; c < Chunks; ++c) {
      const float* p = x + 256 * c + i;
      const __m256 u = load_first(p, n - i), v = n - i > 8 ? load_first(p + 8, n - i - 8) : _mm256_setzero_ps();
      lo[c] = _mm256_fmadd_ps(u, u, lo[c]);
      hi[c] = _mm256_fmadd_ps(v, v, hi[c]);
    }
  }
  for (int c = 0; c < Chunks; ++c) {
    total[0] = _mm256_add_ps(total[0], lo[c]);
    total[1] = _mm256_add_ps(total[1], hi[c]);
  }
}

// S16(x, x). Chunks are independent, so four run side by side and hide the latency of the FMA chains.
static float sum_of_squares(const float* x, uint32_t n) {
  __m256 total[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  uint32_t i = 0;
  for (; n - i >= 1024; i += 1024) square_chunks<4>(x + i, 256, total);
  for (; n - i >= 256; i += 256) square_chunks<1>(x + i, 256, total);
  if (i < n) square_chunks<1>(x + i, n - i, total);
  return fold16(total[0], total[1]);
}

// x*gain for 8 elements from i, zeros past n.
static inline __m256 gained(const float* x, const float* gain, uint32_t i, uint32_t n) {
  const __m256 v = load_first(x + i, n - i);
  return gain == nullptr ? v : _mm256_mul_ps(v, load_first(gain + i, n - i));
}

// The largest of `least` and |x*gain|. max_ps(u, m) is u > m ? u : m, NaN included, as in the kit.
static float largest_magnitude(const float* x, const float* gain, uint32_t n, float least) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 m[4];
  for (int j = 0; j < 4; ++j) m[j] = _mm256_set1_ps(least);
  uint32_t i = 0;
  for (; n - i >= 32; i += 32) {
    for (uint32_t j = 0; j < 4; ++j) m[j] = _mm256_max_ps(_mm256_andnot_ps(sign, gained(x, gain, i + 8 * j, n)), m[j]);
  }
  for (; i < n; i += 8) m[0] = _mm256_max_ps(_mm256_andnot_ps(sign, gained(x, gain, i, n)), m[0]);
  const __m256 all = _mm256_max_ps(_mm256_max_ps(m[0], m[1]), _mm256_max_ps(m[2], m[3]));
  __m128 top = _mm_max_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
  top = _mm_max_ps(top, _mm_movehl_ps(top, top));
  return _mm_cvtss_f32(_mm_max_ss(top, _mm_movehdup_ps(top)));
}

// Eight codes as int32. The operand orders of min and max repeat the comparisons of the kit, NaN included.
static inline __m256i codes_of(__m256 u, __m256 k) {
  const __m256 magic = _mm256_set1_ps(12582912.0f);  // kit::round_half_even
  __m256 code = _mm256_sub_ps(_mm256_add_ps(_mm256_mul_ps(u, k), magic), magic);
  code = _mm256_max_ps(_mm256_min_ps(_mm256_set1_ps(127.0f), code), _mm256_set1_ps(-127.0f));
  return _mm256_cvttps_epi32(code);
}

static inline int32_t sum_lanes(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}

// q[0, n) = round(x*gain * scale); returns their sum.
static int32_t quantise(const float* x, const float* gain, uint32_t n, float scale, int8_t* q) {
  const __m256 k = _mm256_set1_ps(scale);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // undoes the lane-wise packs
  __m256i sum = _mm256_setzero_si256();
  uint32_t i = 0;
  for (; n - i >= 32; i += 32) {
    __m256i c[4];
    for (uint32_t j = 0; j < 4; ++j) {
      c[j] = codes_of(gained(x, gain, i + 8 * j, n), k);
      sum = _mm256_add_epi32(sum, c[j]);
    }
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(c[0], c[1]), _mm256_packs_epi32(c[2], c[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q + i), _mm256_permutevar8x32_epi32(bytes, order));
  }
  for (; i < n; i += 8) {
    const uint32_t count = n - i < 8 ? n - i : 8;
    // Lanes past the end hold 0*k, which is NaN and so code -127 if k is infinite: they do not count.
    const __m256i c = _mm256_and_si256(codes_of(gained(x, gain, i, n), k), first_lanes(count));
    sum = _mm256_add_epi32(sum, c);
    int32_t code[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(code), c);
    for (uint32_t j = 0; j < count; ++j) q[i + j] = static_cast<int8_t>(code[j]);
  }
  return sum_lanes(sum);
}

bn_status norm(bn_device*, const bn_norm* a, uint32_t vec0, uint32_t vec1, void*) {
  const uint32_t n = a->n;
  for (uint32_t v = vec0; v < vec1; ++v) {
    const float* x = a->x + static_cast<uint64_t>(v) * a->x_stride;
    float root = 1.0f, r = 1.0f;
    if (a->eps >= 0) {
      const float mean = sum_of_squares(x, n) / static_cast<float>(n);
      root = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + a->eps)));
      r = 1.0f / root;
    }
    if (a->q != nullptr) {
      const float largest = largest_magnitude(x, a->gain, n, 1e-5f * root);
      int8_t* q = a->q + static_cast<uint64_t>(v) * a->q_stride;
      a->q_sum[v] = quantise(x, a->gain, n, 127.0f / largest, q);
      a->q_scale[v] = (largest / 127.0f) * r;
      if (a->q_stride > n) std::memset(q + n, 0, a->q_stride - n);
    }
    if (a->y != nullptr) {
      float* y = a->y + static_cast<uint64_t>(v) * a->y_stride;
      const __m256 factor = _mm256_set1_ps(r);
      for (uint32_t i = 0; i < n; i += 8) store_first(y + i, n - i, _mm256_mul_ps(gained(x, a->gain, i, n), factor));
    }
  }
  return BN_OK;
}

}  // namespace bn::avx2
