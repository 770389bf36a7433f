// device/attention_decode.cu - attention of few tokens: the cache is read once per KV head, by as many blocks as fill the GPU.
#include "attention_merge.h"
#include "attention_queries.h"

namespace bn_cuda {
namespace {

// What a block does: heads [head, head + n_heads) of one KV head; of the token's n_chunks visible chunks first, first+step, ...
struct Part {
  uint32_t kv_head, head, n_heads, first, step, n_parts;  // n_parts: blocks that share these heads
};

// False: nothing to do for this block.
BN_DEVICE bool part_of_block(const AttentionArgs& a, uint32_t n_chunks, Part* part) {
  const uint32_t group = a.n_heads / a.n_kv_heads, parts = subgroups(group);
  const uint32_t blocks = parts * a.n_splits, b = block_x() % blocks;
  part->kv_head = block_x() / blocks;
  if (group * n_chunks <= blocks) {
    *part = {part->kv_head, part->kv_head * group + b / n_chunks, 1, b % n_chunks, n_chunks, n_chunks};
    return b < group * n_chunks;
  }
  const uint32_t per_part = (group + parts - 1) / parts, from = b / a.n_splits * per_part, split = b % a.n_splits;
  part->head = part->kv_head * group + from;
  part->n_heads = group - from < per_part ? group - from : per_part;
  part->first = split;
  part->step = a.n_splits;
  part->n_parts = n_chunks < a.n_splits ? n_chunks : a.n_splits;
  return split < n_chunks;
}

// Where a token stands: positions [first, last] are visible.
struct Visible {
  uint32_t first, last, first_chunk, n_chunks;

  BN_DEVICE_MEMBER uint32_t begin(uint32_t chunk) const { return chunk == first_chunk ? first % kChunk : 0; }
  BN_DEVICE_MEMBER uint32_t end(uint32_t chunk) const {
    return chunk == first_chunk + n_chunks - 1 ? last % kChunk + 1 : kChunk;
  }
};
BN_DEVICE Visible visible_from(uint32_t last, uint32_t window) {
  const uint32_t first = window != 0 && last + 1 > window ? last + 1 - window : 0;
  return {first, last, first / kChunk, last / kChunk - first / kChunk + 1};
}

// The pieces a block reads, one after the other: of each of its chunks the keys, then the values. Piece i goes to buffer i%2.
template <class E>
struct Pieces {
  const E *k, *v;  // of the KV head
  ChunkMemory<E> m;
  Visible visible;
  Part part;
  uint32_t head_dim, rows, per_chunk, n;
  uint32_t missing;  // position that is in m.newest and not in the cache; ~0: none

  // Piece i: rows [row0 + first, row0 + last) of its chunk are visible.
  struct Rows {
    uint32_t chunk, row0, first, last;
    bool values;
  };
  BN_DEVICE_MEMBER Rows rows_of(uint32_t i) const {
    const uint32_t in_chunk = i % (2 * per_chunk), row0 = in_chunk % per_chunk * rows;
    const uint32_t chunk = visible.first_chunk + part.first + i / (2 * per_chunk) * part.step;
    const uint32_t begin = visible.begin(chunk), end = visible.end(chunk);
    const uint32_t first = begin > row0 ? begin - row0 : 0, last = end > row0 ? end - row0 : 0;
    return {chunk, row0, first < rows ? first : rows, last < rows ? last : rows, in_chunk >= per_chunk};
  }
  BN_DEVICE_MEMBER E* buffer(uint32_t i) const { return m.pieces + i % 2 * (rows * row_stride(head_dim)); }
  // Begins to read piece i. A group is committed even when there is no such piece, so that waits can count.
  BN_DEVICE_MEMBER void begin(uint32_t i) const {
    if (i < n) {
      Rows r = rows_of(i);
      const uint64_t position = uint64_t{r.chunk} * kChunk + r.row0;
      if (position + r.last == uint64_t{missing} + 1 && r.last > r.first) --r.last;
      if (r.first < r.last) copy_rows(buffer(i), (r.values ? v : k) + position * head_dim, r.first, r.last, head_dim);
    }
    copy_commit();
  }
  // Waits for piece i, the oldest of the two on their way.
  BN_DEVICE_MEMBER const E* arrived(uint32_t i, const Rows& r) const {
    copy_wait<1>();
    E* piece = buffer(i);
    const uint32_t row = missing - (r.chunk * kChunk + r.row0);
    if (missing != ~0u && row >= r.first && row < r.last) {
      for (uint32_t d = thread_index(); d < head_dim; d += kChunkThreads) {
        piece[row * row_stride(head_dim) + d] = m.newest[(r.values ? head_dim : 0) + d];
      }
    }
    sync_block();
    return piece;
  }
};

// All chunks of the part: joined in `running`, or left in partials when other blocks have chunks of these heads.
template <class E>
BN_DEVICE void attend(const AttentionArgs& a, const Pieces<E>& pieces, const Partials& partials, const Item (&items)[kItems],
                      Running (&running)[kItems]) {
  const ChunkMemory<E>& m = pieces.m;
  const Part& part = pieces.part;
  uint32_t i = 0;
  for (uint32_t c = part.first; c < pieces.visible.n_chunks; c += part.step) {
    const uint32_t chunk = pieces.visible.first_chunk + c;
    const uint32_t begin = pieces.visible.begin(chunk), end = pieces.visible.end(chunk);
    for (uint32_t s = 0; s < pieces.per_chunk; ++s, ++i) {
      const typename Pieces<E>::Rows r = pieces.rows_of(i);
      const E* keys = pieces.arrived(i, r);
      if (part.n_heads == 1) {
        chunk_scores<1>(m, keys, r.row0, pieces.rows, begin, end, 1, a.head_dim, a.scale);
      } else {
        chunk_scores<2>(m, keys, r.row0, pieces.rows, begin, end, part.n_heads, a.head_dim, a.scale);
      }
      sync_block();
      pieces.begin(i + 2);
    }
    if (warp_index() < part.n_heads) {
      const TopTotal w = row_weights(m.e + warp_index() * kChunk, begin, end);
      m.top[warp_index()] = w.top;
      m.total[warp_index()] = w.total;
    }
    float sum[kItems][2] = {};
    for (uint32_t s = 0; s < pieces.per_chunk; ++s, ++i) {
      const typename Pieces<E>::Rows r = pieces.rows_of(i);
      const E* values = pieces.arrived(i, r);
      BN_UNROLL
      for (uint32_t k = 0; k < kItems; ++k) {
        if (items[k].head < part.n_heads) chunk_values(m, values, r.row0, r.first, r.last, items[k], a.head_dim, sum[k]);
      }
      sync_block();
      pieces.begin(i + 2);
    }
    BN_UNROLL
    for (uint32_t k = 0; k < kItems; ++k) {
      const uint32_t h = items[k].head;
      if (h >= part.n_heads) continue;
      if (part.n_parts == 1) {
        running[k].join(m.top[h], m.total[h], sum[k]);
        continue;
      }
      const uint64_t slot = partials.slot(uint64_t{block_y()} * a.n_heads + part.head + h, c);
      *reinterpret_cast<Vector<float, 2>*>(partials.sum + slot * a.head_dim + items[k].d) = {sum[k][0], sum[k][1]};
      if (items[k].d == 0) *reinterpret_cast<Vector<float, 2>*>(partials.top_total + 2 * slot) = {m.top[h], m.total[h]};
    }
  }
}

// rope: null when q, k and v are rotated and in the cache.
template <class E>
BN_DEVICE void decode(const AttentionArgs& a, const RopeArgs* rope) {
  dependents_may_start();
  dependency_wait();
  if (a.state->stopped != 0) return;
  const uint32_t position = static_cast<uint32_t>(a.state->position), D = a.head_dim;
  const Visible visible = visible_from(position + block_y(), a.window);
  Part part;
  if (!part_of_block(a, visible.n_chunks, &part)) return;

  const uint32_t n_mine = (visible.n_chunks - part.first + part.step - 1) / part.step;
  const bool has_newest = part.first + (n_mine - 1) * part.step == visible.n_chunks - 1;
  const uint64_t head = part.kv_head * a.kv_stride_head;
  const uint32_t rows = piece_rows(D, sizeof(E)), per_chunk = kChunk / rows;
  const Pieces<E> pieces{static_cast<const E*>(a.k) + head,
                         static_cast<const E*>(a.v) + head,
                         chunk_memory<E>(D),
                         visible,
                         part,
                         D,
                         rows,
                         per_chunk,
                         n_mine * 2 * per_chunk,
                         rope != nullptr && has_newest ? visible.last : ~0u};
  pieces.begin(0);
  pieces.begin(1);
  const Heads heads{part.kv_head, part.head, part.n_heads};
  if (rope == nullptr) {
    take_queries(a, pieces.m, heads);
  } else {
    make_queries(*rope, pieces.m, heads, visible.last, has_newest, part.head % (a.n_heads / a.n_kv_heads) == 0);
    sync_block();
  }

  Item items[kItems];
  BN_UNROLL
  for (uint32_t k = 0; k < kItems; ++k) items[k] = item_of(k, D);
  Running running[kItems];
  const Partials partials = partials_of(a, position);
  attend(a, pieces, partials, items, running);
  const uint64_t first_head = uint64_t{block_y()} * a.n_heads + part.head;
  if (part.n_parts > 1) {
    if (!is_last(a.arrived + first_head, part.n_parts, pieces.m.flag)) return;
    join_partials(pieces.m, partials, first_head, part.n_heads, visible.n_chunks, items, running);
  }
  float* y = a.y + uint64_t{block_y()} * a.y_stride + uint64_t{part.head} * D;
  BN_UNROLL
  for (uint32_t k = 0; k < kItems; ++k) {
    if (items[k].head >= part.n_heads) continue;
    const float inverse = 1.0f / running[k].total;
    for (uint32_t j = 0; j < 2; ++j) y[items[k].head * D + items[k].d + j] = running[k].y[j] * inverse;
  }
}

template <class E>
BN_GLOBAL_FITTING(kChunkThreads, 2)
void attention_decode(AttentionArgs a) {
  decode<E>(a, nullptr);
}
template <class E>
BN_GLOBAL_FITTING(kChunkThreads, 2)
void fused_attention(FusedAttentionArgs a) {
  decode<E>(a.attention, &a.rope);
}

}  // namespace

const Kernel& attention_decode_kernel(uint32_t kv_dtype) {
  static const Kernel f16 = KernelOf<AttentionArgs>::make<attention_decode<uint16_t>>("attention_decode f16");
  static const Kernel f32 = KernelOf<AttentionArgs>::make<attention_decode<float>>("attention_decode f32");
  return kv_dtype == BN_DT_F16 ? f16 : f32;
}

const Kernel& fused_attention_kernel(uint32_t kv_dtype) {
  static const Kernel f16 = KernelOf<FusedAttentionArgs>::make<fused_attention<uint16_t>>("fused_attention f16");
  static const Kernel f32 = KernelOf<FusedAttentionArgs>::make<fused_attention<float>>("fused_attention f32");
  return kv_dtype == BN_DT_F16 ? f16 : f32;
}

Shape attention_decode_shape(const AttentionArgs& a) {
  const uint32_t blocks = a.n_kv_heads * subgroups(a.n_heads / a.n_kv_heads) * a.n_splits;
  return {blocks, a.n_tokens, kChunkThreads, chunk_memory_bytes(a.head_dim, a.kv_dtype == BN_DT_F16 ? 2 : 4)};
}

uint32_t attention_decode_splits(uint32_t n_heads, uint32_t n_kv_heads, uint32_t n_ctx, uint32_t n_sms) {
  const uint32_t group = n_heads / n_kv_heads, chunks = (n_ctx + kChunk - 1) / kChunk;
  const uint32_t per_part = n_kv_heads * subgroups(group), full = (n_sms + per_part - 1) / per_part;
  return full < chunks * group ? full : chunks * group;
}

uint64_t attention_partial_floats(uint32_t n_tokens, uint32_t n_heads, uint32_t head_dim, uint32_t n_ctx) {
  const uint32_t chunks = (n_ctx + kChunk - 1) / kChunk, slots = chunks < kFreeShares ? kFreeShares : chunks;
  return uint64_t{n_tokens} * n_heads * slots * (head_dim + 2);
}

}  // namespace bn_cuda
