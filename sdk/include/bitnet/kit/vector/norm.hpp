// bitnet/kit/vector/norm.hpp - RMS norm and int8 quantisation of vectors; equals kit::norm of ops.hpp.
#pragma once

#include "bitnet/kernels.h"
#include "bitnet/kit/vector/arithmetic.hpp"

namespace bn::kit::vector {

// Lanes of `Chunks` neighbouring chunks of S16(x, x), n elements each (256, or the rest of the vector with Chunks = 1).
template <class V, int Chunks>
static inline void square_chunks(const float* x, uint32_t n, typename V::F* total) {
  typename V::F lane[Chunks];
  BN_UNROLL
  for (int c = 0; c < Chunks; ++c) lane[c] = V::zero();
  for (uint32_t i = 0; i < n; i += 16) {
    BN_UNROLL
    for (int c = 0; c < Chunks; ++c) {
      const auto u = V::load_first(x + 256 * c + i, n - i);
      lane[c] = V::fma(u, u, lane[c]);
    }
  }
  BN_UNROLL
  for (int c = 0; c < Chunks; ++c) *total = V::add(*total, lane[c]);
}

// S16(x, x). Chunks are independent, so four run side by side and hide the latency of the FMA chains.
template <class V>
static inline float sum_of_squares(const float* x, uint32_t n) {
  auto total = V::zero();
  uint32_t i = 0;
  for (; n - i >= 1024; i += 1024) square_chunks<V, 4>(x + i, 256, &total);
  for (; n - i >= 256; i += 256) square_chunks<V, 1>(x + i, 256, &total);
  if (i < n) square_chunks<V, 1>(x + i, n - i, &total);
  return V::fold(total);
}

// x*gain for 16 elements from i, zeros past n.
template <class V>
static inline typename V::F gained(const float* x, const float* gain, uint32_t i, uint32_t n) {
  const auto v = V::load_first(x + i, n - i);
  return gain == nullptr ? v : V::mul(v, V::load_first(gain + i, n - i));
}

// The largest of `least` and |x*gain|.
template <class V>
static inline float largest_magnitude(const float* x, const float* gain, uint32_t n, float least) {
  auto a = V::set(least), b = a, c = a, d = a;
  uint32_t i = 0;
  for (; n - i >= 64; i += 64) {
    a = V::larger(V::magnitude(gained<V>(x, gain, i, n)), a);
    b = V::larger(V::magnitude(gained<V>(x, gain, i + 16, n)), b);
    c = V::larger(V::magnitude(gained<V>(x, gain, i + 32, n)), c);
    d = V::larger(V::magnitude(gained<V>(x, gain, i + 48, n)), d);
  }
  for (; i < n; i += 16) a = V::larger(V::magnitude(gained<V>(x, gain, i, n)), a);
  return V::largest(V::larger(V::larger(a, b), V::larger(c, d)));
}

// Sixteen codes. The operand orders repeat the comparisons of kit::norm, NaN included.
template <class V>
static inline typename V::I codes_of(typename V::F u, typename V::F k) {
  const auto code = round_half_even<V>(V::mul(u, k));
  return V::truncate(V::larger(V::smaller(V::set(127.0f), code), V::set(-127.0f)));
}

// q[0, n) = round(x*gain * scale); returns their sum.
template <class V>
static inline int32_t quantise(const float* x, const float* gain, uint32_t n, float scale, int8_t* q) {
  const auto k = V::set(scale);
  auto sum = V::truncate(V::zero());
  uint32_t i = 0;
  for (; n - i >= 16; i += 16) {
    const auto c = codes_of<V>(gained<V>(x, gain, i, n), k);
    sum = V::add(sum, c);
    V::store_codes(q + i, c);
  }
  int32_t all = V::sum(sum);
  if (i < n) {
    int8_t code[16];
    V::store_codes(code, codes_of<V>(gained<V>(x, gain, i, n), k));
    for (uint32_t j = 0; i + j < n; ++j) {
      q[i + j] = code[j];
      all += code[j];
    }
  }
  return all;
}

template <class V>
static inline void norm(const bn_norm& a, uint32_t vec0, uint32_t vec1) {
  const uint32_t n = a.n;
  for (uint32_t v = vec0; v < vec1; ++v) {
    const float* x = a.x + static_cast<uint64_t>(v) * a.x_stride;
    float root = 1.0f, r = 1.0f;
    if (a.eps >= 0) {
      root = __builtin_sqrtf(sum_of_squares<V>(x, n) / static_cast<float>(n) + a.eps);
      r = 1.0f / root;
    }
    if (a.q != nullptr) {
      const float largest = largest_magnitude<V>(x, a.gain, n, 1e-5f * root);
      int8_t* q = a.q + static_cast<uint64_t>(v) * a.q_stride;
      a.q_sum[v] = quantise<V>(x, a.gain, n, 127.0f / largest, q);
      a.q_scale[v] = (largest / 127.0f) * r;
      if (a.q_stride > n) std::memset(q + n, 0, a.q_stride - n);
    }
    if (a.y != nullptr) {
      float* y = a.y + static_cast<uint64_t>(v) * a.y_stride;
      for (uint32_t i = 0; i < n; i += 16) V::store_first(y + i, n - i, V::mul(gained<V>(x, a.gain, i, n), V::set(r)));
    }
  }
}

}  // namespace bn::kit::vector
