// bitnet/kit/vector/dense.hpp - embeddings and output heads: rows of any dense dtype times f32 vectors in the canonical order
// S16; equals kit::dense of ops.hpp.
//
// A lane of S16 is a chain of FMAs, so parallelism comes from several rows (one token) or from tiles of rows and tokens.
#pragma once

#include "bitnet/kernels.h"
#include "bitnet/kit/ternary.hpp"
#include "bitnet/kit/vector/dense_types.hpp"

namespace bn::kit::vector {

static inline float finish_dense(const bn_tensor& w, uint32_t r, float sum) {
  return w.dtype == BN_DT_I8_ROW ? sum * row_scale(w, r) : sum;
}

// ------------------------------------------------------------------------------------------------- one token
// Bytes between the chunk in work and the one asked for: the latency of memory.
inline constexpr uint32_t kBytesAhead = 8192;

// Adds Chunks neighbouring chunks of a row to total, in their order; they are independent chains. A row is read from its start
// to its end, which the prefetchers of the hardware like best, and passes by the L2 (asked for there: 4 % slower). Zen 5, one
// token, four chunks: f16 37 (AVX2) and 34 (AVX-512), int8 27 and 37 of 40 GB/s; two chunks: 36 and 31, 27 and 35. Unrolled, so
// that the positions of scales are constants.
template <class V, class Dtype, int Chunks>
static inline void add_chunks(const uint8_t* w, const float* x, typename V::F* total) {
  constexpr uint32_t bytes = Chunks * Dtype::chunk;
  typename V::F sum[Chunks];
  BN_UNROLL
  for (int c = 0; c < Chunks; ++c) sum[c] = V::zero();
  BN_UNROLL
  for (uint32_t s = 0; s < 16; ++s) {
    for (uint32_t line = (bytes * s / 16 + 63) / 64; line < (bytes * (s + 1) / 16 + 63) / 64; ++line) {
      __builtin_prefetch(w + kBytesAhead + 64 * line, 0, 0);
    }
    BN_UNROLL
    for (int c = 0; c < Chunks; ++c) {
      sum[c] = V::fma(Dtype::template get<V>(w + Dtype::chunk * c, s), V::load(x + 256 * c + 16 * s), sum[c]);
    }
  }
  BN_UNROLL
  for (int c = 0; c < Chunks; ++c) *total = V::add(*total, sum[c]);
}

// The same for Rows rows of int8, `apart` bytes from each other. A line is used up before the next one: while lines come from
// memory, every load costs more than one from an idle L1 (bench/README.md, "Loads").
template <class V, int Rows, int Chunks>
static inline void add_byte_lines(const uint8_t* w, uint64_t apart, const float* x, typename V::F* total) {
  typename V::F sum[Rows][Chunks];
  BN_UNROLL
  for (int i = 0; i < Rows; ++i) {
    BN_UNROLL
    for (int c = 0; c < Chunks; ++c) sum[i][c] = V::zero();
  }
  BN_UNROLL
  for (uint32_t s = 0; s < 16; s += 4) {
    BN_UNROLL
    for (int c = 0; c < Chunks; ++c) {
      typename V::F row[Rows][4];
      BN_UNROLL
      for (int i = 0; i < Rows; ++i) {
        const uint8_t* line = w + i * apart + 256 * c + 16 * s;
        __builtin_prefetch(line + kBytesAhead / Rows, 0, 0);
        BN_UNROLL
        for (int k = 0; k < 4; ++k) row[i][k] = V::load_i8(line + 16 * k);
      }
      BN_UNROLL
      for (int k = 0; k < 4; ++k) {
        auto v = V::load(x + 256 * c + 16 * (s + k));
        V::keep(&v);
        BN_UNROLL
        for (int i = 0; i < Rows; ++i) sum[i][c] = V::fma(row[i][k], v, sum[i][c]);
      }
    }
  }
  BN_UNROLL
  for (int i = 0; i < Rows; ++i) {
    BN_UNROLL
    for (int c = 0; c < Chunks; ++c) total[i] = V::add(total[i], sum[i][c]);
  }
}

template <class V, class Dtype, int Rows, int Chunks>
static inline void add_chunks_of_rows(const uint8_t* w, uint64_t apart, const float* x, typename V::F* total) {
  if constexpr (Rows == 1) {
    add_chunks<V, Dtype, Chunks>(w, x, total);
  } else {
    add_byte_lines<V, Rows, Chunks>(w, apart, x, total);
  }
}

// Adds a last chunk of n < 256 elements.
template <class V, class Dtype>
static inline void add_rest(const uint8_t* w, const float* x, uint32_t n, typename V::F* total) {
  auto sum = V::zero();
  uint32_t s = 0;
  for (; s < n / 16; ++s) sum = V::fma(Dtype::template get<V>(w, s), V::load(x + 16 * s), sum);
  if (n % 16 != 0) sum = V::fma(get_last<V, Dtype>(w, s, n), V::load_first(x + 16 * s, n - 16 * s), sum);
  *total = V::add(*total, sum);
}

// y of rows r, r + apart, ...
template <class V, class Dtype, int Rows>
static inline void multiply_rows(const bn_dense& a, uint32_t r, uint32_t apart) {
  const uint32_t cols = a.w->cols;
  const uint64_t stride = dense_row_bytes(a.w->dtype, cols), bytes = apart * stride;
  const uint8_t* w = static_cast<const uint8_t*>(a.w->data) + r * stride;
  typename V::F total[Rows];
  BN_UNROLL
  for (int i = 0; i < Rows; ++i) total[i] = V::zero();
  uint32_t c = 0;
  if constexpr (Rows == 1) {
    for (; cols - c >= 1024; c += 1024, w += 4 * Dtype::chunk) add_chunks<V, Dtype, 4>(w, a.x + c, total);
  }
  for (; cols - c >= 512; c += 512, w += 2 * Dtype::chunk) add_chunks_of_rows<V, Dtype, Rows, 2>(w, bytes, a.x + c, total);
  for (; cols - c >= 256; c += 256, w += Dtype::chunk) add_chunks_of_rows<V, Dtype, Rows, 1>(w, bytes, a.x + c, total);
  BN_UNROLL
  for (int i = 0; i < Rows; ++i) {
    if (c < cols) add_rest<V, Dtype>(w + i * bytes, a.x + c, cols - c, &total[i]);
    a.y[r + i * apart] = finish_dense(*a.w, r + i * apart, V::fold(total[i]));
  }
}

// Several rows come from parts of the range that lie apart.
template <class V, class Dtype>
static inline void multiply_token(const bn_dense& a, uint32_t row0, uint32_t row1) {
  constexpr uint32_t kRows = Dtype::chunk == 256 ? V::kByteRows : 1;
  const uint32_t part = (row1 - row0) / kRows;
  for (uint32_t r = row0; r < row0 + part; ++r) multiply_rows<V, Dtype, kRows>(a, r, part);
  for (uint32_t r = row0 + kRows * part; r < row1; ++r) multiply_rows<V, Dtype, 1>(a, r, 0);
}

// ------------------------------------------------------------------------------------------- several tokens
// Eight rows of a chunk are decoded once and used for a block of tokens.
inline constexpr uint32_t kDenseRows = 8, kDenseTokens = 48;

struct DenseTiles {
  alignas(64) float w[kDenseRows][256];
  alignas(64) float total[kDenseTokens][kDenseRows][16];
};

// n <= 256 elements of a chunk as floats, zeros up to a multiple of 16.
template <class V, class Dtype>
static inline void decode_chunk(const uint8_t* p, uint32_t n, float* w) {
  for (uint32_t s = 0; 16 * s < n; ++s) {
    V::store(w + 16 * s, n - 16 * s < 16 ? get_last<V, Dtype>(p, s, n) : Dtype::template get<V>(p, s));
  }
}

// Adds elements [i, i + V::kLanes) of Rows rows times Tokens tokens, but none past n. V: a part.
template <class V, int Rows, int Tokens, bool Last>
static inline void add_lanes(const float (*w)[256], const float* x, uint64_t x_stride, uint32_t n, uint32_t i,
                             typename V::F (*sum)[Rows]) {
  typename V::F v[Tokens];
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) v[t] = Last ? V::load_first(x + t * x_stride + i, n - i) : V::load(x + t * x_stride + i);
  BN_UNROLL
  for (int r = 0; r < Rows; ++r) {
    const auto row = V::load(w[r] + i);
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) sum[t][r] = V::fma(row, v[t], sum[t][r]);
  }
}

// Adds lanes [lane, lane + V::kLanes) of one chunk. V: a part; total: [Tokens][kDenseRows][16]
template <class V, int Rows, int Tokens>
static inline void tile(const float (*w)[256], const float* x, uint64_t x_stride, uint32_t n, uint32_t lane, float* total) {
  typename V::F sum[Tokens][Rows];
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) sum[t][r] = V::zero();
  }
  uint32_t i = lane;
  for (; i + V::kLanes <= n; i += 16) add_lanes<V, Rows, Tokens, false>(w, x, x_stride, n, i, sum);
  if (i < n) add_lanes<V, Rows, Tokens, true>(w, x, x_stride, n, i, sum);
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) {
      float* p = total + 16 * (kDenseRows * t + r) + lane;
      V::store(p, V::add(V::load(p), sum[t][r]));
    }
  }
}

template <class V, int Tokens>
static inline void tile_rows(DenseTiles* tiles, const float* x, uint64_t x_stride, uint32_t n, uint32_t t) {
  static_assert(kDenseRows % V::kTileRows == 0);
  for (uint32_t r = 0; r < kDenseRows; r += V::kTileRows) {
    for (uint32_t lane = 0; lane < 16; lane += V::Part::kLanes) {
      tile<typename V::Part, V::kTileRows, Tokens>(tiles->w + r, x, x_stride, n, lane, tiles->total[t][r]);
    }
  }
}

// Where elements are converted by one or two instructions, several tokens read the rows where they lie: a decoded copy costs
// more than it saves (Zen 5, int8 head, 4 tokens, 1 thread: AVX-512 from 22 to 81 GMAC/s, AVX2 from 24 to 34). With two
// registers for 16 elements it saves more from 16 tokens on.
template <class V>
static inline bool reads_stored(uint32_t tokens) {
  return V::kParts == 1 || tokens <= 8;
}

// As tile_rows(), a whole chunk of Rows stored rows. The rows behind all of the block are asked for meanwhile.
template <class V, class Dtype, int Rows, int Tokens>
static inline void tile_stored(const uint8_t* w, uint64_t stride, const float* x, uint64_t x_stride, float* total) {
  constexpr uint32_t row_lines = Dtype::chunk / 64, lines = Rows * row_lines;
  typename V::F sum[Tokens][Rows];
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) sum[t][r] = V::zero();
  }
  for (uint32_t s = 0; s < 16; ++s) {
    for (uint32_t line = lines * s / 16; line < lines * (s + 1) / 16; ++line) {
      __builtin_prefetch(w + (kDenseRows + line / row_lines) * stride + 64 * (line % row_lines), 0, 2);
    }
    typename V::F row[Rows];
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) row[r] = Dtype::template get<V>(w + r * stride, s);
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) {
      const auto v = V::load(x + t * x_stride + 16 * s);
      BN_UNROLL
      for (int r = 0; r < Rows; ++r) sum[t][r] = V::fma(row[r], v, sum[t][r]);
    }
  }
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) {
      float* p = total + 16 * (kDenseRows * t + r);
      V::store(p, V::add(V::load(p), sum[t][r]));
    }
  }
}

// Eight stored rows times n_tokens, at most Tokens.
template <class V, class Dtype, int Tokens>
static inline void tile_stored_rows(const uint8_t* w, uint64_t stride, const float* x, uint64_t x_stride, uint32_t n_tokens,
                                    float (*total)[16]) {
  if constexpr (Tokens > 1) {
    if (n_tokens < Tokens) return tile_stored_rows<V, Dtype, Tokens - 1>(w, stride, x, x_stride, n_tokens, total);
  }
  constexpr int kRows = V::kTileRows / V::kParts;
  for (uint32_t r = 0; r < kDenseRows; r += kRows) {
    tile_stored<V, Dtype, kRows, Tokens>(w + r * stride, stride, x, x_stride, total[r]);
  }
}

// Eight stored rows times all tokens, in groups of equal size.
template <class V, class Dtype>
static inline void multiply_stored_chunk(const uint8_t* w, uint64_t stride, const float* x, uint64_t x_stride, uint32_t tokens,
                                         DenseTiles* tiles) {
  for (uint32_t t = 0; t < tokens;) {
    const uint32_t left = tokens - t, parts = (left + V::kTileTokens - 1) / V::kTileTokens, n = (left + parts - 1) / parts;
    tile_stored_rows<V, Dtype, V::kTileTokens>(w, stride, x + t * x_stride, x_stride, n, tiles->total[t]);
    t += n;
  }
}

// Rows [r, r + rows), rows <= 8, times tokens [t0, t0 + tokens), tokens <= kDenseTokens.
template <class V, class Dtype>
static inline void multiply_block(const bn_dense& a, uint32_t r, uint32_t rows, uint32_t t0, uint32_t tokens,
                                  DenseTiles* tiles) {
  const uint32_t cols = a.w->cols;
  const uint64_t stride = dense_row_bytes(a.w->dtype, cols);
  const uint8_t* w = static_cast<const uint8_t*>(a.w->data) + r * stride;
  std::memset(tiles->total, 0, sizeof tiles->total[0] * tokens);
  for (uint32_t c = 0; c < cols; c += 256, w += Dtype::chunk) {
    const uint32_t n = cols - c < 256 ? cols - c : 256;
    if constexpr (Dtype::unit != 0) {
      if (n == 256 && rows == kDenseRows && reads_stored<V>(tokens)) {
        multiply_stored_chunk<V, Dtype>(w, stride, a.x + static_cast<uint64_t>(t0) * a.x_stride + c, a.x_stride, tokens, tiles);
        continue;
      }
    }
    for (uint32_t i = 0; i < kDenseRows; ++i) decode_chunk<V, Dtype>(w + (i < rows ? i : rows - 1) * stride, n, tiles->w[i]);
    const float* x = a.x + static_cast<uint64_t>(t0) * a.x_stride + c;
    uint32_t t = 0;
    for (; t + V::kTileTokens <= tokens; t += V::kTileTokens) {
      tile_rows<V, V::kTileTokens>(tiles, x + static_cast<uint64_t>(t) * a.x_stride, a.x_stride, n, t);
    }
    for (; t < tokens; ++t) tile_rows<V, 1>(tiles, x + static_cast<uint64_t>(t) * a.x_stride, a.x_stride, n, t);
  }
  for (uint32_t t = 0; t < tokens; ++t) {
    float* y = a.y + static_cast<uint64_t>(t0 + t) * a.y_stride;
    for (uint32_t i = 0; i < rows; ++i) y[r + i] = finish_dense(*a.w, r + i, V::fold(V::load(tiles->total[t][i])));
  }
}

template <class V, class Dtype>
static inline bn_status multiply(const bn_dense& a, uint32_t row0, uint32_t row1, DenseTiles* tiles) {
  if (a.m == 1) {
    multiply_token<V, Dtype>(a, row0, row1);
    return BN_OK;
  }
  for (uint32_t t = 0; t < a.m; t += kDenseTokens) {
    const uint32_t tokens = a.m - t < kDenseTokens ? a.m - t : kDenseTokens;
    for (uint32_t r = row0; r < row1; r += kDenseRows) {
      multiply_block<V, Dtype>(a, r, row1 - r < kDenseRows ? row1 - r : kDenseRows, t, tokens, tiles);
    }
  }
  return BN_OK;
}

template <class V>
static inline bn_status dense(const bn_dense& a, uint32_t row0, uint32_t row1, DenseTiles* tiles) {
  switch (a.w->dtype) {
    case BN_DT_F32:
      return multiply<V, F32>(a, row0, row1, tiles);
    case BN_DT_F16:
      return multiply<V, F16>(a, row0, row1, tiles);
    case BN_DT_BF16:
      return multiply<V, Bf16>(a, row0, row1, tiles);
    case BN_DT_I8_ROW:
      return multiply<V, I8Row>(a, row0, row1, tiles);
    case BN_DT_Q8_0:
      return multiply<V, Q8_0>(a, row0, row1, tiles);
    case BN_DT_Q4_0:
      return multiply<V, Q4_0>(a, row0, row1, tiles);
    case BN_DT_Q4_K:
      return multiply<V, Q4K>(a, row0, row1, tiles);
    case BN_DT_Q5_K:
      return multiply<V, Q5K>(a, row0, row1, tiles);
    case BN_DT_Q6_K:
      return multiply<V, Q6K>(a, row0, row1, tiles);
    default:
      return BN_E_UNSUPPORTED;
  }
}

}  // namespace bn::kit::vector
