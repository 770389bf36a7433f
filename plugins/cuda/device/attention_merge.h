// device/attention_merge.h - chunks of one query head joined in rising order: the softmax over all of them.
#pragma once

#include "attention_chunk.h"

namespace bn_cuda {

// A pair of result elements while chunks come in.
struct Running {
  float top = -__builtin_inff(), total = 0.0f, y[2] = {0.0f, 0.0f};

  BN_DEVICE_MEMBER void join(float chunk_top, float chunk_total, const float (&sum)[2]) {
    const float new_top = chunk_top > top ? chunk_top : top;
    join_with(bn::kit::exp1(top - new_top), bn::kit::exp1(chunk_top - new_top), chunk_total, sum[0], sum[1]);
    top = new_top;
  }
  BN_DEVICE_MEMBER void join_with(float keep, float add, float chunk_total, float sum0, float sum1) {
    total = bn::kit::fma(chunk_total, add, total * keep);
    y[0] = bn::kit::fma(sum0, add, y[0] * keep);
    y[1] = bn::kit::fma(sum1, add, y[1] * keep);
  }
};

// What blocks leave for the one that arrives last: per query head of a token and chunk a sum per dimension, top and total.
struct Partials {
  float *sum, *top_total;
  uint32_t max_chunks, head_dim;

  BN_DEVICE_MEMBER uint64_t slot(uint64_t head, uint32_t chunk) const { return head * max_chunks + chunk; }
};
BN_DEVICE Partials partials_of(const AttentionArgs& a, uint32_t position) {
  const uint32_t max_chunks = (position + a.n_tokens - 1) / kChunk + 1;
  return {a.partial, a.partial + uint64_t{a.n_tokens} * a.n_heads * max_chunks * a.head_dim, max_chunks, a.head_dim};
}

// Joins chunks [0, n_chunks) of heads [head, head + n_heads) (counted over tokens and heads). All threads call it; item i of
// the thread is left in running[i]. Per batch of chunks a warp per head makes the factors, the lane of a chunk from all tops
// before.
template <class E>
BN_DEVICE void join_partials(const ChunkMemory<E>& m, const Partials& p, uint64_t head, uint32_t n_heads, uint32_t n_chunks,
                             const Item (&items)[kItems], Running (&running)[kItems]) {
  constexpr uint32_t kArray = kChunkHeads * kMergeBatch;
  float *tops = m.merge, *keeps = tops + kArray, *adds = keeps + kArray, *totals = adds + kArray;
  const uint32_t lane = lane_index(), warp = warp_index();
  float before_batch = -__builtin_inff();
  for (uint32_t base = 0; base < n_chunks; base += kMergeBatch) {
    const uint32_t n = n_chunks - base < kMergeBatch ? n_chunks - base : kMergeBatch;
    sync_block();
    if (warp < n_heads) {
      const uint32_t at = warp * kMergeBatch + lane;
      const float* mine = p.top_total + 2 * p.slot(head + warp, base + lane);
      tops[at] = lane < n ? mine[0] : -__builtin_inff();
      totals[at] = lane < n ? mine[1] : 0.0f;
      sync_warp();
      float before = before_batch;
      for (uint32_t i = 0; i < lane; ++i) before = tops[at - lane + i] > before ? tops[at - lane + i] : before;
      const float now = tops[at] > before ? tops[at] : before;
      keeps[at] = bn::kit::exp1(before - now);
      adds[at] = bn::kit::exp1(tops[at] - now);
      before_batch = shuffle(now, 31);
    }
    sync_block();
    BN_UNROLL
    for (uint32_t k = 0; k < kItems; ++k) {
      if (items[k].head >= n_heads) continue;
      const float* sum = p.sum + p.slot(head + items[k].head, base) * p.head_dim + items[k].d;
      const uint32_t at = items[k].head * kMergeBatch;
      for (uint32_t i = 0; i < n; ++i) {
        const Vector<float, 2> s = load<2>(sum + i * p.head_dim);
        running[k].join_with(keeps[at + i], adds[at + i], totals[at + i], s.e[0], s.e[1]);
      }
    }
  }
}

}  // namespace bn_cuda
