// device/attention_chunk.h - what a block does with one chunk of 128 positions: keys and values into shared memory, scores,
// weights, weighted values. Up to 4 query heads that share a KV head share all loads.
//
// Blocks have kChunkThreads threads. E is the cache's element: float, or uint16_t for f16. head_dim: a multiple of 4, <= 256.
// Keys and values pass through two buffers of piece_rows() rows: for a head_dim of 128 in f16 one holds all keys of a chunk,
// the other all values, both on their way from the start. Rows that are not visible are not read, and are skipped or masked.
#pragma once

#include "attention.h"
#include "bitnet/formats.h"
#include "bitnet/kit/arithmetic.hpp"

namespace bn_cuda {

constexpr uint32_t kChunk = 128, kChunkHeads = 4, kChunkThreads = 256, kChunkWarps = kChunkThreads / 32;
constexpr uint32_t kMaxHeadDim = 256;
constexpr uint32_t kItems = kChunkHeads * kMaxHeadDim / 2 / kChunkThreads;  // pairs of result elements per thread

BN_DEVICE float value_of(uint16_t h) { return half_to_float(h); }
BN_DEVICE float value_of(float x) { return x; }

template <class E, uint32_t N>
struct alignas(N * sizeof(E)) Vector {
  E e[N];
};
template <uint32_t N, class E>
BN_DEVICE Vector<E, N> load(const E* p) {
  return *reinterpret_cast<const Vector<E, N>*>(p);
}

// Elements from row to row in shared memory: an odd number of 16, so that 8 lanes that read 8 rows meet different banks.
BN_BOTH uint32_t row_stride(uint32_t head_dim) { return ((head_dim + 15) / 16 | 1u) * 16; }
BN_BOTH uint32_t piece_rows(uint32_t head_dim, uint32_t element_bytes) {
  uint32_t rows = kChunk;
  while (rows > 32 && rows * row_stride(head_dim) * element_bytes > 40960) rows /= 2;
  return rows;
}

// The block's shared memory.
template <class E>
struct ChunkMemory {
  E* pieces;     // [2][piece_rows][row_stride]
  float* q;      // [kChunkHeads][head_dim]
  float* e;      // [kChunkHeads][kChunk] scores, then weights
  float* top;    // [kChunkHeads] the chunk's largest score
  float* total;  // [kChunkHeads] sum of the chunk's weights
  float* merge;  // [4][kChunkHeads][kMergeBatch]
  E* newest;     // [2][head_dim] key and value of the newest position, where they are not in the cache yet
  uint32_t* flag;
};
constexpr uint32_t kMergeBatch = 32;

BN_BOTH uint32_t chunk_memory_bytes(uint32_t head_dim, uint32_t element_bytes) {
  const uint32_t piece = piece_rows(head_dim, element_bytes) * row_stride(head_dim) * element_bytes;
  return 2 * piece + 4 * (kChunkHeads * (head_dim + kChunk + 2 + 4 * kMergeBatch) + 4) + 2 * head_dim * element_bytes;
}
template <class E>
BN_DEVICE ChunkMemory<E> chunk_memory(uint32_t head_dim) {
  ChunkMemory<E> m;
  const uint32_t piece = piece_rows(head_dim, sizeof(E)) * row_stride(head_dim);
  m.pieces = shared_memory<E>();
  m.q = reinterpret_cast<float*>(m.pieces + 2 * piece);
  m.e = m.q + kChunkHeads * head_dim;
  m.merge = m.e + kChunkHeads * kChunk;
  m.top = m.merge + 4 * kChunkHeads * kMergeBatch;
  m.total = m.top + kChunkHeads;
  m.flag = reinterpret_cast<uint32_t*>(m.total + kChunkHeads);
  m.newest = reinterpret_cast<E*>(m.flag + 4);
  return m;
}

// Begins to copy rows [first, last) of `source` ([row][head_dim]) into a piece.
template <class E>
BN_DEVICE void copy_rows(E* piece, const E* source, uint32_t first, uint32_t last, uint32_t head_dim) {
  constexpr uint32_t kWide = 16 / sizeof(E), kNarrow = 8 / sizeof(E);
  const uint32_t step = head_dim % kWide == 0 ? kWide : kNarrow, steps = head_dim / step;
  for (uint32_t i = thread_index(); i < (last - first) * steps; i += kChunkThreads) {
    const uint32_t row = first + i / steps, d = i % steps * step;
    E* to = piece + row * row_stride(head_dim) + d;
    const E* from = source + uint64_t{row} * head_dim + d;
    if (step == kWide) {
      copy_async(to, from);
    } else {
      copy_async_8(to, from);
    }
  }
}

// Half of the values go to lane ^ mask, whose other half comes and is added: v[0, N/2) of the lane without the mask's bit, and
// v[N/2, N) of the other, are sums in v[0, N/2) afterwards.
template <uint32_t N>
BN_DEVICE void add_halves(float* v, uint32_t mask) {
  const bool upper = (lane_index() & mask) != 0;
  BN_UNROLL
  for (uint32_t i = 0; i < N / 2; ++i) {
    const float send = upper ? v[i] : v[i + N / 2], keep = upper ? v[i + N / 2] : v[i];
    v[i] = keep + shuffle_xor(send, mask);
  }
}

// Scores of one piece. A task is 32 rows and HEADS heads: lane 4g+j keeps sums 4j..4j+3 of the 16 of S16 for rows g, g+8, g+16,
// g+24. The fold adds sums 8 apart (lanes 2 apart), then 4 apart (lanes 1 apart), then 2 and 1 apart (in the lane).
// piece holds rows row0.. of the chunk; visible are [begin, end) of the chunk; e: [kChunkHeads][kChunk].
template <uint32_t HEADS, class E>
BN_DEVICE void chunk_scores(const ChunkMemory<E>& m, const E* piece, uint32_t row0, uint32_t n_rows, uint32_t begin,
                            uint32_t end, uint32_t n_heads, uint32_t head_dim, float scale) {
  constexpr uint32_t kPairs = 4 * HEADS;
  const uint32_t j = lane_index() % 4, g = lane_index() / 4, stride = row_stride(head_dim);
  const uint32_t row_tasks = n_rows / 32, tasks = row_tasks * ((n_heads + HEADS - 1) / HEADS);
  for (uint32_t task = warp_index(); task < tasks; task += kChunkWarps) {
    const uint32_t head0 = task / row_tasks * HEADS, first = task % row_tasks * 32;
    if (row0 + first >= end || row0 + first + 32 <= begin) continue;
    float sum[4 * kPairs];  // [lane of S16 % 4][row][head]
    BN_UNROLL
    for (uint32_t i = 0; i < 4 * kPairs; ++i) sum[i] = 0.0f;
    const E* key = piece + (first + g) * stride;
    BN_ROLLED  // unrolled, a cache of f32 takes more than the 128 registers that two blocks on a processor leave
        for (uint32_t d = 4 * j; d < head_dim; d += 16) {
      Vector<float, 4> q[HEADS];
      BN_UNROLL
      for (uint32_t h = 0; h < HEADS; ++h) {
        q[h] = load<4>(m.q + (head0 + h < n_heads ? head0 + h : head0) * head_dim + d);
      }
      BN_UNROLL
      for (uint32_t r = 0; r < 4; ++r) {
        const Vector<E, 4> k = load<4>(key + 8 * r * stride + d);
        BN_UNROLL
        for (uint32_t c = 0; c < 4; ++c) {
          const float x = value_of(k.e[c]);
          BN_UNROLL
          for (uint32_t h = 0; h < HEADS; ++h) {
            float& s = sum[c * kPairs + r * HEADS + h];
            s = bn::kit::fma(q[h].e[c], x, s);
          }
        }
      }
    }
    BN_UNROLL
    for (uint32_t c = 0; c < 4; ++c) {
      add_halves<kPairs>(sum + c * kPairs, 2);
      add_halves<kPairs / 2>(sum + c * kPairs, 1);
    }
    BN_UNROLL
    for (uint32_t i = 0; i < HEADS; ++i) {  // after the two exchanges the lane has row g + 8j
      const float dot = (sum[i] + sum[2 * kPairs + i]) + (sum[kPairs + i] + sum[3 * kPairs + i]);
      const uint32_t row = row0 + first + g + 8 * j;
      if (head0 + i < n_heads && row >= begin && row < end) m.e[(head0 + i) * kChunk + row] = dot * scale;
    }
  }
}

// Scores of one head to weights exp1(score - top), by one warp. e: [kChunk]; visible are [begin, end); the others become +0,
// which adds nothing to a sum that began with +0. All lanes get the result. top is at least `least`.
struct TopTotal {
  float top, total;
};
BN_DEVICE TopTotal row_weights(float* e, uint32_t begin, uint32_t end, float least = -__builtin_inff()) {
  const uint32_t lane = lane_index();
  float score[4], top = least;
  BN_UNROLL
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t p = lane + 32 * i;
    score[i] = p >= begin && p < end ? e[p] : -__builtin_inff();
    top = score[i] > top ? score[i] : top;
  }
  for (uint32_t width = 16; width > 0; width /= 2) {
    const float other = shuffle_xor(top, width);
    top = other > top ? other : top;
  }
  BN_UNROLL
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t p = lane + 32 * i;
    e[p] = p >= begin && p < end ? bn::kit::exp1(score[i] - top) : 0.0f;
  }
  sync_warp();
  float total = 0.0f;
  BN_UNROLL
  for (uint32_t p = 0; p < kChunk; p += 16) total = total + e[lane % 16 + p];
  for (uint32_t width = 8; width > 0; width /= 2) total = total + shuffle_xor(total, width);
  return {top, total};
}

// A pair of result elements that a thread owns: d, d+1 of a head. head >= n_heads: none.
struct Item {
  uint32_t head, d;
};
BN_DEVICE Item item_of(uint32_t i, uint32_t head_dim) {
  const uint32_t index = thread_index() + i * kChunkThreads, pairs = head_dim / 2;
  return {index / pairs, index % pairs * 2};
}

// sum += weight*value over rows [first, last) of a piece that holds rows row0.. of the chunk, rising.
template <class E>
BN_DEVICE void chunk_values(const ChunkMemory<E>& m, const E* piece, uint32_t row0, uint32_t first, uint32_t last, Item item,
                            uint32_t head_dim, float (&sum)[2]) {
  const uint32_t stride = row_stride(head_dim);
  const float* e = m.e + item.head * kChunk;
  const E* v = piece + item.d;
  for (uint32_t p = first; p < last; ++p) {
    const Vector<E, 2> x = load<2>(v + p * stride);
    sum[0] = bn::kit::fma(e[row0 + p], value_of(x.e[0]), sum[0]);
    sum[1] = bn::kit::fma(e[row0 + p], value_of(x.e[1]), sum[1]);
  }
}

}  // namespace bn_cuda
