// device/attention_prompt.cu - attention of many tokens: 32 queries of one head against pieces of 32 keys in shared memory.
//
// Keys and queries lie as floats in an order made for S16: thread j of 4 that share a product has sums j, j+4, j+8, j+12, so
// two of the four folds are in the thread, and the other two are exchanges of one number per product. In inner loops a thread
// has 8 queries x 4 keys x 4 sums (12 loads of 16 bytes for 128 FMA), then 8 queries x 4 elements of the values (the same, per
// 4 positions). Instructions of a warp for 8 queries x 32 keys, head_dim 128, as nvcc 13.0 makes them: 2,048 FMA, 192 loads and
// about 250 others in the inner loops, 220 for the folds, 400 for the weights, 210 to stage its part of both pieces: 3,300.
// 512 tokens in 20 heads of 30 layers are 326,000 such parts: 1.1 ms on 132 multiprocessors at 1.8 GHz when every clock issues,
// so 1.5 to 1.9 ms are expected. (Counted and calculated; no GPU was at hand.)
#include "attention_chunk.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kQueries = 32, kPiece = 32, kThreads = 128, kGroup = 8;  // kGroup: queries of a thread

// Of a query: the softmax so far, and what its warp leaves of a chunk for the threads that own its result.
struct Row {
  float top, total;         // of all chunks so far
  float keep, add, finish;  // y = (y*keep + sum*add) * finish; finish: 1, at the query's last chunk 1/total
  uint32_t begin, end;      // of the chunk; begin >= end: nothing is visible
};

// Shared memory. STRIDE: floats of a row of q and piece, an odd multiple of 16.
template <uint32_t STRIDE>
struct PromptMemory {
  float *q, *piece, *e;  // [kQueries][STRIDE], [kPiece][STRIDE], [kQueries][kChunk]
  Row* rows;             // [kQueries]

  static constexpr uint32_t kBytes = 4 * ((kQueries + kPiece) * STRIDE + kQueries * kChunk) + kQueries * sizeof(Row);
  BN_DEVICE PromptMemory make() {
    PromptMemory m;
    m.q = shared_memory<float>();
    m.piece = m.q + kQueries * STRIDE;
    m.e = m.piece + kPiece * STRIDE;
    m.rows = reinterpret_cast<Row*>(m.e + kQueries * kChunk);
    return m;
  }
};

// Where element 16*b + 4*i + j of a row of q or keys lies: at order(b, j) + i. The shift of j by b keeps the writers of 8
// successive b in different banks.
BN_DEVICE uint32_t order(uint32_t b, uint32_t j) { return 16 * b + 4 * (j ^ (b / 2 % 4)); }

// The queries of a block and what they see. Rows past the last query are like the last, and are not stored.
struct Tile {
  uint32_t position, n_rows, window;  // of the first query

  BN_DEVICE_MEMBER uint32_t last(uint32_t row) const { return position + (row < n_rows ? row : n_rows - 1); }
  BN_DEVICE_MEMBER uint32_t first(uint32_t row) const {
    return window != 0 && last(row) + 1 > window ? last(row) + 1 - window : 0;
  }
  // Positions [begin, end) of a chunk are visible; begin >= end: none.
  BN_DEVICE_MEMBER uint32_t begin(uint32_t row, uint32_t chunk) const {
    const uint32_t from = chunk * kChunk, f = first(row);
    return f <= from ? 0 : f - from < kChunk ? f - from : kChunk;
  }
  BN_DEVICE_MEMBER uint32_t end(uint32_t row, uint32_t chunk) const {
    const uint32_t from = chunk * kChunk, n = last(row) + 1;
    return n <= from ? 0 : n - from < kChunk ? n - from : kChunk;
  }
  // True when some row sees a position of the piece.
  BN_DEVICE_MEMBER bool sees(uint32_t from) const { return from <= last(n_rows - 1) && from + kPiece > first(0); }
};

// Rows [row0, row1) of `from` in `order`; elements past head_dim become +0. All loads of a thread are on their way at once.
template <uint32_t STRIDE, class E>
BN_DEVICE void stage_ordered(float* to, const E* from, uint64_t from_stride, uint32_t row0, uint32_t row1, uint32_t head_dim) {
  for (uint32_t b = thread_index() % 8; 16 * b < head_dim; b += 8) {
    Vector<E, 4> x[2][4];
    BN_UNROLL
    for (uint32_t n = 0; n < 8; ++n) {
      const uint32_t row = thread_index() / 8 + n / 4 * 16, d = 16 * b + n % 4 * 4;
      x[n / 4][n % 4] = row >= row0 && row < row1 && d < head_dim ? load<4>(from + row * from_stride + d) : Vector<E, 4>{};
    }
    BN_UNROLL
    for (uint32_t n = 0; n < 8; ++n) {
      const uint32_t row = thread_index() / 8 + n / 4 * 16, j = n % 4;
      const Vector<E, 4>(&y)[4] = x[n / 4];
      *reinterpret_cast<Vector<float, 4>*>(to + row * STRIDE + order(b, j)) = {value_of(y[0].e[j]), value_of(y[1].e[j]),
                                                                               value_of(y[2].e[j]), value_of(y[3].e[j])};
    }
  }
}

// Rows [row0, row1) of `from` as they are.
template <uint32_t STRIDE, class E>
BN_DEVICE void stage_values(float* to, const E* from, uint32_t row0, uint32_t row1, uint32_t head_dim) {
  for (uint32_t d = lane_index() * 4; d < head_dim; d += 128) {
    Vector<E, 4> x[kGroup];
    BN_UNROLL
    for (uint32_t n = 0; n < kGroup; ++n) {
      const uint32_t row = warp_index() + 4 * n;
      x[n] = row >= row0 && row < row1 ? load<4>(from + row * head_dim + d) : Vector<E, 4>{};
    }
    BN_UNROLL
    for (uint32_t n = 0; n < kGroup; ++n) {
      *reinterpret_cast<Vector<float, 4>*>(to + (warp_index() + 4 * n) * STRIDE + d) = {
          value_of(x[n].e[0]), value_of(x[n].e[1]), value_of(x[n].e[2]), value_of(x[n].e[3])};
    }
  }
}

// Scores of the warp's 8 queries with the 32 keys of the piece: lane 4g+j has keys g, g+8, g+16, g+24. e: of the piece's first
// position, row 0.
template <uint32_t STRIDE>
BN_DEVICE void scores(const PromptMemory<STRIDE>& m, float* e, uint32_t head_dim, float scale) {
  const uint32_t j = lane_index() % 4, g = lane_index() / 4, row0 = warp_index() * kGroup;
  constexpr uint32_t kProducts = 4 * kGroup;  // [key][query]
  float sum[kProducts][4];
  BN_UNROLL
  for (uint32_t i = 0; i < 4 * kProducts; ++i) sum[i / 4][i % 4] = 0.0f;
  BN_ROLLED
  for (uint32_t b = 0; 16 * b < head_dim; ++b) {
    const float *q = m.q + row0 * STRIDE + order(b, j), *key = m.piece + g * STRIDE + order(b, j);
    Vector<float, 4> k[4];
    BN_UNROLL
    for (uint32_t c = 0; c < 4; ++c) k[c] = load<4>(key + 8 * c * STRIDE);
    BN_UNROLL
    for (uint32_t r = 0; r < kGroup; ++r) {
      const Vector<float, 4> x = load<4>(q + r * STRIDE);
      BN_UNROLL
      for (uint32_t c = 0; c < 4; ++c) {
        BN_UNROLL
        for (uint32_t i = 0; i < 4; ++i) {
          float& s = sum[c * kGroup + r][i];
          s = bn::kit::fma(x.e[i], k[c].e[i], s);
        }
      }
    }
  }
  float dot[kProducts];
  BN_UNROLL
  for (uint32_t p = 0; p < kProducts; ++p) dot[p] = (sum[p][0] + sum[p][2]) + (sum[p][1] + sum[p][3]);
  add_halves<kProducts>(dot, 2);
  add_halves<kProducts / 2>(dot, 1);
  BN_UNROLL
  for (uint32_t r = 0; r < kGroup; ++r) e[(row0 + r) * kChunk + g + 8 * j] = dot[r] * scale;
}

// Weights of the chunk, and the factors that join it to those before; a warp has 8 queries.
template <uint32_t STRIDE>
BN_DEVICE void weights(const PromptMemory<STRIDE>& m, const Tile& tile, uint32_t chunk) {
  BN_ROLLED
  for (uint32_t i = warp_index() * kGroup; i < (warp_index() + 1) * kGroup; ++i) {
    const uint32_t begin = tile.begin(i, chunk), end = tile.end(i, chunk);
    Row row = m.rows[i];
    row.begin = begin;
    row.end = end;
    if (begin < end) {
      const TopTotal w = row_weights(m.e + i * kChunk, begin, end);
      const float new_top = w.top > row.top ? w.top : row.top;
      row.keep = bn::kit::exp1(row.top - new_top);
      row.add = bn::kit::exp1(w.top - new_top);
      row.top = new_top;
      row.total = bn::kit::fma(w.total, row.add, row.total * row.keep);
      row.finish = chunk == tile.last(i) / kChunk ? 1.0f / row.total : 1.0f;
    }
    sync_warp();
    if (lane_index() == 0) m.rows[i] = row;
  }
}

// 8 queries and 4 elements of the result, which a thread owns.
struct Cell {
  uint32_t row, d;  // row >= kQueries: none
};

// sum += weight*value over the piece at `p0` of the chunk, rising.
template <uint32_t STRIDE>
BN_DEVICE void add_values(const PromptMemory<STRIDE>& m, uint32_t p0, Cell cell, float (&sum)[kGroup][4]) {
  const Row* rows = m.rows + cell.row;
  const uint32_t begin = rows[0].begin, end = rows[kGroup - 1].end;          // of any row
  const uint32_t all_begin = rows[kGroup - 1].begin, all_end = rows[0].end;  // of every row
  BN_ROLLED
  for (uint32_t p = p0; p < p0 + kPiece; p += 4) {
    if (p + 4 <= begin || p >= end) continue;
    const bool all = p >= all_begin && p + 4 <= all_end;
    Vector<float, 4> v[4];
    BN_UNROLL
    for (uint32_t i = 0; i < 4; ++i) v[i] = load<4>(m.piece + (p - p0 + i) * STRIDE + cell.d);
    BN_UNROLL
    for (uint32_t r = 0; r < kGroup; ++r) {
      const Vector<float, 4> e = load<4>(m.e + (cell.row + r) * kChunk + p);
      const uint32_t row_begin = all ? 0 : rows[r].begin, row_end = all ? kChunk : rows[r].end;
      BN_UNROLL
      for (uint32_t i = 0; i < 4; ++i) {
        if (p + i < row_begin || p + i >= row_end) continue;
        BN_UNROLL
        for (uint32_t c = 0; c < 4; ++c) sum[r][c] = bn::kit::fma(e.e[i], v[i].e[c], sum[r][c]);
      }
    }
  }
}

// Joins the chunk to y, which holds the chunks before.
template <uint32_t STRIDE>
BN_DEVICE void join(const PromptMemory<STRIDE>& m, uint32_t n_rows, Cell cell, const float (&sum)[kGroup][4], float* y,
                    uint32_t y_stride) {
  BN_UNROLL
  for (uint32_t r = 0; r < kGroup; ++r) {
    const Row row = m.rows[cell.row + r];
    if (cell.row + r >= n_rows || row.begin >= row.end) continue;
    Vector<float, 4>* at = reinterpret_cast<Vector<float, 4>*>(y + uint64_t{cell.row + r} * y_stride + cell.d);
    Vector<float, 4> x = *at;
    BN_UNROLL
    for (uint32_t c = 0; c < 4; ++c) x.e[c] = bn::kit::fma(sum[r][c], row.add, x.e[c] * row.keep) * row.finish;
    *at = x;
  }
}

template <class E, uint32_t MAX_DIM>
BN_DEVICE void prompt(const AttentionArgs& a) {
  constexpr uint32_t kStride = MAX_DIM + 16, kCells = MAX_DIM / 128;
  dependents_may_start();
  dependency_wait();
  if (a.state->stopped != 0) return;
  const uint32_t D = a.head_dim, head = block_x(), kv_head = head / (a.n_heads / a.n_kv_heads);
  const uint32_t t0 = (n_blocks_y() - 1 - block_y()) * kQueries;  // the longest first
  const uint32_t left = a.n_tokens - t0;
  const Tile tile{static_cast<uint32_t>(a.state->position) + t0, left < kQueries ? left : kQueries, a.window};
  const PromptMemory<kStride> m = PromptMemory<kStride>::make();
  const E *k = static_cast<const E*>(a.k) + kv_head * a.kv_stride_head,
          *v = static_cast<const E*>(a.v) + kv_head * a.kv_stride_head;
  float* y = a.y + uint64_t{t0} * a.y_stride + uint64_t{head} * D;

  stage_ordered<kStride>(m.q, a.q + uint64_t{t0} * a.q_stride + uint64_t{head} * D, a.q_stride, 0, tile.n_rows, D);
  if (thread_index() < kQueries) m.rows[thread_index()] = {-__builtin_inff(), 0.0f, 0.0f, 0.0f, 1.0f, 0, 0};
  Cell cells[kCells];
  BN_UNROLL
  for (uint32_t i = 0; i < kCells; ++i) {
    const uint32_t index = thread_index() + i * kThreads;
    cells[i] = {index / (D / 4) * kGroup, index % (D / 4) * 4};
    for (uint32_t row = cells[i].row; row < cells[i].row + kGroup && row < tile.n_rows; ++row) {
      *reinterpret_cast<Vector<float, 4>*>(y + uint64_t{row} * a.y_stride + cells[i].d) = {};
    }
  }

  const uint32_t first = tile.first(0), end = tile.last(kQueries) + 1;
  for (uint32_t chunk = first / kChunk; chunk * kChunk < end; ++chunk) {
    BN_ROLLED
    for (uint32_t p0 = 0; p0 < kChunk; p0 += kPiece) {
      const uint32_t from = chunk * kChunk + p0;
      if (!tile.sees(from)) continue;
      const uint32_t row0 = first > from ? first - from : 0, row1 = end - from < kPiece ? end - from : kPiece;
      sync_block();
      stage_ordered<kStride>(m.piece, k + uint64_t{from} * D, D, row0, row1, D);
      sync_block();
      const uint32_t row = warp_index() * kGroup;
      if (from <= tile.last(row + kGroup - 1) && from + kPiece > tile.first(row)) scores(m, m.e + p0, D, a.scale);
    }
    sync_warp();
    weights(m, tile, chunk);
    float sum[kCells][kGroup][4] = {};
    BN_ROLLED
    for (uint32_t p0 = 0; p0 < kChunk; p0 += kPiece) {
      const uint32_t from = chunk * kChunk + p0;
      if (!tile.sees(from)) continue;
      const uint32_t row0 = first > from ? first - from : 0, row1 = end - from < kPiece ? end - from : kPiece;
      sync_block();
      stage_values<kStride>(m.piece, v + uint64_t{from} * D, row0, row1, D);
      sync_block();
      BN_UNROLL
      for (uint32_t i = 0; i < kCells; ++i) {
        if (cells[i].row < kQueries) add_values(m, p0, cells[i], sum[i]);
      }
    }
    BN_UNROLL
    for (uint32_t i = 0; i < kCells; ++i) {
      if (cells[i].row < kQueries) join(m, tile.n_rows, cells[i], sum[i], y, a.y_stride);
    }
  }
}

template <class E>
BN_GLOBAL_FITTING(kThreads, 2)
void attention_prompt(AttentionArgs a) {
  if (a.head_dim <= 128) {
    prompt<E, 128>(a);
  } else {
    prompt<E, 256>(a);
  }
}

}  // namespace

const Kernel& attention_prompt_kernel(uint32_t kv_dtype) {
  static const Kernel f16 = KernelOf<AttentionArgs>::make<attention_prompt<uint16_t>>("attention_prompt f16");
  static const Kernel f32 = KernelOf<AttentionArgs>::make<attention_prompt<float>>("attention_prompt f32");
  return kv_dtype == BN_DT_F16 ? f16 : f32;
}

Shape attention_prompt_shape(const AttentionArgs& a) {
  const uint32_t bytes = a.head_dim <= 128 ? PromptMemory<144>::kBytes : PromptMemory<272>::kBytes;
  return {a.n_heads, (a.n_tokens + kQueries - 1) / kQueries, kThreads, bytes};
}

}  // namespace bn_cuda
