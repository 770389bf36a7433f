// cpu_avx2/attention.cpp - attention over paged KV in the canonical order: chunks of 128 positions, S16 scores, EXP, one FMA
// chain per output element over the positions.
//
// Up to four queries that share a KV head run together, so that each key and value is loaded and converted once for all of
// them: the heads of a group for one token, or several tokens. Positions that not all of them see are done one query at a
// time.
#include "bitnet/kit/arithmetic.hpp"
#include "kernels.h"
#include "simd.h"

namespace bn::avx2 {

static constexpr uint32_t kBatch = 4;

// Elements of the KV store. first(): the first n of 8, then zeros.
struct KvF32 {
  static constexpr uint64_t size = 4;
  static __m256 eight(const char* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
  static __m256 first(const char* p, uint32_t n) { return load_first(reinterpret_cast<const float*>(p), n); }
};
struct KvF16 {
  static constexpr uint64_t size = 2;
  static __m256 eight(const char* p) { return half_to_float(p); }
  static __m256 first(const char* p, uint32_t n) {
    if (n >= 8) return half_to_float(p);
    char part[16] = {};
    std::memcpy(part, p, size * n);
    return half_to_float(part);
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
  alignas(32) float e[BN_KV_PAGE];
};

// ----------------------------------------------------------------------------------------------------- scores
// Lanes [lane, lane + 8) of the S16 sums of P keys with Q queries; a half at a time, so that 8 chains stay in registers.
template <class Kv, int P, int Q>
static inline void score_lanes(const char* const* key, const float* const* q, uint32_t dim, uint32_t lane, __m256* total) {
  BN_UNROLL
  for (int i = 0; i < P * Q; ++i) total[i] = _mm256_setzero_ps();
  for (uint32_t c = 0; c < dim; c += 256) {
    const uint32_t end = dim - c < 256 ? dim : c + 256, full = c + (end - c) / 16 * 16;
    __m256 sum[P * Q];
    BN_UNROLL
    for (int i = 0; i < P * Q; ++i) sum[i] = _mm256_setzero_ps();
    uint32_t d = c + lane;
    for (; d < full; d += 16) {
      __m256 k[P];
      BN_UNROLL
      for (int p = 0; p < P; ++p) k[p] = Kv::eight(key[p] + Kv::size * d);
      BN_UNROLL
      for (int j = 0; j < Q; ++j) {
        __m256 v = _mm256_loadu_ps(q[j] + d);
        keep(&v);
        BN_UNROLL
        for (int p = 0; p < P; ++p) sum[j * P + p] = _mm256_fmadd_ps(v, k[p], sum[j * P + p]);
      }
    }
    if (d < end) {
      BN_UNROLL
      for (int j = 0; j < Q; ++j) {
        const __m256 v = load_first(q[j] + d, end - d);
        BN_UNROLL
        for (int p = 0; p < P; ++p) {
          sum[j * P + p] = _mm256_fmadd_ps(v, Kv::first(key[p] + Kv::size * d, end - d), sum[j * P + p]);
        }
      }
    }
    BN_UNROLL
    for (int i = 0; i < P * Q; ++i) total[i] = _mm256_add_ps(total[i], sum[i]);
  }
}

// Positions between the keys in work and the ones asked for.
static constexpr uint32_t kAhead = 16;

static inline void ask_for(const char* p, uint64_t bytes) {
  for (uint64_t i = 0; i < bytes; i += 64) _mm_prefetch(p + i, _MM_HINT_T1);
}

// e[p] = S16(q, key p) * scale for positions [begin, end) of a page and n <= Q queries; Q divides 8. Given values, keys
// further on and the values of the same positions are asked for meanwhile, into L2: rows of a head lie apart, which hardware
// does not foresee (Zen 4, one token, 4096 positions of f16: 14 GB/s against 7 without and 9 into L1).
template <class Kv, int Q>
static void score_positions(const bn_attn& a, const char* keys, const char* values, Query* query, uint32_t n, uint32_t begin,
                            uint32_t end) {
  constexpr uint32_t P = 8 / Q;
  const uint64_t stride = Kv::size * a.kv_stride_pos;
  const float* q[Q];
  for (uint32_t j = 0; j < Q; ++j) q[j] = query[j < n ? j : n - 1].q;
  for (uint32_t p0 = begin; p0 < end; p0 += P) {
    const char* key[P];
    for (uint32_t p = 0; p < P; ++p) key[p] = keys + stride * (p0 + p < end ? p0 + p : end - 1);
    if (values != nullptr) {
      for (uint32_t p = 0; p < P; ++p) {
        ask_for(key[p] + stride * kAhead, Kv::size * a.head_dim);
        ask_for(values + (key[p] - keys), Kv::size * a.head_dim);
      }
    }
    __m256 lo[8], hi[8];
    score_lanes<Kv, P, Q>(key, q, a.head_dim, 0, lo);
    score_lanes<Kv, P, Q>(key, q, a.head_dim, 8, hi);
    BN_UNROLL
    for (int i = 0; i < 8; ++i) lo[i] = _mm256_add_ps(lo[i], hi[i]);
    alignas(32) float score[8];
    _mm256_store_ps(score, _mm256_mul_ps(fold_eight(lo), _mm256_set1_ps(a.scale)));
    const uint32_t count = end - p0 < P ? end - p0 : P;
    for (uint32_t j = 0; j < n; ++j) {
      for (uint32_t p = 0; p < count; ++p) query[j].e[p0 + p] = score[j * P + p];
    }
  }
}

// Scores of one chunk to weights EXP(score - max), and the merge of its maximum and sum with the chunks before.
static void soften(Query* query) {
  float* e = query->e;
  const uint32_t from = query->begin & ~15u, to = (query->end + 15) & ~15u;
  for (uint32_t p = from; p < query->begin; ++p) e[p] = -__builtin_inff();  // EXP gives 0
  for (uint32_t p = query->end; p < to; ++p) e[p] = -__builtin_inff();
  __m256 m = _mm256_set1_ps(-__builtin_inff());
  for (uint32_t p = from; p < to; p += 8) m = _mm256_max_ps(_mm256_load_ps(e + p), m);
  __m128 top4 = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
  top4 = _mm_max_ps(top4, _mm_movehl_ps(top4, top4));
  const float chunk_top = _mm_cvtss_f32(_mm_max_ss(top4, _mm_movehdup_ps(top4)));
  const __m256 top = _mm256_set1_ps(chunk_top);
  __m256 lo = _mm256_setzero_ps(), hi = _mm256_setzero_ps();
  for (uint32_t p = from; p < to; p += 16) {
    const __m256 u = exp8(_mm256_sub_ps(_mm256_load_ps(e + p), top)), v = exp8(_mm256_sub_ps(_mm256_load_ps(e + p + 8), top));
    _mm256_store_ps(e + p, u);
    _mm256_store_ps(e + p + 8, v);
    lo = _mm256_add_ps(lo, u);
    hi = _mm256_add_ps(hi, v);
  }
  const float new_top = chunk_top > query->top ? chunk_top : query->top;
  query->keep = kit::exp1(query->top - new_top);
  query->add = kit::exp1(chunk_top - new_top);
  query->top = new_top;
  query->total = kit::fma(fold16(lo, hi), query->add, query->total * query->keep);
}

// ----------------------------------------------------------------------------------------------------- values
// sum[j] += e_j[p] * value p over positions [begin, end), for N vectors of 8 output elements (dims < 8: only the first dims).
template <class Kv, int Q, int N>
static inline void add_values(const char* values, uint64_t stride, const Query* query, uint32_t dims, uint32_t begin,
                              uint32_t end, __m256 (*sum)[N]) {
  __m256 s[Q][N];
  BN_UNROLL
  for (int j = 0; j < Q; ++j) {
    BN_UNROLL
    for (int i = 0; i < N; ++i) s[j][i] = sum[j][i];
  }
  for (uint32_t p = begin; p < end; ++p) {
    const char* value = values + stride * p;
    __m256 v[N];
    BN_UNROLL
    for (int i = 0; i < N; ++i) v[i] = N > 1 ? Kv::eight(value + Kv::size * 8 * i) : Kv::first(value, dims);
    BN_UNROLL
    for (int j = 0; j < Q; ++j) {
      const __m256 e = _mm256_broadcast_ss(&query[j].e[p]);
      BN_UNROLL
      for (int i = 0; i < N; ++i) s[j][i] = _mm256_fmadd_ps(e, v[i], s[j][i]);
    }
  }
  BN_UNROLL
  for (int j = 0; j < Q; ++j) {
    BN_UNROLL
    for (int i = 0; i < N; ++i) sum[j][i] = s[j][i];
  }
}

// Output elements [d, d + 8 N) of Q queries: this page's sums, merged into y. [begin, end): positions that all of them see.
template <class Kv, int Q, int N>
static inline void merge_values(const bn_attn& a, const char* values, Query* query, uint32_t d, uint32_t begin, uint32_t end) {
  const uint64_t stride = Kv::size * a.kv_stride_pos;
  const uint32_t dims = a.head_dim - d;
  values += Kv::size * d;
  __m256 sum[Q][N];
  BN_UNROLL
  for (int j = 0; j < Q; ++j) {
    BN_UNROLL
    for (int i = 0; i < N; ++i) sum[j][i] = _mm256_setzero_ps();
    add_values<Kv, 1, N>(values, stride, query + j, dims, query[j].begin, begin < query[j].end ? begin : query[j].end, sum + j);
  }
  add_values<Kv, Q, N>(values, stride, query, dims, begin, end, sum);
  BN_UNROLL
  for (int j = 0; j < Q; ++j) {
    add_values<Kv, 1, N>(values, stride, query + j, dims, end > query[j].begin ? end : query[j].begin, query[j].end, sum + j);
    if (query[j].begin == query[j].end) continue;
    const __m256 keep = _mm256_set1_ps(query[j].keep), add = _mm256_set1_ps(query[j].add);
    BN_UNROLL
    for (int i = 0; i < N; ++i) {
      float* y = query[j].y + d + 8 * i;
      const uint32_t n = dims - 8 * i;
      store_first(y, n, _mm256_fmadd_ps(sum[j][i], add, _mm256_mul_ps(load_first(y, n), keep)));
    }
  }
}

// ------------------------------------------------------------------------------------------------------ pages
// One page for Q queries of KV head `head`. cold: nobody read it just before.
template <class Kv, int Q>
static void attend_page(const bn_attn& a, uint32_t page, uint64_t head, Query* query, bool cold) {
  uint32_t begin = 0, end = BN_KV_PAGE;  // seen by all
  for (uint32_t j = 0; j < Q; ++j) {
    const uint32_t origin = page * BN_KV_PAGE;
    Query& q = query[j];
    q.begin = q.first > origin ? q.first - origin : 0;
    q.end = q.last < origin ? 0 : q.last - origin + 1 < BN_KV_PAGE ? q.last - origin + 1 : BN_KV_PAGE;
    if (q.begin >= q.end) q.begin = q.end = 0;
    begin = q.begin > begin ? q.begin : begin;
    end = q.end < end ? q.end : end;
  }
  if (begin > end) end = begin;
  const char* keys = static_cast<const char*>(a.k[page]) + Kv::size * head * a.kv_stride_head;
  const char* values = static_cast<const char*>(a.v[page]) + Kv::size * head * a.kv_stride_head;
  if (begin < end) score_positions<Kv, Q == 3 ? 4 : Q>(a, keys, cold ? values : nullptr, query, Q, begin, end);
  for (uint32_t j = 0; j < Q; ++j) {
    Query& q = query[j];
    if (q.begin == q.end) continue;
    const uint32_t before = begin < q.end ? begin : q.end, after = end > q.begin ? end : q.begin;
    if (q.begin < before) score_positions<Kv, 1>(a, keys, nullptr, query + j, 1, q.begin, before);
    if (after < q.end) score_positions<Kv, 1>(a, keys, nullptr, query + j, 1, after, q.end);
    soften(&q);
  }
  constexpr int N = 8 / Q;
  uint32_t d = 0;
  for (; d + 8 * N <= a.head_dim; d += 8 * N) merge_values<Kv, Q, N>(a, values, query, d, begin, end);
  for (; d < a.head_dim; d += 8) merge_values<Kv, Q, 1>(a, values, query, d, begin, end);
}

// Q queries of one KV head over all their pages.
template <class Kv, int Q>
static void attend(const bn_attn& a, uint64_t head, Query* query, bool cold) {
  uint32_t first = query[0].first, last = query[0].last;
  for (uint32_t j = 0; j < Q; ++j) {
    first = query[j].first < first ? query[j].first : first;
    last = query[j].last > last ? query[j].last : last;
    query[j].top = -__builtin_inff();
    query[j].total = 0.0f;
    std::memset(query[j].y, 0, sizeof(float) * a.head_dim);
  }
  for (uint32_t page = first / BN_KV_PAGE; page <= last / BN_KV_PAGE; ++page) attend_page<Kv, Q>(a, page, head, query, cold);
  for (uint32_t j = 0; j < Q; ++j) {
    const __m256 inverse = _mm256_set1_ps(1.0f / query[j].total);
    for (uint32_t d = 0; d < a.head_dim; d += 8) {
      const uint32_t n = a.head_dim - d;
      store_first(query[j].y + d, n, _mm256_mul_ps(load_first(query[j].y + d, n), inverse));
    }
  }
}

template <class Kv>
static void attend_range(const bn_attn& a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1) {
  const uint32_t group = a.n_heads / a.n_kv_heads;
  for (uint32_t h = head0; h < head1;) {
    const uint32_t kv_head = h / group, heads = (kv_head + 1) * group < head1 ? (kv_head + 1) * group - h : head1 - h;
    const uint64_t n = static_cast<uint64_t>(tok1 - tok0) * heads;
    for (uint64_t i = 0; i < n;) {
      const uint64_t left = n - i;
      const uint32_t batch = left >= kBatch ? kBatch : static_cast<uint32_t>(left);
      Query query[kBatch];
      for (uint32_t j = 0; j < batch; ++j) {
        const uint32_t t = tok0 + static_cast<uint32_t>((i + j) / heads);
        const uint64_t offset = (h + (i + j) % heads) * a.head_dim;
        query[j].q = a.q + static_cast<uint64_t>(t) * a.q_stride + offset;
        query[j].y = a.y + static_cast<uint64_t>(t) * a.y_stride + offset;
        query[j].last = a.pos0 + t;
        query[j].first = a.window != 0 && query[j].last + 1 > a.window ? query[j].last + 1 - a.window : 0;
      }
      switch (batch) {
        case 1:
          attend<Kv, 1>(a, kv_head, query, i == 0);
          break;
        case 2:
          attend<Kv, 2>(a, kv_head, query, i == 0);
          break;
        case 3:
          attend<Kv, 3>(a, kv_head, query, i == 0);
          break;
        default:
          attend<Kv, 4>(a, kv_head, query, i == 0);
          break;
      }
      i += batch;
    }
    h += heads;
  }
}

bn_status attention(bn_device*, const bn_attn* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void*) {
  switch (a->kv_dtype) {
    case BN_DT_F32:
      attend_range<KvF32>(*a, tok0, tok1, head0, head1);
      return BN_OK;
    case BN_DT_F16:
      attend_range<KvF16>(*a, tok0, tok1, head0, head1);
      return BN_OK;
    default:
      return BN_E_UNSUPPORTED;
  }
}

}  // namespace bn::avx2
