// cpu_avx2/elementwise.cpp - RoPE and the gated activations.
#include "bitnet/kit/arithmetic.hpp"
#include "kernels.h"
#include "simd.h"

namespace bn::avx2 {

// Pairs (i, i + half): both halves are contiguous.
static void rotate_halves(float* x, const float* cosine, const float* sine, uint32_t half) {
  for (uint32_t i = 0; i < half; i += 8) {
    const uint32_t n = half - i;
    const __m256 c = load_first(cosine + i, n), s = load_first(sine + i, n);
    const __m256 x0 = load_first(x + i, n), x1 = load_first(x + half + i, n);
    store_first(x + i, n, _mm256_fmsub_ps(x0, c, _mm256_mul_ps(x1, s)));
    store_first(x + half + i, n, _mm256_fmadd_ps(x0, s, _mm256_mul_ps(x1, c)));
  }
}

// Pairs (2i, 2i+1). With a = x0 x0, b = c s and p = x1*s x1*c in neighbouring lanes, fmaddsub gives x0*c - x1*s and
// x0*s + x1*c in place.
static void rotate_pairs(float* x, const float* cosine, const float* sine, uint32_t half) {
  uint32_t i = 0;
  for (; i + 4 <= half; i += 4) {
    const __m128 c = _mm_loadu_ps(cosine + i), s = _mm_loadu_ps(sine + i);
    const __m256 cs = _mm256_set_m128(_mm_unpackhi_ps(c, s), _mm_unpacklo_ps(c, s));
    const __m256 v = _mm256_loadu_ps(x + 2 * i);
    const __m256 product = _mm256_mul_ps(_mm256_movehdup_ps(v), _mm256_permute_ps(cs, 0xB1));
    _mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(_mm256_moveldup_ps(v), cs, product));
  }
  for (; i < half; ++i) {
    const float x0 = x[2 * i], x1 = x[2 * i + 1];
    x[2 * i] = kit::fma(x0, cosine[i], -(x1 * sine[i]));
    x[2 * i + 1] = kit::fma(x0, sine[i], x1 * cosine[i]);
  }
}

bn_status rope(bn_device*, const bn_rope* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void*) {
  const uint32_t half = a->rope_dim / 2;
  for (uint32_t t = tok0; t < tok1; ++t) {
    const float* cosine = a->cos + static_cast<uint64_t>(a->pos0 + t) * half;
    const float* sine = a->sin + static_cast<uint64_t>(a->pos0 + t) * half;
    for (uint32_t h = head0; h < head1; ++h) {
      float* x = a->x + static_cast<uint64_t>(t) * a->x_stride + static_cast<uint64_t>(h) * a->head_dim;
      if (a->kind == BN_ROPE_PAIRS) {
        rotate_pairs(x, cosine, sine, half);
      } else {
        rotate_halves(x, cosine, sine, half);
      }
    }
  }
  return BN_OK;
}

// kit::glu_element. The operand order of max keeps a NaN of g.
struct Relu2 {
  static __m256 apply(__m256 g, __m256 up) {
    const __m256 m = _mm256_max_ps(_mm256_setzero_ps(), g);
    return _mm256_mul_ps(_mm256_mul_ps(m, m), up);
  }
};
// (g / (1 + EXP(-z))) * up
static inline __m256 gate_by_sigmoid(__m256 g, __m256 z, __m256 up) {
  const __m256 e = exp8(_mm256_xor_ps(z, _mm256_set1_ps(-0.0f)));
  return _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), e)), up);
}
struct Silu {
  static __m256 apply(__m256 g, __m256 up) { return gate_by_sigmoid(g, g, up); }
};
struct GeluTanh {
  static __m256 apply(__m256 g, __m256 up) {
    const __m256 cube = _mm256_mul_ps(_mm256_set1_ps(0x1.6e4e26p-5f), _mm256_mul_ps(g, g));
    const __m256 inner = _mm256_fmadd_ps(cube, g, g);
    return gate_by_sigmoid(g, _mm256_mul_ps(_mm256_set1_ps(0x1.988454p+0f), inner), up);
  }
};

template <class Activation>
static void glu_rows(const bn_glu& a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1) {
  for (uint32_t t = tok0; t < tok1; ++t) {
    const float* gate = a.gate + static_cast<uint64_t>(t) * a.gate_stride;
    const float* up = a.up + static_cast<uint64_t>(t) * a.up_stride;
    float* y = a.y + static_cast<uint64_t>(t) * a.y_stride;
    for (uint32_t c = col0; c < col1; c += 8) {
      const uint32_t n = col1 - c;
      store_first(y + c, n, Activation::apply(load_first(gate + c, n), load_first(up + c, n)));
    }
  }
}

bn_status glu(bn_device*, const bn_glu* a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1, void*) {
  switch (a->act) {
    case BN_ACT_RELU2:
      glu_rows<Relu2>(*a, tok0, tok1, col0, col1);
      return BN_OK;
    case BN_ACT_SILU:
      glu_rows<Silu>(*a, tok0, tok1, col0, col1);
      return BN_OK;
    case BN_ACT_GELU_TANH:
      glu_rows<GeluTanh>(*a, tok0, tok1, col0, col1);
      return BN_OK;
    default:
      return BN_E_UNSUPPORTED;
  }
}

}  // namespace bn::avx2
