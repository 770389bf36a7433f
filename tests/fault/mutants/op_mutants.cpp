// mutants/op_mutants.cpp - defects of the optional ops: orders of sums, missing FMA, edges, strides.
#include <cmath>
#include <cstring>
#include <vector>

#include "bitnet/kit/ops.hpp"
#include "mutants.h"

namespace bitnet::mutants {
namespace {

using namespace bn::kit;

// A sum of products with another number of lanes, chunk size, or without FMA.
struct SumShape {
  uint32_t lanes, chunk;
  bool fused, fold_rising;
};
template <SumShape kShape>
float shaped_sum(const float* a, const float* b, uint32_t n) {
  float total[32] = {};
  for (uint32_t c = 0; c < n; c += kShape.chunk) {
    float lane[32] = {};
    for (uint32_t i = 0; i < kShape.chunk && c + i < n; ++i) {
      float& l = lane[i % kShape.lanes];
      l = kShape.fused ? bn::kit::fma(a[c + i], b[c + i], l) : l + a[c + i] * b[c + i];
    }
    for (uint32_t j = 0; j < kShape.lanes; ++j) total[j] += lane[j];
  }
  if (kShape.fold_rising) {
    for (uint32_t j = 1; j < kShape.lanes; ++j) total[0] += total[j];
  } else {
    for (uint32_t w = kShape.lanes / 2; w > 0; w /= 2) {
      for (uint32_t j = 0; j < w; ++j) total[j] += total[j + w];
    }
  }
  return total[0];
}

template <SumShape kShape>
bn_status shaped_dense(bn_device*, const bn_dense* a, uint32_t row0, uint32_t row1, void*) {
  const uint64_t stride = dense_row_bytes(a->w->dtype, a->w->cols);
  std::vector<float> w(a->w->cols);
  for (uint32_t r = row0; r < row1; ++r) {
    decode_dense(a->w->dtype, static_cast<const uint8_t*>(a->w->data) + r * stride, 0, a->w->cols, w.data());
    for (uint32_t t = 0; t < a->m; ++t) {
      float y = shaped_sum<kShape>(w.data(), a->x + uint64_t{t} * a->x_stride, a->w->cols);
      if (a->w->dtype == BN_DT_I8_ROW) y *= row_scale(*a->w, r);
      a->y[uint64_t{t} * a->y_stride + r] = y;
    }
  }
  return BN_OK;
}

bn_status dense_reads_on(bn_device*, const bn_dense* a, uint32_t row0, uint32_t row1, void*) {
  (void)*static_cast<const volatile float*>(a->x + uint64_t{a->m - 1} * a->x_stride + a->w->cols);
  dense(*a, row0, row1);
  return BN_OK;
}

// Runs the reference on changed arguments.
template <class Args, class Change>
Args changed(const Args* a, Change&& change) {
  Args b = *a;
  change(b);
  return b;
}

bn_status norm_without_eps(bn_device*, const bn_norm* a, uint32_t v0, uint32_t v1, void*) {
  norm(changed(a, [](bn_norm& b) { b.eps = b.eps > 0 ? 0 : b.eps; }), v0, v1);
  return BN_OK;
}
bn_status norm_other_gain_order(bn_device*, const bn_norm* a, uint32_t v0, uint32_t v1, void*) {
  norm(*a, v0, v1);
  for (uint32_t v = v0; v < v1 && a->y != nullptr && a->gain != nullptr && a->y != a->x && a->eps >= 0; ++v) {
    const float* x = a->x + uint64_t{v} * a->x_stride;
    const float r = 1.0f / std::sqrt(s16(x, x, a->n) / static_cast<float>(a->n) + a->eps);
    for (uint32_t i = 0; i < a->n; ++i) a->y[uint64_t{v} * a->y_stride + i] = (x[i] * r) * a->gain[i];
  }
  return BN_OK;
}
// Codes as the reference has them, but from another rounding or without the lower bound.
template <class Code>
void requantise(const bn_norm* a, uint32_t v0, uint32_t v1, float floor, Code&& code) {
  norm(*a, v0, v1);
  for (uint32_t v = v0; v < v1 && a->q != nullptr && a->eps < 0 && a->x != a->y; ++v) {
    const float* x = a->x + uint64_t{v} * a->x_stride;
    float largest = floor;
    for (uint32_t i = 0; i < a->n; ++i) largest = std::fmax(largest, std::fabs(a->gain != nullptr ? x[i] * a->gain[i] : x[i]));
    if (!(largest > 0) || !std::isfinite(largest)) continue;
    a->q_sum[v] = 0;
    for (uint32_t i = 0; i < a->n; ++i) {
      const float u = (a->gain != nullptr ? x[i] * a->gain[i] : x[i]) * (127.0f / largest);
      a->q_sum[v] += a->q[uint64_t{v} * a->q_stride + i] = static_cast<int8_t>(code(u));
    }
    a->q_scale[v] = largest / 127.0f;
  }
}
bn_status norm_half_away(bn_device*, const bn_norm* a, uint32_t v0, uint32_t v1, void*) {
  requantise(a, v0, v1, 1e-5f, [](float u) { return std::round(u); });
  return BN_OK;
}
bn_status norm_without_floor(bn_device*, const bn_norm* a, uint32_t v0, uint32_t v1, void*) {
  requantise(a, v0, v1, 0.0f, [](float u) { return round_half_even(u); });
  return BN_OK;
}
bn_status norm_padding_forgotten(bn_device*, const bn_norm* a, uint32_t v0, uint32_t v1, void*) {
  for (uint32_t v = v0; v < v1; ++v) {
    std::vector<int8_t> padding;
    int8_t* q = a->q + uint64_t{v} * a->q_stride;
    if (a->q != nullptr) padding.assign(q + a->n, q + a->q_stride);
    norm(*a, v, v + 1);
    if (!padding.empty()) std::memcpy(q + a->n, padding.data(), padding.size());
  }
  return BN_OK;
}

bn_status rope_always_halves(bn_device*, const bn_rope* a, uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void*) {
  rope(changed(a, [](bn_rope& b) { b.kind = BN_ROPE_HALVES; }), t0, t1, h0, h1);
  return BN_OK;
}
bn_status rope_ignores_pos0(bn_device*, const bn_rope* a, uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void*) {
  rope(changed(a, [](bn_rope& b) { b.pos0 = 0; }), t0, t1, h0, h1);
  return BN_OK;
}
bn_status rope_without_fma(bn_device*, const bn_rope* a, uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void*) {
  const uint32_t half = a->rope_dim / 2;
  for (uint32_t t = t0; t < t1; ++t) {
    for (uint32_t h = h0; h < h1; ++h) {
      float* x = a->x + uint64_t{t} * a->x_stride + uint64_t{h} * a->head_dim;
      for (uint32_t i = 0; i < half; ++i) {
        float &x0 = a->kind == BN_ROPE_PAIRS ? x[2 * i] : x[i], &x1 = a->kind == BN_ROPE_PAIRS ? x[2 * i + 1] : x[i + half];
        const float c = a->cos[uint64_t{a->pos0 + t} * half + i], s = a->sin[uint64_t{a->pos0 + t} * half + i];
        const float y0 = x0 * c - x1 * s, y1 = x0 * s + x1 * c;
        x0 = y0, x1 = y1;
      }
    }
  }
  return BN_OK;
}

using AttentionChange = void (*)(bn_attn&);
template <AttentionChange kChange>
bn_status changed_attention(bn_device*, const bn_attn* a, uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void*) {
  attention(changed(a, kChange), t0, t1, h0, h1);
  return BN_OK;
}
void window_too_narrow(bn_attn& a) { a.window = a.window > 1 ? a.window - 1 : a.window; }
void window_ignored(bn_attn& a) { a.window = 0; }
void f16_always(bn_attn& a) { a.kv_dtype = BN_DT_F16; }
bn_status attention_next_page(bn_device*, const bn_attn* a, uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void*) {
  (void)*static_cast<const volatile uint8_t*>(a->k[(a->pos0 + t1 - 1) / BN_KV_PAGE + 1]);
  attention(*a, t0, t1, h0, h1);
  return BN_OK;
}

// A part of one page is merged with the page before; and the newest page is left out of the merge.
bn_status parts_merged_early(bn_device*, const bn_attn* a, const bn_attn_parts* parts, uint32_t t0, uint32_t t1, uint32_t h0,
                             uint32_t h1, uint32_t page0, uint32_t page1, void*) {
  attention_parts(*a, *parts, t0, t1, h0, h1, page0, page1);
  for (uint32_t page = page0 + 1; page < page1; ++page) {
    float* part = part_of(*a, *parts, t0, h0, page);
    part[a->head_dim] = std::fmax(part[a->head_dim], part_of(*a, *parts, t0, h0, page - 1)[a->head_dim]);
  }
  return BN_OK;
}
bn_status merge_without_newest(bn_device*, const bn_attn* a, const bn_attn_parts* parts, uint32_t t0, uint32_t t1, uint32_t h0,
                               uint32_t h1, void*) {
  bn_attn shorter = *a;
  if (shorter.pos0 >= BN_KV_PAGE) shorter.pos0 -= BN_KV_PAGE;
  merge_parts(shorter, *parts, t0, t1, h0, h1);
  return BN_OK;
}

// Attention over one softmax of everything: `exponential`, one running sum, no chunks.
template <float (*kExp)(float)>
bn_status plain_attention(bn_device*, const bn_attn* a, uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void*) {
  for (uint32_t t = t0; t < t1; ++t) {
    for (uint32_t h = h0; h < h1; ++h) {
      const uint32_t last = a->pos0 + t, first = a->window != 0 && last + 1 > a->window ? last + 1 - a->window : 0;
      const float* q = a->q + uint64_t{t} * a->q_stride + uint64_t{h} * a->head_dim;
      float* y = a->y + uint64_t{t} * a->y_stride + uint64_t{h} * a->head_dim;
      const uint64_t head = uint64_t{h / (a->n_heads / a->n_kv_heads)} * a->kv_stride_head;
      std::vector<float> e, key(a->head_dim);
      float top = -HUGE_VALF, total = 0;
      for (uint32_t p = first; p <= last; ++p) {
        const uint64_t at = head + uint64_t{p % BN_KV_PAGE} * a->kv_stride_pos;
        for (uint32_t d = 0; d < a->head_dim; ++d) key[d] = kv_at(a->kv_dtype, a->k[p / BN_KV_PAGE], at + d);
        e.push_back(s16(q, key.data(), a->head_dim) * a->scale);
        top = std::fmax(top, e.back());
      }
      for (float& x : e) total += x = kExp(x - top);
      for (uint32_t d = 0; d < a->head_dim; ++d) {
        float sum = 0;
        for (uint32_t p = first; p <= last; ++p) {
          const uint64_t at = head + uint64_t{p % BN_KV_PAGE} * a->kv_stride_pos;
          sum = bn::kit::fma(e[p - first], kv_at(a->kv_dtype, a->v[p / BN_KV_PAGE], at + d), sum);
        }
        y[d] = sum * (1.0f / total);
      }
    }
  }
  return BN_OK;
}
float libm_exp(float x) { return std::exp(x); }

bn_status glu_libm(bn_device*, const bn_glu* a, uint32_t t0, uint32_t t1, uint32_t c0, uint32_t c1, void*) {
  if (a->act != BN_ACT_SILU) return glu(*a, t0, t1, c0, c1), BN_OK;
  for (uint32_t t = t0; t < t1; ++t) {
    for (uint32_t c = c0; c < c1; ++c) {
      const float g = a->gate[uint64_t{t} * a->gate_stride + c];
      a->y[uint64_t{t} * a->y_stride + c] = (g / (1.0f + std::exp(-g))) * a->up[uint64_t{t} * a->up_stride + c];
    }
  }
  return BN_OK;
}
bn_status glu_negative_zero(bn_device*, const bn_glu* a, uint32_t t0, uint32_t t1, uint32_t c0, uint32_t c1, void*) {
  glu(*a, t0, t1, c0, c1);
  for (uint32_t t = t0; t < t1; ++t) {
    for (uint32_t c = c0; c < c1; ++c) a->y[uint64_t{t} * a->y_stride + c] += 0.0f;  // -0 becomes +0
  }
  return BN_OK;
}
bn_status glu_subnormals_lost(bn_device*, const bn_glu* a, uint32_t t0, uint32_t t1, uint32_t c0, uint32_t c1, void*) {
  glu(*a, t0, t1, c0, c1);
  for (uint32_t t = t0; t < t1; ++t) {
    for (uint32_t c = c0; c < c1; ++c) {
      float& y = a->y[uint64_t{t} * a->y_stride + c];
      if (std::fabs(y) < 0x1p-126f) y = std::copysign(0.0f, y);
    }
  }
  return BN_OK;
}

void approximate(bn_device& d, float tolerance) {
  d.table.numerics = BN_APPROX_1;
  d.table.tolerance = tolerance;
  d.table.dense = shaped_dense<SumShape{8, 65536, false, true}>;
  d.table.attention = plain_attention<libm_exp>;
}

}  // namespace

#define BN_SET(field, function) [](bn_device& d) { d.table.field = function; }
const Mutant kOpMutants[] = {{"dense_without_fma", BN_SET(dense, (shaped_dense<SumShape{16, 256, false, false}>))},
                             {"dense_8_lanes", BN_SET(dense, (shaped_dense<SumShape{8, 256, true, false}>))},
                             {"dense_without_chunks", BN_SET(dense, (shaped_dense<SumShape{16, 65536, true, false}>))},
                             {"dense_fold_rising", BN_SET(dense, (shaped_dense<SumShape{16, 256, true, true}>))},
                             {"dense_reads_on", BN_SET(dense, dense_reads_on)},
                             {"norm_without_eps", BN_SET(norm, norm_without_eps)},
                             {"norm_other_gain_order", BN_SET(norm, norm_other_gain_order)},
                             {"norm_half_away", BN_SET(norm, norm_half_away)},
                             {"norm_without_floor", BN_SET(norm, norm_without_floor)},
                             {"norm_padding_forgotten", BN_SET(norm, norm_padding_forgotten)},
                             {"rope_always_halves", BN_SET(rope, rope_always_halves)},
                             {"rope_ignores_pos0", BN_SET(rope, rope_ignores_pos0)},
                             {"rope_without_fma", BN_SET(rope, rope_without_fma)},
                             {"window_too_narrow", BN_SET(attention, changed_attention<window_too_narrow>)},
                             {"window_ignored", BN_SET(attention, changed_attention<window_ignored>)},
                             {"kv_f16_always", BN_SET(attention, changed_attention<f16_always>)},
                             {"attention_next_page", BN_SET(attention, attention_next_page)},
                             {"attention_without_chunks", BN_SET(attention, plain_attention<exp1>)},
                             {"attention_libm_exp", BN_SET(attention, plain_attention<libm_exp>)},
                             {"parts_merged_early", BN_SET(attention_parts, parts_merged_early)},
                             {"merge_without_newest", BN_SET(merge_parts, merge_without_newest)},
                             {"glu_libm_exp", BN_SET(glu, glu_libm)},
                             {"glu_negative_zero", BN_SET(glu, glu_negative_zero)},
                             {"glu_subnormals_lost", BN_SET(glu, glu_subnormals_lost)},
                             {"approximate", [](bn_device& d) { approximate(d, 1e-2f); }},
                             {"approximate_worse_than_said", [](bn_device& d) { approximate(d, 1e-9f); }},
                             {nullptr, nullptr}};
#undef BN_SET

}  // namespace bitnet::mutants
