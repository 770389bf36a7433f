// bitnet/kit/vector/attention.hpp - attention over paged KV in the canonical order: chunks of 128 positions, S16 scores, EXP,
// one FMA chain per output element over the positions; equals kit::attention of ops.hpp.
//
// Up to four queries that share a KV head run together, so that each key and value is loaded and converted once for all of
// them: the heads of a group for one token, or several tokens. Positions that not all of them see are done one query at a
// time.
#pragma once

#include "bitnet/kernels.h"
#include "bitnet/kit/vector/arithmetic.hpp"

namespace bn::kit::vector {

inline constexpr uint32_t kQueries = 4;

// Elements of the KV store, a part at a time: get: all its lanes; first: the first n of them, then zeros.
struct KvF32 {
  static constexpr uint64_t size = 4;
  template <class V>
  static inline typename V::F get(const char* p) {
    return V::load(reinterpret_cast<const float*>(p));
  }
  template <class V>
  static inline typename V::F first(const char* p, uint32_t n) {
    return V::load_first(reinterpret_cast<const float*>(p), n);
  }
};
struct KvF16 {
  static constexpr uint64_t size = 2;
  template <class V>
  static inline typename V::F get(const char* p) {
    return V::load_half(p);
  }
  template <class V>
  static inline typename V::F first(const char* p, uint32_t n) {
    if (n >= V::kLanes) return V::load_half(p);
    char part[size * V::kLanes] = {};
    std::memcpy(part, p, size * n);
    return V::load_half(part);
  }
};

// One query (token and head) while its pages pass by.
struct Query {
  const float* q;
  float* y;
  uint32_t first, last;  // visible positions
  float top, total;      // of the chunks so far
  uint32_t begin, end;   // visible positions of this page
  float keep, add;       // factors that merge this chunk
  alignas(64) float e[BN_KV_PAGE + 16];
};

// Query i of the tokens from tok0 on, `heads` heads from h on for each.
static inline void point(const bn_attn& a, uint32_t tok0, uint64_t h, uint32_t heads, uint64_t i, Query* query) {
  const uint64_t t = tok0 + i / heads, offset = (h + i % heads) * a.head_dim;
  query->q = a.q == nullptr ? nullptr : a.q + t * a.q_stride + offset;  // who merges parts has no q
  query->y = a.y == nullptr ? nullptr : a.y + t * a.y_stride + offset;  // who makes parts has no y
  query->last = a.pos0 + static_cast<uint32_t>(t);
  query->first = a.window != 0 && query->last + 1 > a.window ? query->last + 1 - a.window : 0;
}
static inline void start(const bn_attn& a, Query* query) {
  query->top = -__builtin_inff();
  query->total = 0.0f;
  std::memset(query->y, 0, sizeof(float) * a.head_dim);
}
static inline void see_page(uint32_t page, Query* query) {
  const uint32_t origin = page * BN_KV_PAGE;
  query->begin = query->first > origin ? query->first - origin : 0;
  query->end = query->last < origin ? 0 : query->last - origin + 1 < BN_KV_PAGE ? query->last - origin + 1 : BN_KV_PAGE;
  if (query->begin >= query->end) query->begin = query->end = 0;
}
template <class V>
static inline void finish(const bn_attn& a, Query* query) {
  const auto inverse = V::set(1.0f / query->total);
  for (uint32_t d = 0; d < a.head_dim; d += 16) {
    const uint32_t n = a.head_dim - d;
    V::store_first(query->y + d, n, V::mul(V::load_first(query->y + d, n), inverse));
  }
}

// Keys and values come from memory, a page of one and then of the other: rows one behind the other. What is read kBytesApart
// further on is asked for, and at the end of a page the start of what is read next, so that memory is never idle. Into L1: what
// is fetched into L2 first and from there later takes the same few places for lines on their way twice (Zen 5, AVX-512, one
// token, 4096 positions, f32: 30 GB/s, and 20 with the values of a page asked for beside its keys, into L2).
struct Ahead {
  static constexpr uint32_t kBytesApart = 8192;
  // rows [0, end) of `stride` bytes, then those at `next`; null: nothing is asked for
  Ahead(const char* rows_, uint64_t stride_, uint32_t end_, const char* next_)
      : rows(rows_),
        next(next_),
        stride(stride_),
        end(end_),
        apart(static_cast<uint32_t>((kBytesApart + stride_ - 1) / stride_)) {}
  const char* row(uint32_t p) const {
    return p + apart < end ? rows + stride * (p + apart) : next + stride * (p + apart - end);
  }

  const char *rows, *next;
  uint64_t stride;
  uint32_t end, apart;
};

static inline void ask_now(const char* p, uint64_t bytes) {  // into L1
  for (uint64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 3);
}

// ----------------------------------------------------------------------------------------------------- scores
// Lanes [lane, lane + V::kLanes) of the S16 sums of elements [c, end) of P keys with Q queries: one chunk. V: a part. The same
// elements of the keys `then`, if there are such, are asked for meanwhile: all at once they would keep the others waiting.
template <class V, class Kv, int P, int Q>
static inline void part_lanes(const char* const* key, const char* const* then, const float* const* q, uint32_t c, uint32_t end,
                              uint32_t lane, typename V::F* sum) {
  constexpr uint32_t line = 64 / Kv::size;
  BN_UNROLL
  for (int i = 0; i < P * Q; ++i) sum[i] = V::zero();
  for (; c + 16 <= end; c += 16) {
    typename V::F k[P];
    BN_UNROLL
    for (int p = 0; p < P; ++p) {
      k[p] = Kv::template get<V>(key[p] + Kv::size * (c + lane));
      V::keep(&k[p]);
      if (then != nullptr && lane == 0 && c % line == 0) __builtin_prefetch(then[p] + Kv::size * c, 0, 3);
    }
    BN_UNROLL
    for (int j = 0; j < Q; ++j) {
      auto v = V::load(q[j] + c + lane);
      V::keep(&v);
      BN_UNROLL
      for (int p = 0; p < P; ++p) sum[j * P + p] = V::fma(v, k[p], sum[j * P + p]);
    }
  }
  if (c + lane >= end) return;
  const uint32_t rest = end - c - lane;
  BN_UNROLL
  for (int j = 0; j < Q; ++j) {
    const auto v = V::load_first(q[j] + c + lane, rest);
    BN_UNROLL
    for (int p = 0; p < P; ++p) {
      sum[j * P + p] = V::fma(v, Kv::template first<V>(key[p] + Kv::size * (c + lane), rest), sum[j * P + p]);
    }
  }
}
// All lanes; a part at a time, so that the sums stay in registers.
template <class V, class Kv, int P, int Q>
static inline void chunk_lanes(const char* const* key, const char* const* then, const float* const* q, uint32_t c, uint32_t end,
                               typename V::F* sum) {
  typename V::Part::F part[P * Q][V::kParts];
  BN_UNROLL
  for (int l = 0; l < V::kParts; ++l) {
    typename V::Part::F lanes[P * Q];
    part_lanes<typename V::Part, Kv, P, Q>(key, then, q, c, end, V::Part::kLanes * l, lanes);
    BN_UNROLL
    for (int i = 0; i < P * Q; ++i) part[i][l] = lanes[i];
  }
  BN_UNROLL
  for (int i = 0; i < P * Q; ++i) sum[i] = V::join(part[i]);
}
// Adds the chunks behind the first one. Not inlined: heads of more than 256 elements are rare, and their loop beside the other
// costs registers.
template <class V, class Kv, int P, int Q>
__attribute__((noinline)) static void add_further_chunks(const char* const* key, const float* const* q, uint32_t dim,
                                                         typename V::F* total) {
  for (uint32_t c = 256; c < dim; c += 256) {
    typename V::F sum[P * Q];
    chunk_lanes<V, Kv, P, Q>(key, nullptr, q, c, dim - c < 256 ? dim : c + 256, sum);
    for (int i = 0; i < P * Q; ++i) total[i] = V::add(total[i], sum[i]);
  }
}

// e[p] = S16(q, key p) * scale for positions [begin, end) of a page and n <= Q queries; Q divides V::kScores. Some elements
// behind them change, too. next: see Ahead.
template <class V, class Kv, int Q>
static inline void score_positions(const bn_attn& a, const char* keys, const char* next, Query* query, uint32_t n,
                                   uint32_t begin, uint32_t end) {
  constexpr uint32_t P = V::kScores / Q;
  const uint64_t stride = Kv::size * a.kv_stride_pos;
  const Ahead ahead(keys, stride, end, next);
  const float* q[Q];
  for (uint32_t j = 0; j < Q; ++j) q[j] = query[j < n ? j : n - 1].q;
  for (uint32_t p0 = begin; p0 < end; p0 += P) {
    const char *key[P], *then[P];
    for (uint32_t p = 0; p < P; ++p) {
      key[p] = keys + stride * (p0 + p < end ? p0 + p : end - 1);
      then[p] = next == nullptr ? nullptr : ahead.row(p0 + p);
    }
    typename V::F total[V::kScores];
    // Without the 0 that S16 starts from: it makes +0 of a score of -0, and both weigh the same.
    chunk_lanes<V, Kv, P, Q>(key, next == nullptr ? nullptr : then, q, 0, a.head_dim < 256 ? a.head_dim : 256, total);
    if (a.head_dim > 256) add_further_chunks<V, Kv, P, Q>(key, q, a.head_dim, total);
    float scores[V::kScores];
    V::fold_scores(total, a.scale, scores);
    for (uint32_t j = 0; j < n; ++j) std::memcpy(query[j].e + p0, scores + j * P, sizeof(float) * P);
  }
}

// A page's largest score and sum of weights, merged with those of the pages before.
static inline void merge_softmax(float top, float total, Query* query) {
  const float new_top = top > query->top ? top : query->top;
  query->keep = kit::exp1(query->top - new_top);
  query->add = kit::exp1(top - new_top);
  query->top = new_top;
  query->total = fma(total, query->add, query->total * query->keep);
}

// Scores of one chunk to weights EXP(score - max), merged with the chunks before.
template <class V>
static inline void soften(Query* query) {
  float* e = query->e;
  const uint32_t from = query->begin & ~15u, to = (query->end + 15) & ~15u;
  for (uint32_t p = from; p < query->begin; ++p) e[p] = -__builtin_inff();  // EXP gives 0
  for (uint32_t p = query->end; p < to; ++p) e[p] = -__builtin_inff();
  auto m = V::set(-__builtin_inff());
  for (uint32_t p = from; p < to; p += 16) m = V::larger(V::load(e + p), m);
  const float chunk_top = V::largest(m);
  const auto top = V::set(chunk_top);
  auto lanes = V::zero();
  for (uint32_t p = from; p < to; p += 16) {
    const auto u = exp1<V>(V::sub(V::load(e + p), top));
    V::store(e + p, u);
    lanes = V::add(lanes, u);
  }
  merge_softmax(chunk_top, V::fold(lanes), query);
}

// ----------------------------------------------------------------------------------------------------- values
// sum[j] += e_j[p] * value p over positions [begin, end), for N parts of output elements (dims < V::kLanes: only the first
// dims). V: a part. Not inlined: beside other code gcc 12 keeps one of the sums in memory (half of the speed).
template <class V, class Kv, int Q, int N>
__attribute__((noinline)) static void add_values(const Ahead& ahead, const Query* query, uint32_t dims, uint32_t begin,
                                                 uint32_t end, typename V::F (*sum)[N]) {
  constexpr uint32_t kBytes = N * V::kLanes * Kv::size;
  typename V::F s[Q][N];
  BN_UNROLL
  for (int j = 0; j < Q; ++j) {
    BN_UNROLL
    for (int i = 0; i < N; ++i) s[j][i] = sum[j][i];
  }
  for (uint32_t p = begin; p < end; ++p) {
    const char* value = ahead.rows + ahead.stride * p;
    if (ahead.next != nullptr) ask_now(ahead.row(p), kBytes);
    typename V::F v[N];
    BN_UNROLL
    for (int i = 0; i < N; ++i) {
      v[i] = N > 1 ? Kv::template get<V>(value + Kv::size * V::kLanes * i) : Kv::template first<V>(value, dims);
    }
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

// Positions whose values stay in L1 while all parts of the output take them.
inline constexpr uint32_t kValueRows = 16;

// Output elements [d, d + V::kLanes N Blocks) of Q queries: this page's sums, merged into y. [begin, end): positions that all
// of them see. next: see Ahead; the rows of the same elements.
template <class V, class Kv, int Q, int N, int Blocks>
static inline void merge_values(const bn_attn& a, const char* values, const char* next, Query* query, uint32_t d,
                                uint32_t begin, uint32_t end) {
  constexpr uint32_t kDims = N * V::kLanes;
  const uint64_t stride = Kv::size * a.kv_stride_pos;
  typename V::F sum[Blocks][Q][N];
  for (int b = 0; b < Blocks; ++b) {
    const Ahead rows(values + Kv::size * (d + b * kDims), stride, end, nullptr);
    BN_UNROLL
    for (int j = 0; j < Q; ++j) {
      BN_UNROLL
      for (int i = 0; i < N; ++i) sum[b][j][i] = V::zero();
      const uint32_t before = begin < query[j].end ? begin : query[j].end;
      add_values<V, Kv, 1, N>(rows, query + j, a.head_dim - d, query[j].begin, before, sum[b] + j);
    }
  }
  for (uint32_t p = begin; p < end; p += kValueRows) {
    for (int b = 0; b < Blocks; ++b) {
      const uint64_t offset = Kv::size * (d + b * kDims);
      const Ahead rows(values + offset, stride, end, next == nullptr ? nullptr : next + offset);
      add_values<V, Kv, Q, N>(rows, query, a.head_dim - d, p, end - p < kValueRows ? end : p + kValueRows, sum[b]);
    }
  }
  for (int b = 0; b < Blocks; ++b, d += kDims) {
    const Ahead rows(values + Kv::size * d, stride, end, nullptr);
    BN_UNROLL
    for (int j = 0; j < Q; ++j) {
      const uint32_t after = end > query[j].begin ? end : query[j].begin;
      add_values<V, Kv, 1, N>(rows, query + j, a.head_dim - d, after, query[j].end, sum[b] + j);
      if (query[j].begin == query[j].end) continue;
      const auto keep = V::set(query[j].keep), add = V::set(query[j].add);
      BN_UNROLL
      for (int i = 0; i < N; ++i) {
        float* y = query[j].y + d + V::kLanes * i;
        const uint32_t n = a.head_dim - d - V::kLanes * i;
        V::store_first(y, n, V::fma(sum[b][j][i], add, V::mul(V::load_first(y, n), keep)));
      }
    }
  }
}

// ------------------------------------------------------------------------------------------------------ pages
// One page for Q queries of KV head `head`. next: the keys that are read after it; null: all this was read just before.
template <class V, class Kv, int Q>
static inline void attend_page(const bn_attn& a, uint32_t page, uint64_t head, Query* query, const char* next) {
  uint32_t begin = 0, end = BN_KV_PAGE;  // seen by all
  for (uint32_t j = 0; j < Q; ++j) {
    see_page(page, query + j);
    begin = query[j].begin > begin ? query[j].begin : begin;
    end = query[j].end < end ? query[j].end : end;
  }
  if (begin > end) end = begin;
  const char* keys = static_cast<const char*>(a.k[page]) + Kv::size * head * a.kv_stride_head;
  const char* values = static_cast<const char*>(a.v[page]) + Kv::size * head * a.kv_stride_head;
  for (uint32_t j = 0; j < Q; ++j) {  // in rising order: what is written too far is written again
    const uint32_t before = begin < query[j].end ? begin : query[j].end;
    if (query[j].begin < before) score_positions<V, Kv, 1>(a, keys, nullptr, query + j, 1, query[j].begin, before);
  }
  const char* then = next == nullptr ? nullptr : values + Kv::size * a.kv_stride_pos * begin;
  if (begin < end) score_positions<V, Kv, Q == 3 ? 4 : Q>(a, keys, then, query, Q, begin, end);
  for (uint32_t j = 0; j < Q; ++j) {
    Query& q = query[j];
    if (q.begin == q.end) continue;
    const uint32_t after = end > q.begin ? end : q.begin;
    if (after < q.end) score_positions<V, Kv, 1>(a, keys, nullptr, query + j, 1, after, q.end);
    soften<V>(&q);
  }
  constexpr int N = V::kSums, kBlocks = 128 / (V::Part::kLanes * N);
  constexpr uint32_t kLanes = V::Part::kLanes;
  uint32_t d = 0;
  for (; d + 128 <= a.head_dim; d += 128) {
    merge_values<typename V::Part, Kv, Q, N, kBlocks>(a, values, next, query, d, begin, end);
  }
  for (; d + kLanes * N <= a.head_dim; d += kLanes * N) {
    merge_values<typename V::Part, Kv, Q, N, 1>(a, values, next, query, d, begin, end);
  }
  for (; d < a.head_dim; d += kLanes) merge_values<typename V::Part, Kv, Q, 1, 1>(a, values, next, query, d, begin, end);
}

// Q queries of one KV head over all their pages.
template <class V, class Kv, int Q>
static inline void attend(const bn_attn& a, uint64_t head, Query* query, bool cold) {
  uint32_t first = query[0].first, last = query[0].last;
  for (uint32_t j = 0; j < Q; ++j) {
    first = query[j].first < first ? query[j].first : first;
    last = query[j].last > last ? query[j].last : last;
    start(a, query + j);
  }
  for (uint32_t page = first / BN_KV_PAGE; page <= last / BN_KV_PAGE; ++page) {
    const char* next = nullptr;
    if (cold)
      next = static_cast<const char*>(a.k[page < last / BN_KV_PAGE ? page + 1 : page]) + Kv::size * head * a.kv_stride_head;
    attend_page<V, Kv, Q>(a, page, head, query, next);
  }
  for (uint32_t j = 0; j < Q; ++j) finish<V>(a, query + j);
}

template <class V, class Kv>
static inline void attend_batch(const bn_attn& a, uint64_t head, Query* query, uint32_t n, bool cold) {
  switch (n) {
    case 1:
      return attend<V, Kv, 1>(a, head, query, cold);
    case 2:
      return attend<V, Kv, 2>(a, head, query, cold);
    case 3:
      return attend<V, Kv, 3>(a, head, query, cold);
    default:
      return attend<V, Kv, 4>(a, head, query, cold);
  }
}

template <class V, class Kv>
static inline void attend_range(const bn_attn& a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1) {
  const uint32_t group = a.n_heads / a.n_kv_heads;
  for (uint32_t h = head0; h < head1;) {
    const uint32_t kv_head = h / group, heads = (kv_head + 1) * group < head1 ? (kv_head + 1) * group - h : head1 - h;
    const uint64_t n = static_cast<uint64_t>(tok1 - tok0) * heads;
    for (uint64_t i = 0; i < n; i += kQueries) {
      const uint32_t batch = n - i >= kQueries ? kQueries : static_cast<uint32_t>(n - i);
      Query query[kQueries];
      for (uint32_t j = 0; j < batch; ++j) point(a, tok0, h, heads, i + j, query + j);
      attend_batch<V, Kv>(a, kv_head, query, batch, i == 0);
    }
    h += heads;
  }
}

template <class V>
static inline bn_status attention(const bn_attn& a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1) {
  switch (a.kv_dtype) {
    case BN_DT_F32:
      attend_range<V, KvF32>(a, tok0, tok1, head0, head1);
      return BN_OK;
    case BN_DT_F16:
      attend_range<V, KvF16>(a, tok0, tok1, head0, head1);
      return BN_OK;
    default:
      return BN_E_UNSUPPORTED;
  }
}

}  // namespace bn::kit::vector
