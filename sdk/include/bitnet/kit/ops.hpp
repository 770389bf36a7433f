// bitnet/kit/ops.hpp - the reference body of every op of bn.kernels/1, profile exact-1.
//
// These functions are the definition: portable op, test oracle and specification at once. A fast kernel must give the
// same bits. Arguments are the structs of kernels.h; ranges are half open.
#pragma once

#include "bitnet/kernels.h"
#include "bitnet/kit/arithmetic.hpp"
#include "bitnet/kit/dense_rows.hpp"
#include "bitnet/kit/ternary.hpp"

namespace bn::kit {

// ternary matmul: y[t][r] = (float)dot * (x_scale[t] * w_scale[r]), dot exact in int32. row_trits: room for cols trits.
static inline void matmul(const bn_matmul& a, uint32_t row0, uint32_t row1, int8_t* row_trits) {
  const Layout layout = layout_of(a.w->format);
  const uint32_t cols = a.w->cols;
  const uint8_t* data = static_cast<const uint8_t*>(a.packed);
  for (uint32_t r = row0; r < row1; ++r) {
    read_row(layout, data + r * row_bytes(layout, cols), cols, row_trits);
    for (uint32_t t = 0; t < a.m; ++t) {
      const int8_t* x = a.x + static_cast<uint64_t>(t) * a.x_stride;
      int32_t dot = 0;
      for (uint32_t c = 0; c < cols; ++c) dot += row_trits[c] * x[c];
      a.y[static_cast<uint64_t>(t) * a.y_stride + r] = static_cast<float>(dot) * (a.x_scale[t] * row_scale(*a.w, r));
    }
  }
}

// dense: y[t][r] = S16(w[r], x[t]); int8 rows multiply the row scale last.
static inline void dense(const bn_dense& a, uint32_t row0, uint32_t row1) {
  const uint32_t cols = a.w->cols;
  const uint64_t stride = dense_row_bytes(a.w->dtype, cols);
  for (uint32_t r = row0; r < row1; ++r) {
    const uint8_t* row = static_cast<const uint8_t*>(a.w->data) + r * stride;
    for (uint32_t t = 0; t < a.m; ++t) {
      const float* x = a.x + static_cast<uint64_t>(t) * a.x_stride;
      Sum16 sum;
      for (uint32_t c = 0; c < cols; c += 256) {
        float w[256];
        const uint32_t n = cols - c < 256 ? cols - c : 256;
        decode_dense(a.w->dtype, row, c, n, w);
        sum.add_chunk(w, x + c, n);
      }
      float y = sum.result();
      if (a.w->dtype == BN_DT_I8_ROW) y = y * row_scale(*a.w, r);
      a.y[static_cast<uint64_t>(t) * a.y_stride + r] = y;
    }
  }
}

// The int8 code of one element u of a vector, k = 127/largest |u|.
BN_KIT_FN int8_t norm_code(float u, float k) {
  float code = round_half_even(u * k);
  code = code > 127.0f ? 127.0f : code;  // a no-op for finite u; keeps the conversion defined for the rest
  code = code >= -127.0f ? code : -127.0f;
  return static_cast<int8_t>(code);
}

// norm: y = (x*gain)*r with r = 1/sqrt(S16(x,x)/n + eps); and/or int8 codes of u = x*gain with scale (a/127)*r, where a is
// the largest |u|, at least 1e-5*sqrt(mean+eps). The factor r cancels in the codes, so they need no second pass over y.
static inline void norm(const bn_norm& a, uint32_t vec0, uint32_t vec1) {
  for (uint32_t v = vec0; v < vec1; ++v) {
    const float* x = a.x + static_cast<uint64_t>(v) * a.x_stride;
    float root = 1.0f, r = 1.0f;
    if (a.eps >= 0) {
      const float mean = s16(x, x, a.n) / static_cast<float>(a.n);
      root = __builtin_sqrtf(mean + a.eps);
      r = 1.0f / root;
    }
    if (a.q != nullptr) {
      float largest = 1e-5f * root;
      for (uint32_t i = 0; i < a.n; ++i) {
        const float u = __builtin_fabsf(a.gain ? x[i] * a.gain[i] : x[i]);
        largest = u > largest ? u : largest;
      }
      const float k = 127.0f / largest;
      int8_t* q = a.q + static_cast<uint64_t>(v) * a.q_stride;
      int32_t sum = 0;
      for (uint32_t i = 0; i < a.n; ++i) {
        q[i] = norm_code(a.gain ? x[i] * a.gain[i] : x[i], k);
        sum += q[i];
      }
      for (uint32_t i = a.n; i < a.q_stride; ++i) q[i] = 0;
      a.q_scale[v] = (largest / 127.0f) * r;
      a.q_sum[v] = sum;
    }
    if (a.y != nullptr) {
      float* y = a.y + static_cast<uint64_t>(v) * a.y_stride;
      for (uint32_t i = 0; i < a.n; ++i) y[i] = (a.gain ? x[i] * a.gain[i] : x[i]) * r;
    }
  }
}

// rope: each pair (x0, x1) becomes fma(x0, c, -(x1*s)), fma(x0, s, x1*c). Elements past rope_dim stay.
static inline void rope(const bn_rope& a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1) {
  const uint32_t half = a.rope_dim / 2;
  for (uint32_t t = tok0; t < tok1; ++t) {
    const float* cosine = a.cos + static_cast<uint64_t>(a.pos0 + t) * half;
    const float* sine = a.sin + static_cast<uint64_t>(a.pos0 + t) * half;
    for (uint32_t h = head0; h < head1; ++h) {
      float* x = a.x + static_cast<uint64_t>(t) * a.x_stride + static_cast<uint64_t>(h) * a.head_dim;
      for (uint32_t i = 0; i < half; ++i) {
        float* p0 = a.kind == BN_ROPE_PAIRS ? x + 2 * i : x + i;
        float* p1 = a.kind == BN_ROPE_PAIRS ? x + 2 * i + 1 : x + i + half;
        const float x0 = *p0, x1 = *p1;
        *p0 = fma(x0, cosine[i], -(x1 * sine[i]));
        *p1 = fma(x0, sine[i], x1 * cosine[i]);
      }
    }
  }
}

// Element i of a key or value vector.
BN_KIT_FN float kv_at(uint32_t dtype, const void* vector, uint64_t i) {
  return dtype == BN_DT_F16 ? f16_to_f32(static_cast<const uint16_t*>(vector)[i]) : static_cast<const float*>(vector)[i];
}

// The visible positions of token t: [first, last]; and those of them in a page, counted from its start: [begin, end).
struct Visible {
  uint32_t first, last;
};
static inline Visible visible(const bn_attn& a, uint32_t t) {
  const uint32_t last = a.pos0 + t;
  return {a.window != 0 && last + 1 > a.window ? last + 1 - a.window : 0, last};
}
static inline uint32_t begin_in(const Visible& v, uint32_t page) {
  return page * BN_KV_PAGE < v.first ? v.first - page * BN_KV_PAGE : 0;
}
static inline uint32_t end_in(const Visible& v, uint32_t page) {
  return (page + 1) * BN_KV_PAGE <= v.last ? BN_KV_PAGE : v.last - page * BN_KV_PAGE + 1;
}

// The largest score and the sum of weights of one page, or of several that were merged.
struct Softmax {
  float top, total;
};

// Weights e[p] = EXP(score - top) of positions [begin, end) of a page for one query head.
static inline Softmax page_weights(const bn_attn& a, const float* q, uint32_t kv_head, uint32_t page, uint32_t begin,
                                   uint32_t end, float* e) {
  const uint64_t head = static_cast<uint64_t>(kv_head) * a.kv_stride_head;
  float top = -__builtin_inff();
  for (uint32_t p = begin; p < end; ++p) {
    Sum16 dot;
    for (uint32_t c = 0; c < a.head_dim; c += 256) {
      float key[256];
      const uint32_t n = a.head_dim - c < 256 ? a.head_dim - c : 256;
      for (uint32_t d = 0; d < n; ++d) {
        key[d] = kv_at(a.kv_dtype, a.k[page], head + static_cast<uint64_t>(p) * a.kv_stride_pos + c + d);
      }
      dot.add_chunk(q + c, key, n);
    }
    e[p] = dot.result() * a.scale;
    top = e[p] > top ? e[p] : top;
  }
  float lane[16] = {};
  for (uint32_t p = begin; p < end; ++p) {
    e[p] = exp1(e[p] - top);
    lane[p % 16] += e[p];
  }
  return {top, fold16(lane)};
}

// y[i] = element d + i of the sum of weights times values, i in [0, n): positions rising.
static inline void page_values(const bn_attn& a, uint32_t kv_head, uint32_t page, uint32_t begin, uint32_t end, const float* e,
                               uint32_t d, uint32_t n, float* y) {
  const uint64_t head = static_cast<uint64_t>(kv_head) * a.kv_stride_head;
  for (uint32_t i = 0; i < n; ++i) y[i] = 0.0f;
  for (uint32_t p = begin; p < end; ++p) {
    const uint64_t at = head + static_cast<uint64_t>(p) * a.kv_stride_pos + d;
    for (uint32_t i = 0; i < n; ++i) y[i] = fma(e[p], kv_at(a.kv_dtype, a.v[page], at + i), y[i]);
  }
}

// What the outputs so far and the sums of the next page are multiplied with, now that `page` is merged into `all`.
struct MergeFactors {
  float keep, add;
};
static inline MergeFactors merge_page(const Softmax& page, Softmax* all) {
  const float top = page.top > all->top ? page.top : all->top;
  const float keep = exp1(all->top - top), add = exp1(page.top - top);
  *all = {top, fma(page.total, add, all->total * keep)};
  return {keep, add};
}

// One query head against the visible positions of its sequence; y: [head_dim]. See attention().
static inline void attention_head(const bn_attn& a, const float* q, uint32_t kv_head, const Visible& v, float* y) {
  Softmax all = {-__builtin_inff(), 0.0f};
  for (uint32_t d = 0; d < a.head_dim; ++d) y[d] = 0.0f;
  for (uint32_t page = v.first / BN_KV_PAGE; page <= v.last / BN_KV_PAGE; ++page) {
    const uint32_t begin = begin_in(v, page), end = end_in(v, page);
    float e[BN_KV_PAGE];
    const MergeFactors m = merge_page(page_weights(a, q, kv_head, page, begin, end, e), &all);
    for (uint32_t d = 0; d < a.head_dim; d += 64) {
      float value[64];
      const uint32_t n = a.head_dim - d < 64 ? a.head_dim - d : 64;
      page_values(a, kv_head, page, begin, end, e, d, n, value);
      for (uint32_t i = 0; i < n; ++i) y[d + i] = fma(value[i], m.add, y[d + i] * m.keep);
    }
  }
  const float inverse = 1.0f / all.total;
  for (uint32_t d = 0; d < a.head_dim; ++d) y[d] = y[d] * inverse;
}

// attention: softmax(q.k * scale) v over the visible positions, in chunks of 128 positions at multiples of 128, rising.
// Positions that are not visible are skipped (and not read).
static inline void attention(const bn_attn& a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1) {
  const uint32_t group = a.n_heads / a.n_kv_heads;
  for (uint32_t t = tok0; t < tok1; ++t) {
    for (uint32_t h = head0; h < head1; ++h) {
      const uint64_t offset = static_cast<uint64_t>(h) * a.head_dim;
      attention_head(a, a.q + static_cast<uint64_t>(t) * a.q_stride + offset, h / group, visible(a, t),
                     a.y + static_cast<uint64_t>(t) * a.y_stride + offset);
    }
  }
}

// Where the part of a page lies.
static inline float* part_of(const bn_attn& a, const bn_attn_parts& parts, uint32_t t, uint32_t h, uint32_t page) {
  return parts.part + ((static_cast<uint64_t>(t) * a.n_heads + h) * parts.n_pages + (page - parts.page0)) * parts.stride;
}

// attention_parts and merge_parts: attention in two steps, the pages of the first in any order.
static inline void attention_parts(const bn_attn& a, const bn_attn_parts& parts, uint32_t tok0, uint32_t tok1, uint32_t head0,
                                   uint32_t head1, uint32_t page0, uint32_t page1) {
  const uint32_t group = a.n_heads / a.n_kv_heads;
  for (uint32_t t = tok0; t < tok1; ++t) {
    const Visible v = visible(a, t);
    for (uint32_t h = head0; h < head1; ++h) {
      const float* q = a.q + static_cast<uint64_t>(t) * a.q_stride + static_cast<uint64_t>(h) * a.head_dim;
      for (uint32_t page = page0; page < page1; ++page) {
        if (page < v.first / BN_KV_PAGE || page > v.last / BN_KV_PAGE) continue;
        const uint32_t begin = begin_in(v, page), end = end_in(v, page);
        float e[BN_KV_PAGE];
        float* part = part_of(a, parts, t, h, page);
        const Softmax s = page_weights(a, q, h / group, page, begin, end, e);
        page_values(a, h / group, page, begin, end, e, 0, a.head_dim, part);
        part[a.head_dim] = s.top;
        part[a.head_dim + 1] = s.total;
      }
    }
  }
}
static inline void merge_parts(const bn_attn& a, const bn_attn_parts& parts, uint32_t tok0, uint32_t tok1, uint32_t head0,
                               uint32_t head1) {
  for (uint32_t t = tok0; t < tok1; ++t) {
    const Visible v = visible(a, t);
    for (uint32_t h = head0; h < head1; ++h) {
      float* y = a.y + static_cast<uint64_t>(t) * a.y_stride + static_cast<uint64_t>(h) * a.head_dim;
      Softmax all = {-__builtin_inff(), 0.0f};
      for (uint32_t d = 0; d < a.head_dim; ++d) y[d] = 0.0f;
      for (uint32_t page = v.first / BN_KV_PAGE; page <= v.last / BN_KV_PAGE; ++page) {
        const float* part = part_of(a, parts, t, h, page);
        const MergeFactors m = merge_page({part[a.head_dim], part[a.head_dim + 1]}, &all);
        for (uint32_t d = 0; d < a.head_dim; ++d) y[d] = fma(part[d], m.add, y[d] * m.keep);
      }
      const float inverse = 1.0f / all.total;
      for (uint32_t d = 0; d < a.head_dim; ++d) y[d] = y[d] * inverse;
    }
  }
}

// act(g) * up of one element.
BN_KIT_FN float glu_element(uint32_t act, float g, float up) {
  switch (act) {
    case BN_ACT_RELU2: {
      const float m = 0.0f > g ? 0.0f : g;  // NaN stays NaN
      return (m * m) * up;
    }
    case BN_ACT_SILU:
      return (g / (1.0f + exp1(-g))) * up;
    default: {  // gelu_tanh(g) = g / (1 + e^(-c (g + k g^3))), c = 2 sqrt(2/pi), k = 0.044715
      const float inner = fma(0x1.6e4e26p-5f * (g * g), g, g);
      return (g / (1.0f + exp1(-(0x1.988454p+0f * inner)))) * up;
    }
  }
}

static inline void glu(const bn_glu& a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1) {
  for (uint32_t t = tok0; t < tok1; ++t) {
    const float* gate = a.gate + static_cast<uint64_t>(t) * a.gate_stride;
    const float* up = a.up + static_cast<uint64_t>(t) * a.up_stride;
    float* y = a.y + static_cast<uint64_t>(t) * a.y_stride;
    for (uint32_t c = col0; c < col1; ++c) y[c] = glu_element(a.act, gate[c], up[c]);
  }
}

}  // namespace bn::kit
