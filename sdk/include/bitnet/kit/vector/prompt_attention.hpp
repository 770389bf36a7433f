// bitnet/kit/vector/prompt_attention.hpp - attention of many tokens: what attention.hpp computes, a page for all queries at
// once.
//
// The keys of a page are turned once: a register holds one element of as many positions as it has lanes. So each of the 16
// lanes of S16 is a register of its own, the scores of these positions are folded without a shuffle, and every register of keys
// is used for four queries. Both pages are copied to where they stay in L1, in pieces, while all queries use them. Each score
// and each output element is the same chain of operations as in attention.hpp.
//
// More is asked of a policy V:
//
//   Part::interleave(a, b, &first, &second)   a0 b0 a1 b1 ..., in two registers
#pragma once

#include "bitnet/kit/vector/attention.hpp"

namespace bn::kit::vector {

inline constexpr uint32_t kTogether = 256;       // queries that share a copied page; with q and y they stay in L2
inline constexpr uint32_t kFewestTogether = 32;  // fewer are not worth the copy
inline constexpr uint32_t kMostDims = 256;       // of a head: one chunk of S16

struct PromptPlace {
  // keys: [span of positions][pair of lanes of S16, in the order of folding][head_dim / 16][lane][kKeySpan]
  // values: [span of elements][position][kSpan]
  alignas(64) float page[BN_KV_PAGE * kMostDims];
  Query query[kTogether];
};

// What four queries use at once: elements of a tile of values; positions of a tile of scores, for two lanes of S16.
template <class V>
inline constexpr uint32_t kSpan = V::kSums* V::Part::kLanes;
template <class V>
inline constexpr uint32_t kKeySpan = kSpan<V> / 2;

// A square of V::kLanes registers, rows to columns. Each round rotates the bits of (register, lane) by one. V: a part.
template <class V>
static inline void turn(typename V::F* a) {
  constexpr int kLanes = V::kLanes;
  typename V::F b[kLanes];
  BN_UNROLL
  for (int round = 1; round < kLanes; round *= 2) {
    BN_UNROLL
    for (int i = 0; i < kLanes / 2; ++i) V::interleave(a[i], a[i + kLanes / 2], b + 2 * i, b + 2 * i + 1);
    BN_UNROLL
    for (int i = 0; i < kLanes; ++i) a[i] = b[i];
  }
}

// fold16 adds lanes 8 apart, then 4, 2 and 1. In this order few sums have to wait for their other half: bits reversed.
static inline uint32_t folding_order(uint32_t lane) {
  return (lane & 1) << 3 | (lane & 2) << 1 | (lane & 4) >> 1 | (lane & 8) >> 3;
}

// Keys of positions [begin, end), rows of `dims` elements; nothing else is read.
template <class V, class Kv>
static inline void turn_keys(const char* keys, uint64_t stride, uint32_t dims, uint32_t begin, uint32_t end, float* page) {
  using Part = typename V::Part;
  constexpr uint32_t kLanes = Part::kLanes;
  for (uint32_t p0 = begin / kLanes * kLanes; p0 < end; p0 += kLanes) {
    const char* row[kLanes];
    for (uint32_t i = 0; i < kLanes; ++i) {
      const uint32_t p = p0 + i < begin ? begin : p0 + i < end ? p0 + i : end - 1;
      row[i] = keys + stride * p;
    }
    float* const to = page + p0 / kKeySpan<V> * kKeySpan<V> * dims + p0 % kKeySpan<V>;
    for (uint32_t d = 0; d < dims; d += kLanes) {
      typename Part::F a[kLanes];
      BN_UNROLL
      for (uint32_t i = 0; i < kLanes; ++i) a[i] = Kv::template get<Part>(row[i] + Kv::size * d);
      turn<Part>(a);
      BN_UNROLL
      for (uint32_t i = 0; i < kLanes; ++i) {
        const uint32_t order = folding_order((d + i) % 16);
        Part::store(to + ((order / 2 * (dims / 16) + d / 16) * 2 + order % 2) * kKeySpan<V>, a[i]);
      }
    }
  }
}

template <class V, class Kv>
static inline void copy_values(const char* values, uint64_t stride, uint32_t dims, uint32_t begin, uint32_t end, float* page) {
  using Part = typename V::Part;
  for (uint32_t p = begin; p < end; ++p) {
    for (uint32_t d = 0; d < dims; d += Part::kLanes) {
      float* const to = page + (d / kSpan<V> * BN_KV_PAGE + p) * kSpan<V> + d % kSpan<V>;
      Part::store(to, Kv::template get<Part>(values + stride * p + Kv::size * d));
    }
  }
}

// e[p] of Q queries for the N registers of positions from p on; keys: theirs, of the first two lanes. All but the loop over the
// chunks is unrolled: branches that depend on the pair of lanes are guessed wrong (AVX-512: 83 to 88 GFMA/s).
template <class V, int Q, int N>
__attribute__((noinline)) static void score_tile(const float* keys, uint32_t chunks, float scale, Query* const* query,
                                                 uint32_t p) {
  using Part = typename V::Part;
  constexpr uint32_t kLanes = Part::kLanes;
  alignas(64) float kept[3][Q][N * kLanes];  // sums of 2, 4 and 8 lanes that wait for as many others
  BN_UNROLL
  for (uint32_t pair = 0; pair < 8; ++pair) {
    typename Part::F s[2][Q][N];
    BN_UNROLL
    for (int l = 0; l < 2; ++l) {
      BN_UNROLL
      for (int j = 0; j < Q; ++j) {
        BN_UNROLL
        for (int i = 0; i < N; ++i) s[l][j][i] = Part::zero();
      }
    }
    const float* q[Q];
    BN_UNROLL
    for (int j = 0; j < Q; ++j) q[j] = query[j]->q + folding_order(2 * pair);
    for (uint32_t c = 0; c < chunks; ++c, keys += 2 * kKeySpan<V>) {
      BN_UNROLL
      for (int l = 0; l < 2; ++l) {
        typename Part::F k[N];
        BN_UNROLL
        for (int i = 0; i < N; ++i) k[i] = Part::load(keys + kKeySpan<V> * l + kLanes * i);
        BN_UNROLL
        for (int j = 0; j < Q; ++j) {
          const auto x = Part::set(q[j][16 * c + 8 * l]);
          BN_UNROLL
          for (int i = 0; i < N; ++i) s[l][j][i] = Part::fma(x, k[i], s[l][j][i]);
        }
      }
    }
    BN_UNROLL
    for (int j = 0; j < Q; ++j) {
      BN_UNROLL
      for (int i = 0; i < N; ++i) {
        auto sum = Part::add(s[0][j][i], s[1][j][i]);
        if (pair % 2 == 1) sum = Part::add(Part::load(kept[0][j] + kLanes * i), sum);
        if (pair % 4 == 3) sum = Part::add(Part::load(kept[1][j] + kLanes * i), sum);
        if (pair == 7) {
          sum = Part::add(Part::load(kept[2][j] + kLanes * i), sum);
          Part::store(query[j]->e + p + kLanes * i, Part::mul(sum, Part::set(scale)));
        } else {
          Part::store(kept[pair % 2 == 0 ? 0 : pair % 4 == 1 ? 1 : 2][j] + kLanes * i, sum);
        }
      }
    }
  }
}
template <class V, int Q, int N>
static inline void score_some(uint32_t n, const float* keys, uint32_t chunks, float scale, Query* const* query, uint32_t p) {
  if constexpr (N > 1) {
    if (n < N) return score_some<V, Q, N - 1>(n, keys, chunks, scale, query, p);
  }
  score_tile<V, Q, N>(keys, chunks, scale, query, p);
}

// Scores of n <= kQueries queries for what they see of positions [span, span + kKeySpan).
template <class V>
static inline void score_span(const bn_attn& a, const float* page, uint32_t span, Query* query, uint32_t n) {
  constexpr uint32_t kLanes = V::Part::kLanes;
  uint32_t begin = BN_KV_PAGE, end = 0;
  Query* all[kQueries];
  for (uint32_t j = 0; j < kQueries; ++j) {
    Query& q = query[j < n ? j : n - 1];
    all[j] = &q;
    if (q.begin == q.end) continue;
    begin = q.begin < begin ? q.begin : begin;
    end = q.end > end ? q.end : end;
  }
  begin = begin < span ? span : begin / kLanes * kLanes;
  end = end > span + kKeySpan<V> ? span + kKeySpan<V> : end;
  if (begin >= end) return;
  score_some<V, kQueries, V::kSums / 2>((end - begin + kLanes - 1) / kLanes, page + span * a.head_dim + (begin - span),
                                        a.head_dim / 16, a.scale, all, begin);
}

// sum[j] += e_j[p] * value p over positions [begin, end). V: a part; Span: floats between two positions.
template <class V, int Q, int N, uint32_t Span>
__attribute__((noinline)) static void add_copied(const float* values, const Query* query, uint32_t begin, uint32_t end,
                                                 typename V::F (*sum)[N]) {
  typename V::F s[Q][N];
  BN_UNROLL
  for (int j = 0; j < Q; ++j) {
    BN_UNROLL
    for (int i = 0; i < N; ++i) s[j][i] = sum[j][i];
  }
  for (uint32_t p = begin; p < end; ++p) {
    typename V::F v[N];
    BN_UNROLL
    for (int i = 0; i < N; ++i) v[i] = V::load(values + Span * p + V::kLanes * i);
    BN_UNROLL
    for (int j = 0; j < Q; ++j) {
      const auto e = V::set(query[j].e[p]);
      BN_UNROLL
      for (int i = 0; i < N; ++i) s[j][i] = V::fma(e, v[i], s[j][i]);
    }
  }
  BN_UNROLL
  for (int j = 0; j < Q; ++j) {
    BN_UNROLL
    for (int i = 0; i < N; ++i) sum[j][i] = s[j][i];
  }
}

// Output elements of N registers from d on, `values` theirs: this page's sums, merged into y of Q queries.
template <class V, int Q, int N>
static inline void merge_tile(const float* values, Query* query, uint32_t d) {
  using Part = typename V::Part;
  uint32_t begin = 0, end = BN_KV_PAGE;  // seen by all
  for (uint32_t j = 0; j < Q; ++j) {
    begin = query[j].begin > begin ? query[j].begin : begin;
    end = query[j].end < end ? query[j].end : end;
  }
  if (begin > end) end = begin;
  typename Part::F sum[Q][N];
  for (int j = 0; j < Q; ++j) {
    for (int i = 0; i < N; ++i) sum[j][i] = Part::zero();
    const uint32_t before = begin < query[j].end ? begin : query[j].end;
    if (query[j].begin < before) add_copied<Part, 1, N, kSpan<V>>(values, query + j, query[j].begin, before, sum + j);
  }
  add_copied<Part, Q, N, kSpan<V>>(values, query, begin, end, sum);
  for (int j = 0; j < Q; ++j) {
    if (query[j].begin == query[j].end) continue;
    const uint32_t after = end > query[j].begin ? end : query[j].begin;
    if (after < query[j].end) add_copied<Part, 1, N, kSpan<V>>(values, query + j, after, query[j].end, sum + j);
    const auto keep = Part::set(query[j].keep), add = Part::set(query[j].add);
    BN_UNROLL
    for (int i = 0; i < N; ++i) {
      float* const y = query[j].y + d + Part::kLanes * i;
      Part::store(y, Part::fma(sum[j][i], add, Part::mul(Part::load(y), keep)));
    }
  }
}
template <class V, int N>
static inline void merge_some(uint32_t n, const float* values, Query* query, uint32_t n_queries, uint32_t d) {
  if constexpr (N > 1) {
    if (n < N) return merge_some<V, N - 1>(n, values, query, n_queries, d);
  }
  uint32_t i = 0;
  for (; i + kQueries <= n_queries; i += kQueries) merge_tile<V, kQueries, N>(values, query + i, d);
  for (; i < n_queries; ++i) merge_tile<V, 1, N>(values, query + i, d);
}

// One page for n queries of KV head `head`, some of which see something of it.
template <class V, class Kv>
static inline void attend_page_together(const bn_attn& a, uint32_t page, uint64_t head, PromptPlace* place, uint32_t n) {
  uint32_t begin = BN_KV_PAGE, end = 0;  // seen by any
  for (uint32_t i = 0; i < n; ++i) {
    Query& q = place->query[i];
    see_page(page, &q);
    if (q.begin == q.end) continue;
    begin = q.begin < begin ? q.begin : begin;
    end = q.end > end ? q.end : end;
  }
  const uint64_t offset = Kv::size * head * a.kv_stride_head, stride = Kv::size * a.kv_stride_pos;
  turn_keys<V, Kv>(static_cast<const char*>(a.k[page]) + offset, stride, a.head_dim, begin, end, place->page);
  for (uint32_t span = begin / kKeySpan<V> * kKeySpan<V>; span < end; span += kKeySpan<V>) {
    for (uint32_t i = 0; i < n; i += kQueries) {
      score_span<V>(a, place->page, span, place->query + i, n - i < kQueries ? n - i : kQueries);
    }
  }
  for (uint32_t i = 0; i < n; ++i) {
    if (place->query[i].begin < place->query[i].end) soften<V>(place->query + i);
  }
  copy_values<V, Kv>(static_cast<const char*>(a.v[page]) + offset, stride, a.head_dim, begin, end, place->page);
  for (uint32_t d = 0; d < a.head_dim; d += kSpan<V>) {
    merge_some<V, V::kSums>((a.head_dim - d) / V::Part::kLanes, place->page + d * BN_KV_PAGE, place->query, n, d);
  }
}

// n queries of one KV head over all their pages.
template <class V, class Kv>
static inline void attend_together(const bn_attn& a, uint64_t head, PromptPlace* place, uint32_t n) {
  uint32_t first = place->query[0].first, last = place->query[0].last;
  for (uint32_t i = 0; i < n; ++i) {
    Query& q = place->query[i];
    first = q.first < first ? q.first : first;
    last = q.last > last ? q.last : last;
    start(a, &q);
  }
  for (uint32_t page = first / BN_KV_PAGE; page <= last / BN_KV_PAGE; ++page) {
    attend_page_together<V, Kv>(a, page, head, place, n);
  }
  for (uint32_t i = 0; i < n; ++i) finish<V>(a, place->query + i);
}

template <class V, class Kv>
static inline void attend_prompt(const bn_attn& a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1,
                                 PromptPlace* place) {
  const uint32_t group = a.n_heads / a.n_kv_heads;
  for (uint32_t h = head0; h < head1;) {
    const uint32_t kv_head = h / group, heads = (kv_head + 1) * group < head1 ? (kv_head + 1) * group - h : head1 - h;
    const uint64_t n = static_cast<uint64_t>(tok1 - tok0) * heads;
    if (n < kFewestTogether || a.head_dim % 16 != 0 || a.head_dim > kMostDims) {
      attend_range<V, Kv>(a, tok0, tok1, h, h + heads);
    } else {
      for (uint64_t i = 0; i < n; i += kTogether) {
        const uint32_t some = n - i < kTogether ? static_cast<uint32_t>(n - i) : kTogether;
        for (uint32_t j = 0; j < some; ++j) point(a, tok0, h, heads, i + j, place->query + j);
        attend_together<V, Kv>(a, kv_head, place, some);
      }
    }
    h += heads;
  }
}

// place: sizeof(PromptPlace) bytes, 64-byte aligned.
template <class V>
static inline bn_status prompt_attention(const bn_attn& a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1,
                                         void* place) {
  switch (a.kv_dtype) {
    case BN_DT_F32:
      attend_prompt<V, KvF32>(a, tok0, tok1, head0, head1, static_cast<PromptPlace*>(place));
      return BN_OK;
    case BN_DT_F16:
      attend_prompt<V, KvF16>(a, tok0, tok1, head0, head1, static_cast<PromptPlace*>(place));
      return BN_OK;
    default:
      return BN_E_UNSUPPORTED;
  }
}

}  // namespace bn::kit::vector
