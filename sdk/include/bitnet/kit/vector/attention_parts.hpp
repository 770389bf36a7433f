// bitnet/kit/vector/attention_parts.hpp - attention in two steps, single pages and their merge; equals kit::attention_parts and
// kit::merge_parts of ops.hpp.
//
// A part is made by the code that attention runs for a page: a query that has seen nothing before, and whose output is the
// part.
#pragma once

#include "bitnet/kit/vector/attention.hpp"

namespace bn::kit::vector {

static inline float* part_of(const bn_attn& a, const bn_attn_parts& parts, uint64_t t, uint64_t h, uint32_t page) {
  return parts.part + ((t * a.n_heads + h) * parts.n_pages + (page - parts.page0)) * parts.stride;
}

// Q queries of one KV head over pages [page0, page1), each of which some of them see. part[j]: that of query j for page0.
template <class V, class Kv, int Q>
static inline void attend_parts(const bn_attn& a, uint64_t head, Query* query, float** part, uint64_t stride, uint32_t page0,
                                uint32_t page1, bool cold) {
  for (uint32_t page = page0; page < page1; ++page) {
    for (uint32_t j = 0; j < Q; ++j) {
      see_page(page, query + j);
      query[j].y = part[j] + stride * (page - page0);
      query[j].top = -__builtin_inff();
      query[j].total = 0.0f;
      // -0: what a sum is added to without a change, even a sum of -0.
      for (uint32_t d = 0; d < a.head_dim && query[j].end != 0; ++d) query[j].y[d] = -0.0f;
    }
    const char* next = nullptr;
    if (cold) next = static_cast<const char*>(a.k[page + 1 < page1 ? page + 1 : page]) + Kv::size * head * a.kv_stride_head;
    attend_page<V, Kv, Q>(a, page, head, query, next);
    for (uint32_t j = 0; j < Q; ++j) {
      if (query[j].end == 0) continue;
      query[j].y[a.head_dim] = query[j].top;
      query[j].y[a.head_dim + 1] = query[j].total;
    }
  }
}

template <class V, class Kv>
static inline void attend_parts_of_range(const bn_attn& a, const bn_attn_parts& parts, uint32_t tok0, uint32_t tok1,
                                         uint32_t head0, uint32_t head1, uint32_t page0, uint32_t page1) {
  const uint32_t group = a.n_heads / a.n_kv_heads;
  for (uint32_t h = head0; h < head1;) {
    const uint32_t kv_head = h / group, heads = (kv_head + 1) * group < head1 ? (kv_head + 1) * group - h : head1 - h;
    const uint64_t n = static_cast<uint64_t>(tok1 - tok0) * heads;
    for (uint64_t i = 0; i < n; i += kQueries) {
      const uint32_t batch = n - i >= kQueries ? kQueries : static_cast<uint32_t>(n - i);
      Query query[kQueries];
      float* part[kQueries];
      uint32_t first = page1, behind = page0;  // pages that any of them sees
      for (uint32_t j = 0; j < batch; ++j) {
        point(a, tok0, h, heads, i + j, query + j);
        first = query[j].first / BN_KV_PAGE < first ? query[j].first / BN_KV_PAGE : first;
        behind = query[j].last / BN_KV_PAGE + 1 > behind ? query[j].last / BN_KV_PAGE + 1 : behind;
      }
      first = first > page0 ? first : page0;
      behind = behind < page1 ? behind : page1;
      if (first >= behind) continue;
      for (uint32_t j = 0; j < batch; ++j) {
        part[j] = part_of(a, parts, tok0 + (i + j) / heads, h + (i + j) % heads, first);
      }
      switch (batch) {
        case 1:
          attend_parts<V, Kv, 1>(a, kv_head, query, part, parts.stride, first, behind, i == 0);
          break;
        case 2:
          attend_parts<V, Kv, 2>(a, kv_head, query, part, parts.stride, first, behind, i == 0);
          break;
        case 3:
          attend_parts<V, Kv, 3>(a, kv_head, query, part, parts.stride, first, behind, i == 0);
          break;
        default:
          attend_parts<V, Kv, 4>(a, kv_head, query, part, parts.stride, first, behind, i == 0);
      }
    }
    h += heads;
  }
}

template <class V>
static inline bn_status attention_parts(const bn_attn& a, const bn_attn_parts& parts, uint32_t tok0, uint32_t tok1,
                                        uint32_t head0, uint32_t head1, uint32_t page0, uint32_t page1) {
  switch (a.kv_dtype) {
    case BN_DT_F32:
      attend_parts_of_range<V, KvF32>(a, parts, tok0, tok1, head0, head1, page0, page1);
      return BN_OK;
    case BN_DT_F16:
      attend_parts_of_range<V, KvF16>(a, parts, tok0, tok1, head0, head1, page0, page1);
      return BN_OK;
    default:
      return BN_E_UNSUPPORTED;
  }
}

template <class V>
static inline void merge_parts(const bn_attn& a, const bn_attn_parts& parts, uint32_t tok0, uint32_t tok1, uint32_t head0,
                               uint32_t head1) {
  for (uint32_t t = tok0; t < tok1; ++t) {
    for (uint32_t h = head0; h < head1; ++h) {
      Query query;
      point(a, t, h, 1, 0, &query);
      start(a, &query);
      for (uint32_t page = query.first / BN_KV_PAGE; page <= query.last / BN_KV_PAGE; ++page) {
        const float* part = part_of(a, parts, t, h, page);
        merge_softmax(part[a.head_dim], part[a.head_dim + 1], &query);
        const auto keep = V::set(query.keep), add = V::set(query.add);
        for (uint32_t d = 0; d < a.head_dim; d += 16) {
          const uint32_t n = a.head_dim - d;
          V::store_first(query.y + d, n, V::fma(V::load_first(part + d, n), add, V::mul(V::load_first(query.y + d, n), keep)));
        }
      }
      finish<V>(a, &query);
    }
  }
}

}  // namespace bn::kit::vector
