// device/attention_free.cu - attention of few tokens where the order of sums is free (fast numerics): the positions of a KV
// head are shared out evenly to as many blocks as fill the GPU, and all threads of a block share the values of all its heads.
//
// Against attention_decode.cu, whose order is that of the kit: no share is longer than the others by more than 7 positions
// (there it is a chunk of 128: at 4096 positions, 27 blocks a KV head, 256 for some and 128 for most); a thread takes its piece
// of a value for 4 heads at once, so that shared memory is read a quarter as often; the weights are of the running maximum, so
// that tiles need no partial results. Predicted for one layer of 20 heads of 128 over f32 on an H200: 2.5 us instead of 3.2 at
// 128 positions, 7.2 instead of 8.5 at 4096, where reading the cache takes 4.9.
#include "attention_merge.h"
#include "attention_queries.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kLeastShare = 32;

// Positions [from, to) of a block, one of n_parts that have some.
struct Share {
  uint32_t from, to, n_parts;
};
BN_DEVICE Share share_of(uint32_t last, uint32_t window, uint32_t n_splits, uint32_t split) {
  const uint32_t first = window != 0 && last + 1 > window ? last + 1 - window : 0, n = last + 1 - first;
  const uint32_t most = (n + kLeastShare - 1) / kLeastShare, parts = n_splits < most ? n_splits : most;
  const uint32_t each = ((n + parts - 1) / parts + 7) / 8 * 8;
  const uint32_t from = first + split * each, to = from + each;
  return {from, to < last + 1 ? to : last + 1, (n + each - 1) / each};
}

// Begins to read positions [from, to) of the cache into a piece.
template <class E>
BN_DEVICE void begin_tile(E* piece, const E* cache, uint32_t from, uint32_t to, uint32_t head_dim) {
  if (from < to) copy_rows(piece, cache + uint64_t{from} * head_dim, 0, to - from, head_dim);
  copy_commit();
}

// Waits for the older of two pieces on their way. The last of its n rows is `newest` where that is not null; up to 3 rows
// behind become 0.
template <class E>
BN_DEVICE void finish_tile(E* piece, uint32_t n, const E* newest, uint32_t head_dim) {
  copy_wait<1>();
  const uint32_t stride = row_stride(head_dim);
  for (uint32_t d = thread_index(); d < head_dim; d += kChunkThreads) {
    if (newest != nullptr) piece[(n - 1) * stride + d] = newest[d];
    for (uint32_t row = n; row % 4 != 0; ++row) piece[row * stride + d] = E{};
  }
  sync_block();
}

// What a thread has of the values: elements d, d+1 of every head, summed over every groups-th four positions.
struct ValueLane {
  uint32_t group, groups, d;  // group >= groups: none
};
BN_DEVICE ValueLane value_lane(uint32_t head_dim) {
  const uint32_t pairs = head_dim / 2;
  return {thread_index() / pairs, kChunkThreads / pairs, thread_index() % pairs * 2};
}

template <class E>
BN_DEVICE void add_values(const ChunkMemory<E>& m, const E* values, uint32_t n, uint32_t n_heads, uint32_t head_dim,
                          float (&y)[kChunkHeads][2]) {
  const ValueLane lane = value_lane(head_dim);  // not kept: registers are what is short
  BN_UNROLL
  for (uint32_t h = 0; h < kChunkHeads; ++h) {
    if (h < n_heads) y[h][0] *= m.top[h], y[h][1] *= m.top[h];
  }
  const uint32_t stride = row_stride(head_dim);
  for (uint32_t p = 4 * lane.group; p < n && lane.group < lane.groups; p += 4 * lane.groups) {
    Vector<E, 2> v[4];
    BN_UNROLL
    for (uint32_t i = 0; i < 4; ++i) v[i] = load<2>(values + (p + i) * stride + lane.d);
    BN_UNROLL
    for (uint32_t h = 0; h < kChunkHeads; ++h) {
      if (h >= n_heads) continue;
      const Vector<float, 4> e = load<4>(m.e + h * kChunk + p);
      BN_UNROLL
      for (uint32_t i = 0; i < 4; ++i) {
        y[h][0] = bn::kit::fma(e.e[i], value_of(v[i].e[0]), y[h][0]);
        y[h][1] = bn::kit::fma(e.e[i], value_of(v[i].e[1]), y[h][1]);
      }
    }
  }
}

// The share of one block: m.top and m.total of each head, and y of each thread.
template <class E>
BN_DEVICE void attend(const AttentionArgs& a, const ChunkMemory<E>& m, const Share& share, uint32_t n_heads, uint64_t cache_at,
                      const E* newest, float (&y)[kChunkHeads][2]) {
  const uint32_t D = a.head_dim, rows = piece_rows(D, sizeof(E)), cached = newest != nullptr ? share.to - 1 : share.to;
  const E *k = static_cast<const E*>(a.k) + cache_at, *v = static_cast<const E*>(a.v) + cache_at;
  E *keys = m.pieces, *values = keys + rows * row_stride(D);
  const auto end_of = [&](uint32_t from, uint32_t limit) { return from + rows < limit ? from + rows : limit; };
  float top = -__builtin_inff(), total = 0.0f;  // of the head that is the warp's
  for (uint32_t from = share.from; from < share.to; from += rows) {
    const uint32_t n = end_of(from, share.to) - from, next = from + rows;
    const bool has_newest = newest != nullptr && from + n == share.to;
    finish_tile(keys, n, has_newest ? newest : nullptr, D);
    if (n_heads == 1) {
      chunk_scores<1>(m, keys, 0, rows, 0, n, 1, D, a.scale);
    } else {
      chunk_scores<2>(m, keys, 0, rows, 0, n, n_heads, D, a.scale);
    }
    sync_block();
    begin_tile(keys, k, next, end_of(next, cached), D);
    if (warp_index() < n_heads) {
      const TopTotal w = row_weights(m.e + warp_index() * kChunk, 0, n, top);
      const float keep = bn::kit::exp1(top - w.top);
      total = bn::kit::fma(total, keep, w.total);
      top = w.top;
      m.top[warp_index()] = keep;
    }
    finish_tile(values, n, has_newest ? newest + D : nullptr, D);
    add_values(m, values, n, n_heads, D, y);
    sync_block();
    begin_tile(values, v, next, end_of(next, cached), D);
  }
  if (warp_index() < n_heads) m.top[warp_index()] = top, m.total[warp_index()] = total;
}

// Elements d, d+1 of a head, summed over the groups of threads; after put_sums() and a barrier.
template <class E>
BN_DEVICE float* group_sums(const ChunkMemory<E>& m, uint32_t group, uint32_t head, uint32_t head_dim) {
  return reinterpret_cast<float*>(m.pieces) + (group * kChunkHeads + head) * head_dim;
}

// rope: null when q, k and v are rotated and in the cache.
template <class E>
BN_DEVICE void decode(const AttentionArgs& a, const RopeArgs* rope) {
  dependents_may_start();
  dependency_wait();
  if (a.state->stopped != 0) return;
  const uint32_t D = a.head_dim, group = a.n_heads / a.n_kv_heads, parts = subgroups(group);
  const uint32_t last = static_cast<uint32_t>(a.state->position) + block_y(), split = block_x() % a.n_splits;
  const Share share = share_of(last, a.window, a.n_splits, split);
  if (split >= share.n_parts) return;
  const uint32_t part = block_x() / a.n_splits % parts, kv_head = block_x() / (parts * a.n_splits);
  const uint32_t per_part = (group + parts - 1) / parts, from = part * per_part;
  const Heads heads{kv_head, kv_head * group + from, group - from < per_part ? group - from : per_part};
  const ChunkMemory<E> m = chunk_memory<E>(D);
  const uint64_t cache_at = kv_head * a.kv_stride_head;
  const bool makes_newest = rope != nullptr && share.to == last + 1;

  const uint32_t rows = piece_rows(D, sizeof(E)), cached = makes_newest ? share.to - 1 : share.to;
  const uint32_t first_end = share.from + rows < cached ? share.from + rows : cached;
  begin_tile(m.pieces, static_cast<const E*>(a.k) + cache_at, share.from, first_end, D);
  begin_tile(m.pieces + rows * row_stride(D), static_cast<const E*>(a.v) + cache_at, share.from, first_end, D);
  if (rope == nullptr) {
    take_queries(a, m, heads);
  } else {
    make_queries(*rope, m, heads, last, makes_newest, from == 0);
  }
  sync_block();

  float y[kChunkHeads][2] = {};
  attend(a, m, share, heads.n, cache_at, makes_newest ? m.newest : nullptr, y);
  const ValueLane lane = value_lane(D);
  BN_UNROLL
  for (uint32_t h = 0; h < kChunkHeads; ++h) {
    if (lane.group >= lane.groups || h >= heads.n) continue;
    *reinterpret_cast<Vector<float, 2>*>(group_sums(m, lane.group, h, D) + lane.d) = {y[h][0], y[h][1]};
  }
  sync_block();

  Item items[kItems];
  Running running[kItems];
  const uint64_t first_head = uint64_t{block_y()} * a.n_heads + heads.first;
  const Partials partials{a.partial, a.partial + uint64_t{a.n_tokens} * a.n_heads * a.n_splits * D, a.n_splits, D};
  BN_UNROLL
  for (uint32_t k = 0; k < kItems; ++k) {
    items[k] = item_of(k, D);
    const uint32_t h = items[k].head;
    if (h >= heads.n) continue;
    float sum[2] = {};
    for (uint32_t g = 0; g < lane.groups; ++g) {
      const Vector<float, 2> s = load<2>(group_sums(m, g, h, D) + items[k].d);
      sum[0] += s.e[0], sum[1] += s.e[1];
    }
    if (share.n_parts == 1) {
      running[k].join(m.top[h], m.total[h], sum);
      continue;
    }
    const uint64_t slot = partials.slot(first_head + h, split);
    *reinterpret_cast<Vector<float, 2>*>(partials.sum + slot * D + items[k].d) = {sum[0], sum[1]};
    if (items[k].d == 0) *reinterpret_cast<Vector<float, 2>*>(partials.top_total + 2 * slot) = {m.top[h], m.total[h]};
  }
  if (share.n_parts > 1) {
    if (!is_last(a.arrived + first_head, share.n_parts, m.flag)) return;
    join_partials(m, partials, first_head, heads.n, share.n_parts, items, running);
  }
  float* out = a.y + uint64_t{block_y()} * a.y_stride + uint64_t{heads.first} * D;
  BN_UNROLL
  for (uint32_t k = 0; k < kItems; ++k) {
    if (items[k].head >= heads.n) continue;
    const float inverse = 1.0f / running[k].total;
    for (uint32_t j = 0; j < 2; ++j) out[items[k].head * D + items[k].d + j] = running[k].y[j] * inverse;
  }
}

template <class E>
BN_GLOBAL_FITTING(kChunkThreads, 2)
void attention_free(AttentionArgs a) {
  decode<E>(a, nullptr);
}
template <class E>
BN_GLOBAL_FITTING(kChunkThreads, 2)
void fused_attention_free(FusedAttentionArgs a) {
  decode<E>(a.attention, &a.rope);
}

}  // namespace

const Kernel& attention_free_kernel(uint32_t kv_dtype) {
  static const Kernel f16 = KernelOf<AttentionArgs>::make<attention_free<uint16_t>>("attention_free f16");
  static const Kernel f32 = KernelOf<AttentionArgs>::make<attention_free<float>>("attention_free f32");
  return kv_dtype == BN_DT_F16 ? f16 : f32;
}

const Kernel& fused_attention_free_kernel(uint32_t kv_dtype) {
  static const Kernel f16 = KernelOf<FusedAttentionArgs>::make<fused_attention_free<uint16_t>>("fused_attention_free f16");
  static const Kernel f32 = KernelOf<FusedAttentionArgs>::make<fused_attention_free<float>>("fused_attention_free f32");
  return kv_dtype == BN_DT_F16 ? f16 : f32;
}

uint32_t attention_free_splits(uint32_t n_heads, uint32_t n_kv_heads, uint32_t n_ctx, uint32_t n_sms) {
  const uint32_t per_share = n_kv_heads * subgroups(n_heads / n_kv_heads), full = (n_sms + per_share - 1) / per_share;
  const uint32_t shares = (n_ctx + kLeastShare - 1) / kLeastShare, most = shares < kFreeShares ? shares : kFreeShares;
  return full < most ? full : most;
}

}  // namespace bn_cuda
