// bitnet/kit/vector/elementwise.hpp - RoPE and the gated activations; equal kit::rope and kit::glu of ops.hpp.
#pragma once

#include "bitnet/kernels.h"
#include "bitnet/kit/vector/arithmetic.hpp"

namespace bn::kit::vector {

// Pairs (i, i + half): both halves are contiguous.
template <class V>
static inline void rotate_halves(float* x, const float* cosine, const float* sine, uint32_t half) {
  for (uint32_t i = 0; i < half; i += 16) {
    const uint32_t n = half - i;
    const auto c = V::load_first(cosine + i, n), s = V::load_first(sine + i, n);
    const auto x0 = V::load_first(x + i, n), x1 = V::load_first(x + half + i, n);
    V::store_first(x + i, n, V::fms(x0, c, V::mul(x1, s)));
    V::store_first(x + half + i, n, V::fma(x0, s, V::mul(x1, c)));
  }
}

// Pairs (2i, 2i+1).
template <class V>
static inline void rotate_pairs(float* x, const float* cosine, const float* sine, uint32_t half) {
  uint32_t i = 0;
  for (; i + 16 <= half; i += 16) {
    const auto c = V::load(cosine + i), s = V::load(sine + i);
    typename V::F x0, x1;
    V::load_pairs(x + 2 * i, &x0, &x1);
    V::store_pairs(x + 2 * i, V::fms(x0, c, V::mul(x1, s)), V::fma(x0, s, V::mul(x1, c)));
  }
  for (; i < half; ++i) {
    const float x0 = x[2 * i], x1 = x[2 * i + 1];
    x[2 * i] = fma(x0, cosine[i], -(x1 * sine[i]));
    x[2 * i + 1] = fma(x0, sine[i], x1 * cosine[i]);
  }
}

template <class V>
static inline void rope(const bn_rope& a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1) {
  const uint32_t half = a.rope_dim / 2;
  for (uint32_t t = tok0; t < tok1; ++t) {
    const float* cosine = a.cos + static_cast<uint64_t>(a.pos0 + t) * half;
    const float* sine = a.sin + static_cast<uint64_t>(a.pos0 + t) * half;
    for (uint32_t h = head0; h < head1; ++h) {
      float* x = a.x + static_cast<uint64_t>(t) * a.x_stride + static_cast<uint64_t>(h) * a.head_dim;
      if (a.kind == BN_ROPE_PAIRS) {
        rotate_pairs<V>(x, cosine, sine, half);
      } else {
        rotate_halves<V>(x, cosine, sine, half);
      }
    }
  }
}

// kit::glu_element. The operand order of larger() keeps a NaN of g.
struct Relu2 {
  template <class V>
  static inline typename V::F apply(typename V::F g, typename V::F up) {
    const auto m = V::larger(V::zero(), g);
    return V::mul(V::mul(m, m), up);
  }
};
// (g / (1 + EXP(-z))) * up
template <class V>
static inline typename V::F gate_by_sigmoid(typename V::F g, typename V::F z, typename V::F up) {
  return V::mul(V::div(g, V::add(V::set(1.0f), exp1<V>(V::negative(z)))), up);
}
struct Silu {
  template <class V>
  static inline typename V::F apply(typename V::F g, typename V::F up) {
    return gate_by_sigmoid<V>(g, g, up);
  }
};
struct GeluTanh {
  template <class V>
  static inline typename V::F apply(typename V::F g, typename V::F up) {
    const auto cube = V::mul(V::set(0x1.6e4e26p-5f), V::mul(g, g));
    return gate_by_sigmoid<V>(g, V::mul(V::set(0x1.988454p+0f), V::fma(cube, g, g)), up);
  }
};

template <class V, class Activation>
static inline void glu_rows(const bn_glu& a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1) {
  for (uint32_t t = tok0; t < tok1; ++t) {
    const float* gate = a.gate + static_cast<uint64_t>(t) * a.gate_stride;
    const float* up = a.up + static_cast<uint64_t>(t) * a.up_stride;
    float* y = a.y + static_cast<uint64_t>(t) * a.y_stride;
    for (uint32_t c = col0; c < col1; c += 16) {
      const uint32_t n = col1 - c;
      V::store_first(y + c, n, Activation::template apply<V>(V::load_first(gate + c, n), V::load_first(up + c, n)));
    }
  }
}

template <class V>
static inline bn_status glu(const bn_glu& a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1) {
  switch (a.act) {
    case BN_ACT_RELU2:
      glu_rows<V, Relu2>(a, tok0, tok1, col0, col1);
      return BN_OK;
    case BN_ACT_SILU:
      glu_rows<V, Silu>(a, tok0, tok1, col0, col1);
      return BN_OK;
    case BN_ACT_GELU_TANH:
      glu_rows<V, GeluTanh>(a, tok0, tok1, col0, col1);
      return BN_OK;
    default:
      return BN_E_UNSUPPORTED;
  }
}

}  // namespace bn::kit::vector
