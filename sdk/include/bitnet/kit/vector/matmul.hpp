// bitnet/kit/vector/matmul.hpp - ternary weights times int8 activations, exact in int32; equals kit::matmul of ops.hpp.
//
// Weights: groups of 128 columns in 32 bytes (bn.i2s128); column 32*g + p of a group is bits 6-2g of byte p: plane g. They
// hold the code c = w+1, so dot(w, x) = dot(c, x) - sum(x), and codes can be the unsigned operand of vpdpbusd (which adds four
// products to each int32 lane) or of vpmaddubsw (two, to int16 lanes).
//
// A policy T names registers and instructions; every function is `static inline`:
//
//   R, kLanes                  a register; the int32 in it: rows of a bundle
//   Sum, kMost                 sums in work; how often multiply_add() may add to them
//   kBundles, kTile            bundles of a block, tokens of a tile: kBundles * kTile Sum in registers at once
//   kSteps                     of four columns in a block, a multiple of 32: 4 * kLanes * kBundles * kSteps bytes of codes stay
//                              in L1 beside x of two tiles
//   kFewTokens                 most tokens that do without blocks
//   kRowsEach, kFew, kFewTile  for them: rows in a register, registers, tokens: kFew * kFewTile Sum at once
//   kShare                     of the kFew registers those that share x in a register
//   zero(), zero_sum(), load(p), store(p, a): aligned, set(x): int32, add(a, b): int32 lanes
//   byte_and(a, byte), right(a, n): 16-bit lanes by a constant
//   multiply_add(s, codes, x)  s + products of codes <= 192 (Sum of int16: 2) with x; widen(Sum): R
//   load_rows(w, stride)       32 bytes of each of kRowsEach rows; load_x(p): 32 bytes, for each of these rows
//   sum_rows(a, dot)           the sums of the lanes of kFew * kRowsEach rows
//   unpack_group(row, offset, out, out_stride)   one group of kLanes rows, 32 bytes at row[i] + offset: codes of columns
//                              [4s, 4s + 4) to the register at out + s * out_stride, four bytes a row
//   ordered(x, groups, place)  one token: x as dot_row() reads it, at place (64-byte aligned) or where it is
//   kStreams                   one token: rows in work together
//   dot_rows<Rows>(w, apart, groups, x, dot)   dot(codes, x) of Rows rows, `apart` bytes from each other; 1 or kStreams
//
// All is a template over a type of the plugin, so no object file can take code that was compiled for another CPU.
#pragma once

#include "bitnet/kernels.h"
#include "bitnet/kit/ternary.hpp"
#include "bitnet/kit/vector/arithmetic.hpp"

namespace bn::kit::vector {

inline constexpr uint32_t kGroupColumns = 128, kGroupBytes = 32;

// Bytes between the weights in work and the ones asked for, with a few tokens: the latency of memory.
inline constexpr uint32_t kWeightsAhead = 8192;

static inline uint32_t groups_of(const bn_matmul& a) { return (a.w->cols + kGroupColumns - 1) / kGroupColumns; }

// T::kStreams rows at a time, from parts of the range that lie apart, each read from its start to its end: that is what the
// prefetchers of the hardware like best, and they follow several such streams (Zen 5, AVX-512, four: 37 GB/s, one: 33 to 35).
template <class T>
static inline void multiply_token(const bn_matmul& a, uint32_t row0, uint32_t row1, int8_t* place) {
  constexpr uint32_t kStreams = T::kStreams;
  const uint32_t groups = groups_of(a), part = (row1 - row0) / kStreams;
  const uint64_t stride = uint64_t{kGroupBytes} * groups;
  const int8_t* x = T::ordered(a.x, groups, place);
  const uint8_t* w = static_cast<const uint8_t*>(a.packed);
  const auto finish = [&](uint32_t r, int32_t dot) {
    a.y[r] = static_cast<float>(dot - a.x_sum[0]) * (a.x_scale[0] * row_scale(*a.w, r));
  };
  for (uint32_t r = row0; r < row0 + part; ++r) {
    int32_t dot[kStreams];
    T::template dot_rows<kStreams>(w + r * stride, part * stride, groups, x, dot);
    for (uint32_t i = 0; i < kStreams; ++i) finish(r + i * part, dot[i]);
  }
  for (uint32_t r = row0 + kStreams * part; r < row1; ++r) {
    int32_t dot[1];
    T::template dot_rows<1>(w + r * stride, 0, groups, x, dot);
    finish(r, dot[0]);
  }
}

// ---------------------------------------------------------------------------------------------- a few tokens
template <class T>
inline constexpr uint32_t kFewRows = T::kFew* T::kRowsEach;

// Adds groups of some rows, at most kMost / 4, times Tokens tokens: planes are shifted to codes, once for all of them.
template <class T, int Tokens>
static inline void add_groups(const uint8_t* w, uint64_t stride, uint32_t groups, const int8_t* x, uint64_t x_stride,
                              const uint8_t* ahead, typename T::R (*total)[T::kFew]) {
  constexpr uint32_t kBytes = kGroupBytes * kFewRows<T>;
  constexpr int kShare = T::kShare;
  typename T::Sum s[Tokens][T::kFew];
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int i = 0; i < T::kFew; ++i) s[t][i] = T::zero_sum();
  }
  for (uint32_t g = 0; g < groups; ++g, w += kGroupBytes, x += kGroupColumns, ahead += kBytes) {
    BN_UNROLL
    for (uint32_t line = 0; line < kBytes; line += 64) __builtin_prefetch(ahead + line, 0, 3);
    BN_UNROLL
    for (int i = 0; i < T::kFew; i += kShare) {
      typename T::R rows[kShare], codes[kShare];
      BN_UNROLL
      for (int j = 0; j < kShare; ++j) rows[j] = T::load_rows(w + T::kRowsEach * (i + j) * stride, stride);
      BN_UNROLL
      for (int plane = 0; plane < 4; ++plane) {
        BN_UNROLL
        for (int j = 0; j < kShare; ++j) codes[j] = T::byte_and(T::right(rows[j], 6 - 2 * plane), 3);
        BN_UNROLL
        for (int t = 0; t < Tokens; ++t) {
          const auto xt = T::load_x(x + t * x_stride + 32 * plane);
          BN_UNROLL
          for (int j = 0; j < kShare; ++j) s[t][i + j] = T::multiply_add(s[t][i + j], codes[j], xt);
        }
      }
    }
  }
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int i = 0; i < T::kFew; ++i) total[t][i] = T::add(total[t][i], T::widen(s[t][i]));
  }
}

// y of rows [r, r + n), n <= kFewRows, for tokens [t, t + Tokens).
template <class T, int Tokens>
static inline void multiply_few_rows(const bn_matmul& a, uint32_t t, uint32_t r, uint32_t n, const uint8_t* w,
                                     uint64_t stride) {
  constexpr uint32_t kMost = T::kMost / 4;
  const uint32_t groups = groups_of(a);
  const int8_t* x = a.x + static_cast<uint64_t>(t) * a.x_stride;
  const uint8_t* ahead = w + kFewRows<T> * stride + kWeightsAhead;
  typename T::R total[Tokens][T::kFew];
  BN_UNROLL
  for (int j = 0; j < Tokens; ++j) {
    BN_UNROLL
    for (int i = 0; i < T::kFew; ++i) total[j][i] = T::zero();
  }
  for (uint32_t g = 0; g < groups; g += kMost) {
    const uint32_t count = groups - g < kMost ? groups - g : kMost;
    add_groups<T, Tokens>(w + uint64_t{kGroupBytes} * g, stride, count, x + uint64_t{kGroupColumns} * g, a.x_stride,
                          ahead + uint64_t{kGroupBytes} * kFewRows<T> * g, total);
  }
  for (uint32_t j = 0; j < Tokens; ++j) {
    int32_t dot[kFewRows<T>];
    T::sum_rows(total[j], dot);
    float* y = a.y + static_cast<uint64_t>(t + j) * a.y_stride + r;
    for (uint32_t i = 0; i < n; ++i) {
      y[i] = static_cast<float>(dot[i] - a.x_sum[t + j]) * (a.x_scale[t + j] * row_scale(*a.w, r + i));
    }
  }
}

// n_tokens, at most Tokens, from t on.
template <class T, int Tokens>
static inline void multiply_some_tokens(const bn_matmul& a, uint32_t t, uint32_t n_tokens, uint32_t r, uint32_t n,
                                        const uint8_t* w, uint64_t stride) {
  if constexpr (Tokens > 1) {
    if (n_tokens < Tokens) return multiply_some_tokens<T, Tokens - 1>(a, t, n_tokens, r, n, w, stride);
  }
  multiply_few_rows<T, Tokens>(a, t, r, n, w, stride);
}

// All tokens, in groups of equal size; each group after the first finds the rows in L1. stride 0: one row stands for all.
template <class T>
static inline void multiply_all_tokens(const bn_matmul& a, uint32_t r, uint32_t n, const uint8_t* w, uint64_t stride) {
  for (uint32_t t = 0; t < a.m;) {
    const uint32_t left = a.m - t, parts = (left + T::kFewTile - 1) / T::kFewTile, tokens = (left + parts - 1) / parts;
    multiply_some_tokens<T, T::kFewTile>(a, t, tokens, r, n, w, stride);
    t += tokens;
  }
}

template <class T>
static inline void multiply_few(const bn_matmul& a, uint32_t row0, uint32_t row1) {
  const uint64_t stride = uint64_t{kGroupBytes} * groups_of(a);
  const uint8_t* w = static_cast<const uint8_t*>(a.packed);
  uint32_t r = row0;
  for (; r + kFewRows<T> <= row1; r += kFewRows<T>) multiply_all_tokens<T>(a, r, kFewRows<T>, w + r * stride, stride);
  for (; r < row1; ++r) multiply_all_tokens<T>(a, r, 1, w + r * stride, 0);
}

// --------------------------------------------------------------------------------------------- many tokens
// A block of rows is unpacked to one byte per code, a block of columns at a time, and used for a block of tokens. A register
// holds four columns of kLanes rows, so lanes are rows: x is broadcast and no sum is ever folded.
inline constexpr uint32_t kBlockTokens = 512;  // sums: 32 (AVX2) or 128 KB, in L2

template <class T>
struct Tiles {
  static constexpr uint32_t kRows = T::kBundles * T::kLanes;
  alignas(64) uint8_t codes[T::kSteps * kRows * 4];  // [step][bundle][row][column]
  alignas(64) int32_t dot[kBlockTokens][kRows];
};

// dot[t][..] += codes of Bundles bundles times Tokens tokens, at most kMost steps; first: = instead. x of the next tokens is
// asked for meanwhile.
template <class T, int Bundles, int Tokens>
__attribute__((noinline)) static void multiply_tile(const uint8_t* codes, const int8_t* x, uint64_t x_stride, uint32_t steps,
                                                    bool first, int32_t* dot) {
  constexpr uint32_t kBytes = sizeof(typename T::R);
  typename T::Sum s[Tokens][Bundles];
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int i = 0; i < Bundles; ++i) s[t][i] = T::zero_sum();
  }
  for (uint32_t step = 0; step < steps; step += 16) {
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) __builtin_prefetch(x + (Tokens + t) * x_stride, 0, 3);
    for (const int8_t* const end = x + 64; x != end; codes += kBytes * Bundles, x += 4) {
      typename T::R c[Bundles];
      BN_UNROLL
      for (int i = 0; i < Bundles; ++i) c[i] = T::load(codes + kBytes * i);
      BN_UNROLL
      for (int t = 0; t < Tokens; ++t) {
        int32_t four;
        std::memcpy(&four, x + t * x_stride, 4);
        const auto xt = T::set(four);
        BN_UNROLL
        for (int i = 0; i < Bundles; ++i) s[t][i] = T::multiply_add(s[t][i], c[i], xt);
      }
    }
  }
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int i = 0; i < Bundles; ++i) {
      int32_t* p = dot + Tiles<T>::kRows * t + T::kLanes * i;
      T::store(p, first ? T::widen(s[t][i]) : T::add(T::load(p), T::widen(s[t][i])));
    }
  }
}

template <class T, int Bundles, int Tokens>
static inline void multiply_steps(const uint8_t* codes, const int8_t* x, uint64_t x_stride, uint32_t steps, bool first,
                                  int32_t* dot) {
  for (uint32_t s = 0; s < steps; s += T::kMost) {
    const uint32_t n = steps - s < T::kMost ? steps - s : T::kMost;
    multiply_tile<T, Bundles, Tokens>(codes + sizeof(typename T::R) * Bundles * s, x + 4 * s, x_stride, n, first && s == 0,
                                      dot);
  }
}

// Rows [r, r + n) times tokens [t0, t1).
struct Block {
  const bn_matmul& a;
  uint32_t r, n, t0, t1;
  const float* scale;         // [n] of the rows
  const uint8_t* const* row;  // packed, one for each row of the bundles: those past the end repeat the last one
};

// y of tokens [t, t + tokens), the only ones in dot.
template <class T>
static inline void finish_tile(const Block& b, uint32_t t, uint32_t tokens, const int32_t (*dot)[Tiles<T>::kRows]) {
  for (uint32_t j = 0; j < tokens; ++j) {
    const int32_t x_sum = b.a.x_sum[t + j];
    const float x_scale = b.a.x_scale[t + j];
    float* y = b.a.y + static_cast<uint64_t>(t + j) * b.a.y_stride + b.r;
    for (uint32_t i = 0; i < b.n; ++i) y[i] = static_cast<float>(dot[j][i] - x_sum) * (x_scale * b.scale[i]);
  }
}

// Columns of a block that are unpacked: from group g on, `steps` times four.
struct Columns {
  uint32_t g, steps;
  bool first, last;  // of the row
};

// Tokens [t, t + Tokens). With the last columns they are finished at once: where y is written is asked for before, and the
// stores drain while the next tile is multiplied.
template <class T, int Bundles, int Tokens>
static inline void multiply_tokens(const Block& b, const Columns& c, uint32_t t, Tiles<T>* tiles) {
  if (c.last) {
    for (uint32_t j = 0; j < Tokens; ++j) {
      const float* y = b.a.y + static_cast<uint64_t>(t + j) * b.a.y_stride + b.r;
      for (uint32_t i = 0; i < b.n; i += 16) __builtin_prefetch(y + i, 1, 3);
    }
  }
  const int8_t* x = b.a.x + static_cast<uint64_t>(t) * b.a.x_stride + uint64_t{kGroupColumns} * c.g;
  auto* dot = tiles->dot + (t - b.t0);
  multiply_steps<T, Bundles, Tokens>(tiles->codes, x, b.a.x_stride, c.steps, c.first, dot[0]);
  if (c.last) finish_tile<T>(b, t, Tokens, dot);
}

// All tiles of the columns. What is unpacked next, `bytes` at row[..] + next, of these rows or of those behind them, comes
// meanwhile: into L2 a row with each tile, into L1 with the last tiles (unpacking from L2 alone takes four times as long).
template <class T, int Bundles>
static inline void multiply_columns(const Block& b, const Columns& c, uint64_t next, uint64_t bytes, Tiles<T>* tiles) {
  constexpr uint32_t kRows = Bundles * T::kLanes, kLast = 4;
  const uint32_t n_tiles = (b.t1 - b.t0) / T::kTile;
  uint32_t t = b.t0;
  for (uint32_t i = 0; i < n_tiles; ++i, t += T::kTile) {
    if (i < kRows) ask_for(b.row[i] + next, bytes);
    const uint32_t part = i + kLast - n_tiles;  // wraps before the last tiles
    for (uint32_t k = 0; part < kLast && k < kRows / kLast; ++k) ask_into_l1(b.row[part * kRows / kLast + k] + next, bytes);
    multiply_tokens<T, Bundles, T::kTile>(b, c, t, tiles);
  }
  for (; t + 2 <= b.t1; t += 2) multiply_tokens<T, Bundles, 2>(b, c, t, tiles);
  if (t < b.t1) multiply_tokens<T, Bundles, 1>(b, c, t, tiles);
  for (uint32_t i = n_tiles; i < kRows; ++i) ask_for(b.row[i] + next, bytes);
}

// Rows [r, r + n), at most Bundles bundles, times tokens [t0, t1).
template <class T, int Bundles>
static inline void multiply_block(const bn_matmul& a, uint32_t r, uint32_t n, uint32_t t0, uint32_t t1, Tiles<T>* tiles) {
  constexpr uint32_t kMost = T::kSteps / 32, kRegister = sizeof(typename T::R), kRows = Bundles * T::kLanes;
  const uint32_t groups = groups_of(a), blocks = (groups + kMost - 1) / kMost, per_block = (groups + blocks - 1) / blocks;
  const uint64_t stride = uint64_t{kGroupBytes} * groups;
  const uint8_t* row[kRows];
  float scale[kRows];
  for (uint32_t i = 0; i < kRows; ++i) {
    const uint32_t k = r + (i < n ? i : n - 1);
    row[i] = static_cast<const uint8_t*>(a.packed) + k * stride;
    scale[i] = row_scale(*a.w, k);
  }
  const Block block{a, r, n, t0, t1, scale, row};
  for (uint32_t g = 0; g < groups; g += per_block) {
    const uint32_t count = groups - g < per_block ? groups - g : per_block;
    for (uint32_t i = 0; i < count; ++i) {
      for (int b = 0; b < Bundles; ++b) {
        T::unpack_group(row + b * T::kLanes, uint64_t{kGroupBytes} * (g + i), tiles->codes + kRegister * (32 * i * Bundles + b),
                        kRegister * Bundles);
      }
    }
    const bool last = g + per_block >= groups;
    const uint64_t next = last ? kRows * stride : uint64_t{kGroupBytes} * (g + per_block);
    multiply_columns<T, Bundles>(block, {g, 32 * count, g == 0, last}, next, uint64_t{kGroupBytes} * per_block, tiles);
  }
}

// No more bundles than n rows need.
template <class T, int Bundles>
static inline void multiply_rows(const bn_matmul& a, uint32_t r, uint32_t n, uint32_t t0, uint32_t t1, Tiles<T>* tiles) {
  if constexpr (Bundles > 1) {
    if (n <= (Bundles - 1) * T::kLanes) return multiply_rows<T, Bundles - 1>(a, r, n, t0, t1, tiles);
  }
  multiply_block<T, Bundles>(a, r, n, t0, t1, tiles);
}

// place: sizeof(Tiles<T>) bytes, 64-byte aligned, and as much as ordered() needs.
template <class T>
static inline void matmul(const bn_matmul& a, uint32_t row0, uint32_t row1, void* place) {
  if (a.m == 1) return multiply_token<T>(a, row0, row1, static_cast<int8_t*>(place));
  if (a.m <= T::kFewTokens) return multiply_few<T>(a, row0, row1);
  constexpr uint32_t kRows = Tiles<T>::kRows;
  const uint32_t blocks = (a.m + kBlockTokens - 1) / kBlockTokens, per_block = (a.m + blocks - 1) / blocks;
  for (uint32_t t = 0; t < a.m; t += per_block) {
    const uint32_t t1 = a.m - t < per_block ? a.m : t + per_block;
    for (uint32_t r = row0; r < row1; r += kRows) {
      multiply_rows<T, T::kBundles>(a, r, row1 - r < kRows ? row1 - r : kRows, t, t1, static_cast<Tiles<T>*>(place));
    }
  }
}

}  // namespace bn::kit::vector
