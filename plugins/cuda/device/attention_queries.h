// device/attention_queries.h - what blocks of the attention of few tokens do before and after their positions: q into shared
// memory, rotated if it is not yet, and the newest key and value; who comes last of those that share a head.
#pragma once

#include "attention_chunk.h"
#include "rotate_head.h"

namespace bn_cuda {

// Query heads of a block: at most kChunkHeads of one KV head.
struct Heads {
  uint32_t kv_head, first, n;
};
// Blocks that share the query heads of a KV head.
BN_BOTH uint32_t subgroups(uint32_t group) { return (group + kChunkHeads - 1) / kChunkHeads; }

// q to shared memory, as they are.
template <class E>
BN_DEVICE void take_queries(const AttentionArgs& a, const ChunkMemory<E>& m, Heads heads) {
  const float* q = a.q + uint64_t{block_y()} * a.q_stride + uint64_t{heads.first} * a.head_dim;
  for (uint32_t i = thread_index(); i < heads.n * a.head_dim; i += kChunkThreads) m.q[i] = q[i];
}

// q to shared memory, rotated; where newest is set also key and value of the position, to m.newest and, where stores is set, to
// the cache.
template <class E>
BN_DEVICE void make_queries(const RopeArgs& r, const ChunkMemory<E>& m, Heads heads, uint32_t position, bool newest,
                            bool stores) {
  const uint32_t warp = warp_index();
  if (warp < heads.n) {
    float* to = m.q + warp * r.head_dim;
    rotate_head(r, r.qkv + (heads.first + warp) * r.head_dim, r.q_norm, position, [&](uint32_t d, float x) { to[d] = x; });
  } else if (newest && warp >= kChunkHeads && warp < kChunkHeads + 2) {
    const bool values = warp == kChunkHeads + 1;
    const float* x = r.qkv + (r.n_heads + (values ? r.n_kv_heads : 0) + heads.kv_head) * r.head_dim;
    E* row = static_cast<E*>(values ? r.v : r.k) + heads.kv_head * r.kv_stride_head + uint64_t{position} * r.head_dim;
    const auto put = [&](uint32_t d, float value) {
      store_element(m.newest + (values ? r.head_dim : 0) + d, value);
      if (stores) store_element(row + d, value);
    };
    if (values) {
      for (uint32_t d = lane_index(); d < r.head_dim; d += 32) put(d, x[d]);
    } else {
      rotate_head(r, x, r.k_norm, position, put);
    }
  }
}

// True in all threads of the block that arrives last; the counter is then zero again.
BN_DEVICE bool is_last(uint32_t* arrived, uint32_t n_parts, uint32_t* flag) {
  fence_device();
  sync_block();
  if (thread_index() == 0) {
    *flag = atomic_add(arrived, 1u) == n_parts - 1 ? 1 : 0;
    if (*flag != 0) *arrived = 0;
  }
  sync_block();
  if (*flag == 0) return false;
  fence_device();
  return true;
}

}  // namespace bn_cuda
