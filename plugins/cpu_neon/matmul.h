// cpu_neon/matmul.h - ternary weights times int8 activations, exact in int32: what the three variants of matmul share.
//
// Weights: groups of 128 columns in 32 bytes (bn.i2s128); column 32*g + p of a group is bits 6-2g of byte p: plane g. They
// hold the code c = w+1, so dot(w, x) = dot(c, x) - sum(x).
//
// Isa, the instructions of a variant. One sum takes up to 1024 columns (64 vectors) of one row and one token:
//   Sum, zero(), add(&sum, codes, x)   16 columns
//   lanes(sum)                         four int32 that add up to the sum
//   kTokens                            tokens of tile(), which divide kMaxTokens
//   put(step, r, codes)                16 codes of row r of a step (8 rows, 16 columns, 128 bytes) where tile() reads them
//   tile(step, x, steps, dot)          dot[t][r] += the steps times x[t], t < kTokens, r < kRows
//
// Sizes of blocks and the distance of the prefetch are not measured: no Arm machine was there.
#pragma once

#include <arm_neon.h>

#include "bitnet/kit/ternary.hpp"
#include "bitnet/kit/vector/arithmetic.hpp"
#include "kernels.h"

// Each variant has its own copy of everything here, see kernels.h.
namespace {

using bn::neon::kGroup;

constexpr uint32_t kRows = 8;         // of a tile
constexpr uint32_t kBlockGroups = 8;  // 1024 columns
constexpr uint32_t kStepBytes = 16 * kRows;
constexpr uint32_t kMaxTokens = 240;
constexpr uint32_t kTokenBytes = 256 * 1024;  // of x that are used for 8 rows: stay in L2
constexpr uint32_t kFewTokens = 4;
constexpr uint32_t kPrefetch = 2048;  // bytes between the end of the rows in work and the ones asked for

struct Tiles {
  alignas(64) uint8_t codes[8 * kBlockGroups * kStepBytes];  // 8 KB, stays in L1
  alignas(64) int32_t dot[kMaxTokens][kRows];
};
static_assert(sizeof(Tiles) <= bn::neon::kScratchBytes);

// Codes of one plane of 16 bytes.
template <int Plane>
static inline uint8x16_t codes_of(uint8x16_t bytes) {
  if constexpr (Plane == 0) {
    return vshrq_n_u8(bytes, 6);
  } else if constexpr (Plane < 3) {
    return vandq_u8(vshrq_n_u8(bytes, 6 - 2 * Plane), vdupq_n_u8(3));
  } else {
    return vandq_u8(bytes, vdupq_n_u8(3));
  }
}

// The four sums of the lanes of v[0..3].
static inline int32x4_t sum_four(const int32x4_t* v) { return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3])); }

// ---------------------------------------------------------------------------------------------- a few tokens
// One plane of a group of Rows rows; x: its 32 columns.
template <class Isa, int Plane, int Rows>
static inline void add_plane(typename Isa::Sum* sum, const uint8x16_t* low, const uint8x16_t* high, const int8_t* x) {
  const int8x16_t x_low = vld1q_s8(x), x_high = vld1q_s8(x + 16);
  BN_UNROLL
  for (int r = 0; r < Rows; ++r) {
    Isa::add(&sum[r], vreinterpretq_s8_u8(codes_of<Plane>(low[r])), x_low);
    Isa::add(&sum[r], vreinterpretq_s8_u8(codes_of<Plane>(high[r])), x_high);
  }
}

// dot(codes, x) of Rows rows, `stride` bytes apart, for one token. The rows behind them are asked for meanwhile.
template <class Isa, int Rows>
static inline void dot_rows(const uint8_t* w, uint64_t stride, uint32_t groups, const int8_t* x, int32x4_t* total) {
  const uint8_t* ahead = w + Rows * stride + kPrefetch;
  for (uint32_t g = 0; g < groups;) {
    typename Isa::Sum sum[Rows];
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) sum[r] = Isa::zero();
    const uint32_t end = groups - g < kBlockGroups ? groups : g + kBlockGroups;
    for (; g < end; ++g, x += kGroup, ahead += 32 * Rows) {
      for (int r = 0; r < Rows; r += 2) __builtin_prefetch(ahead + 32 * r);
      uint8x16_t low[Rows], high[Rows];
      BN_UNROLL
      for (int r = 0; r < Rows; ++r) {
        low[r] = vld1q_u8(w + r * stride + 32 * g);
        high[r] = vld1q_u8(w + r * stride + 32 * g + 16);
      }
      add_plane<Isa, 0, Rows>(sum, low, high, x);
      add_plane<Isa, 1, Rows>(sum, low, high, x + 32);
      add_plane<Isa, 2, Rows>(sum, low, high, x + 64);
      add_plane<Isa, 3, Rows>(sum, low, high, x + 96);
    }
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) total[r] = vaddq_s32(total[r], Isa::lanes(sum[r]));
  }
}

// Four rows at a time; each token after the first finds them in L1.
template <class Isa>
static void multiply_few(const bn_matmul& a, uint32_t row0, uint32_t row1) {
  const uint32_t groups = (a.w->cols + kGroup - 1) / kGroup;
  const uint64_t stride = 32ull * groups;
  const uint8_t* w = static_cast<const uint8_t*>(a.packed);
  for (uint32_t r = row0; r < row1;) {
    const uint32_t rows = row1 - r >= 4 ? 4 : 1;
    for (uint32_t t = 0; t < a.m; ++t) {
      const int8_t* x = a.x + static_cast<uint64_t>(t) * a.x_stride;
      int32x4_t total[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
      if (rows == 4) {
        dot_rows<Isa, 4>(w + r * stride, stride, groups, x, total);
      } else {
        dot_rows<Isa, 1>(w + r * stride, stride, groups, x, total);
      }
      int32_t dot[4];
      vst1q_s32(dot, sum_four(total));
      float* y = a.y + static_cast<uint64_t>(t) * a.y_stride + r;
      for (uint32_t i = 0; i < rows; ++i) {
        y[i] = static_cast<float>(dot[i] - a.x_sum[t]) * (a.x_scale[t] * bn::kit::row_scale(*a.w, r + i));
      }
    }
    r += rows;
  }
}

// --------------------------------------------------------------------------------------------- many tokens
// Eight rows are unpacked to one byte per code, 1024 columns at a time, and used for a block of tokens.

template <class Isa, int Plane>
static inline void put_plane(uint8_t* group, uint32_t r, uint8x16_t low, uint8x16_t high) {
  Isa::put(group + 2 * Plane * kStepBytes, r, codes_of<Plane>(low));
  Isa::put(group + (2 * Plane + 1) * kStepBytes, r, codes_of<Plane>(high));
}

// n groups of row r of a tile.
template <class Isa>
static void unpack(const uint8_t* row, uint32_t n, uint32_t r, uint8_t* codes) {
  for (uint32_t g = 0; g < n; ++g, codes += 8 * kStepBytes) {
    const uint8x16_t low = vld1q_u8(row + 32 * g), high = vld1q_u8(row + 32 * g + 16);
    put_plane<Isa, 0>(codes, r, low, high);
    put_plane<Isa, 1>(codes, r, low, high);
    put_plane<Isa, 2>(codes, r, low, high);
    put_plane<Isa, 3>(codes, r, low, high);
  }
}

// Isa::tile by Isa::add, for steps in which the rows follow each other: 24 sums, 3 vectors of x, codes.
template <class Isa>
static inline void tile_of_rows(const uint8_t* step, const int8_t* const* x, uint32_t steps, int32_t (*dot)[kRows]) {
  constexpr uint32_t tokens = 3;
  typename Isa::Sum sum[tokens][kRows];
  BN_UNROLL
  for (uint32_t r = 0; r < kRows; ++r) sum[0][r] = sum[1][r] = sum[2][r] = Isa::zero();
  for (uint32_t s = 0; s < steps; ++s, step += kStepBytes) {
    const int8x16_t x0 = vld1q_s8(x[0] + 16 * s), x1 = vld1q_s8(x[1] + 16 * s), x2 = vld1q_s8(x[2] + 16 * s);
    BN_UNROLL
    for (uint32_t r = 0; r < kRows; ++r) {
      const int8x16_t codes = vreinterpretq_s8_u8(vld1q_u8(step + 16 * r));
      Isa::add(&sum[0][r], codes, x0);
      Isa::add(&sum[1][r], codes, x1);
      Isa::add(&sum[2][r], codes, x2);
    }
  }
  BN_UNROLL
  for (uint32_t t = 0; t < tokens; ++t) {
    BN_UNROLL
    for (uint32_t r = 0; r < kRows; r += 4) {
      int32x4_t lanes[4];
      BN_UNROLL
      for (uint32_t i = 0; i < 4; ++i) lanes[i] = Isa::lanes(sum[t][r + i]);
      vst1q_s32(dot[t] + r, vaddq_s32(vld1q_s32(dot[t] + r), sum_four(lanes)));
    }
  }
}

// y of rows [r, r + n), n <= 8, for tokens [t0, t1).
static void finish(const bn_matmul& a, uint32_t r, uint32_t n, uint32_t t0, uint32_t t1, const int32_t (*dot)[kRows]) {
  float w_scale[kRows];
  for (uint32_t i = 0; i < n; ++i) w_scale[i] = bn::kit::row_scale(*a.w, r + i);
  for (uint32_t t = t0; t < t1; ++t) {
    float* y = a.y + static_cast<uint64_t>(t) * a.y_stride + r;
    for (uint32_t i = 0; i < n; ++i) y[i] = static_cast<float>(dot[t - t0][i] - a.x_sum[t]) * (a.x_scale[t] * w_scale[i]);
  }
}

// Rows [r, r + n), n <= 8, times tokens [t0, t1).
template <class Isa>
static void multiply_block(const bn_matmul& a, uint32_t r, uint32_t n, uint32_t t0, uint32_t t1, Tiles* tiles) {
  const uint32_t groups = (a.w->cols + kGroup - 1) / kGroup;
  const uint8_t* w = static_cast<const uint8_t*>(a.packed);
  std::memset(tiles->dot, 0, sizeof tiles->dot);
  for (uint32_t g = 0; g < groups; g += kBlockGroups) {
    const uint32_t count = groups - g < kBlockGroups ? groups - g : kBlockGroups;
    for (uint32_t i = 0; i < kRows; ++i) {  // rows past the end repeat the last one
      const uint64_t row = r + (i < n ? i : n - 1);
      unpack<Isa>(w + 32 * (row * groups + g), count, i, tiles->codes);
    }
    for (uint32_t t = t0; t < t1; t += Isa::kTokens) {
      const int8_t* x[Isa::kTokens];
      for (uint32_t i = 0; i < Isa::kTokens; ++i) {  // tokens past the end repeat the last one
        const uint64_t token = t + i < t1 ? t + i : t1 - 1;
        x[i] = a.x + token * a.x_stride + kGroup * g;
      }
      Isa::tile(tiles->codes, x, 8 * count, tiles->dot + (t - t0));
    }
  }
  finish(a, r, n, t0, t1, tiles->dot);
}

template <class Isa>
static bn_status multiply(const bn_matmul& a, uint32_t row0, uint32_t row1, void* scratch) {
  if (a.m <= kFewTokens) {
    multiply_few<Isa>(a, row0, row1);
    return BN_OK;
  }
  static_assert(kMaxTokens % Isa::kTokens == 0);
  uint32_t tokens = kTokenBytes / a.w->cols / 24 * 24;
  tokens = tokens < 24 ? 24 : tokens > kMaxTokens ? kMaxTokens : tokens;
  for (uint32_t t = 0; t < a.m; t += tokens) {
    const uint32_t t1 = a.m - t < tokens ? a.m : t + tokens;
    for (uint32_t r = row0; r < row1; r += kRows) {
      multiply_block<Isa>(a, r, row1 - r < kRows ? row1 - r : kRows, t, t1, static_cast<Tiles*>(scratch));
    }
  }
  return BN_OK;
}

}  // namespace
