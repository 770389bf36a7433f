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
// Chunks of a row between the one in work and the one asked for.
inline constexpr uint32_t kChunksAhead = 4;

// One chunk of 256 elements of Rows rows, `stride` bytes apart. Unrolled, so that the positions of scales are constants.
// Meanwhile the chunk at `ahead` of each row is asked for, a line now and then; into L2, as L1 is full with x and the rows
// in work (Zen 4, AVX2, f16 rows of 2560: 24 GB/s against 15 into L1).
template <class V, class Dtype, int Rows>
static inline void add_chunk(const uint8_t* w, uint64_t stride, const float* x, const uint8_t* ahead, typename V::F* sum) {
  BN_UNROLL
  for (uint32_t s = 0; s < 16; ++s) {
    const auto v = V::load(x + 16 * s);
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) {
      for (uint32_t line = (Dtype::chunk * s / 16 + 63) / 64; line < (Dtype::chunk * (s + 1) / 16 + 63) / 64; ++line) {
        __builtin_prefetch(ahead + r * stride + 64 * line, 0, 2);
      }
      sum[r] = V::fma(Dtype::template get<V>(w + r * stride, s), v, sum[r]);
    }
  }
}

// A last chunk of n < 256 elements.
template <class V, class Dtype, int Rows>
static inline void add_rest(const uint8_t* w, uint64_t stride, const float* x, uint32_t n, typename V::F* sum) {
  uint32_t s = 0;
  for (; s < n / 16; ++s) {
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) sum[r] = V::fma(Dtype::template get<V>(w + r * stride, s), V::load(x + 16 * s), sum[r]);
  }
  if (n % 16 == 0) return;
  const auto last = V::load_first(x + 16 * s, n - 16 * s);
  BN_UNROLL
  for (int r = 0; r < Rows; ++r) sum[r] = V::fma(get_last<V, Dtype>(w + r * stride, s, n), last, sum[r]);
}

template <class V, class Dtype, int Rows>
static inline void multiply_rows(const bn_dense& a, uint32_t r, uint64_t stride) {
  const uint32_t cols = a.w->cols, chunks = cols / 256;
  const uint8_t* w = static_cast<const uint8_t*>(a.w->data) + r * stride;
  typename V::F total[Rows], sum[Rows];
  BN_UNROLL
  for (int i = 0; i < Rows; ++i) total[i] = V::zero();
  for (uint32_t i = 0; i <= chunks; ++i) {
    BN_UNROLL
    for (int j = 0; j < Rows; ++j) sum[j] = V::zero();
    if (i < chunks) {
      const bool in_row = i + kChunksAhead < chunks;  // else in the next Rows rows
      const uint8_t* ahead =
          w + Dtype::chunk * (i + kChunksAhead) + (in_row ? 0 : Rows * stride - uint64_t{Dtype::chunk} * chunks);
      add_chunk<V, Dtype, Rows>(w + Dtype::chunk * i, stride, a.x + 256 * i, ahead, sum);
    } else if (256 * chunks < cols) {
      add_rest<V, Dtype, Rows>(w + Dtype::chunk * i, stride, a.x + 256 * i, cols - 256 * i, sum);
    } else {
      break;
    }
    BN_UNROLL
    for (int j = 0; j < Rows; ++j) total[j] = V::add(total[j], sum[j]);
  }
  for (uint32_t i = 0; i < Rows; ++i) a.y[r + i] = finish_dense(*a.w, r + i, V::fold(total[i]));
}

template <class V, class Dtype>
static inline void multiply_token(const bn_dense& a, uint32_t row0, uint32_t row1) {
  const uint64_t stride = dense_row_bytes(a.w->dtype, a.w->cols);
  uint32_t r = row0;
  for (; r + V::kRows <= row1; r += V::kRows) multiply_rows<V, Dtype, V::kRows>(a, r, stride);
  for (; r < row1; ++r) multiply_rows<V, Dtype, 1>(a, r, stride);
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

// Adds one chunk, V::kTileRows rows by Tokens tokens. total: [Tokens][kDenseRows][16]
template <class V, int Tokens>
static inline void tile(const float (*w)[256], const float* x, uint64_t x_stride, uint32_t n, float* total) {
  constexpr int Rows = V::kTileRows;
  typename V::F sum[Tokens][Rows];
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) sum[t][r] = V::zero();
  }
  for (uint32_t i = 0; i < n; i += 16) {
    typename V::F v[Tokens];
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) v[t] = V::load_first(x + t * x_stride + i, n - i);
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const auto row = V::load(w[r] + i);
      BN_UNROLL
      for (int t = 0; t < Tokens; ++t) sum[t][r] = V::fma(row, v[t], sum[t][r]);
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

template <class V, int Tokens>
static inline void tile_rows(DenseTiles* tiles, const float* x, uint64_t x_stride, uint32_t n, uint32_t t) {
  static_assert(kDenseRows % V::kTileRows == 0);
  for (uint32_t r = 0; r < kDenseRows; r += V::kTileRows) {
    tile<V, Tokens>(tiles->w + r, x, x_stride, n, tiles->total[t][r]);
  }
}

// Rows [r, r + rows), rows <= 8, times tokens [t0, t0 + tokens), tokens <= kDenseTokens.
template <class V, class Dtype>
static inline void multiply_block(const bn_dense& a, uint32_t r, uint32_t rows, uint32_t t0, uint32_t tokens, DenseTiles* tiles) {
  const uint32_t cols = a.w->cols;
  const uint64_t stride = dense_row_bytes(a.w->dtype, cols);
  const uint8_t* w = static_cast<const uint8_t*>(a.w->data) + r * stride;
  std::memset(tiles->total, 0, sizeof tiles->total[0] * tokens);
  for (uint32_t c = 0; c < cols; c += 256, w += Dtype::chunk) {
    const uint32_t n = cols - c < 256 ? cols - c : 256;
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
