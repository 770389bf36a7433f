// cpu_avx512/table_tiles.h - many tokens: some columns with vpdpbusd, the others looked up in tables; equals matmul.cpp.
//
// A ternary weight has three values, so three of them have 27, and vpermw looks up 32 words of 16 bits at once: with a table of
// the 27 sums that three activations of a token can make, one vpermw and one vpaddw do what takes 1.5 vpdpbusd. A CPU that has
// more vector units than those that multiply (Zen 4, Zen 5: four, two of which do vpdpbusd, two vpermw and all vpaddw) does
// both at once. Sums of integers have no order, so nothing is rounded anywhere and the result is the same.
//
// A table is made once for some tokens and all rows of a call, codes and numbers are unpacked once for some rows and all
// these tokens. The sums of all that are kept between blocks of columns.
//
// How weights lie is a policy L:
//   kGroup            columns that are unpacked together: kDots dots of four columns, kTables tables of three
//   kGroups           groups in a block of columns
//   kParts            a group's dots and tables come in kParts equal parts, five dots and some tables each
//   dot_column(i, k)  the first column of dot k of part i
//   kLines            cache lines of kRows rows times a block of columns
//   line(a, r, g, i)  line i of the kRows rows from r on and the columns from group g on
//   unpack(a, r, g, n, place)   n groups of kRows rows
//   three(x, out)     the three activations of each table of a group, one byte each, the fourth 0. An entry's number is
//                     c0 + 3 * c1 + 9 * c2, c the codes w + 1 of these columns
//
// For sources that are compiled for AVX-512. Functions are static templates over a type of one source (see kernels.h).
#pragma once

#include <cstring>

#include "kernels.h"
#include "transpose.h"

namespace bn::avx512::tables {

// gcc 12 copies and spills __m512i that are accumulated (see matmul.cpp).
typedef int32_t Sum __attribute__((vector_size(64)));
typedef int16_t Short __attribute__((vector_size(64)));

constexpr int kBundles = 8, kRows = 16 * kBundles;    // rows in work together
constexpr int kTile = 2;                              // tokens in work together
constexpr uint32_t kTokens = 128, kBlockRows = 1024;  // of a call at a time: tables and sums should stay in L2
constexpr uint32_t kAsking = 16;                      // tiles that ask for the next weights, the last ones
constexpr uint32_t kXAhead = 8;                       // tokens from the one whose tables are made to the one that is asked for
constexpr uint32_t kYAhead = 8 * kTile;               // tokens from the tile in work to the one whose y is asked for

template <class L>
struct Place {
  alignas(64) uint8_t codes[L::kGroups][L::kDots][kBundles][64];  // [row][column]
  // Words: row r of the first bundle, row r of the second, row r + 1 of the first, ... vpermw looks at the low 5 bits of a
  // word only.
  alignas(64) uint8_t number[L::kGroups][L::kTables][kBundles / 2][64];
  alignas(64) uint8_t table[kTokens / kTile][L::kGroups][L::kTables][kTile][64];
  alignas(64) int32_t dot[kBlockRows / kRows][kTokens][kRows];
};

static inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
// n in as few parts of at most `most` as it takes, all of one size, a multiple of `unit`.
static inline uint32_t even_share(uint32_t n, uint32_t most, uint32_t unit) {
  const uint32_t parts = (n + most - 1) / most, share = (n + parts - 1) / parts;
  return (share + unit - 1) / unit * unit;
}

// Numbers of four tables of two bundles, from registers that hold them as bytes, four of each row.
template <class L>
static inline void put_numbers(__m512i first, __m512i second, uint32_t g, int table, int pair, Place<L>* place) {
  const auto put = [&](int k, __m512i low, __m512i high) __attribute__((always_inline)) {
    _mm512_store_si512(place->number[g][table + k][pair], _mm512_mask_blend_epi16(0xAAAAAAAA, low, high));
  };
  put(0, first, _mm512_slli_epi32(second, 16));
  put(1, _mm512_srli_epi32(first, 8), _mm512_slli_epi32(second, 8));
  put(2, _mm512_srli_epi32(first, 16), second);
  put(3, _mm512_srli_epi32(first, 24), _mm512_srli_epi32(second, 8));
}

// The tables of one token and group, x its columns, `apart` bytes from each other.
template <class L>
static inline void make_tables(const int8_t* x, uint8_t* table, uint64_t apart) {
  // Codes c0, c1, c2, 0 of the entries that _mm512_packs_epi32 puts first and last in each half register.
  alignas(64) static constexpr auto kEntries = [] {
    struct {
      uint8_t code[2][16][4];
    } e{};
    for (int i = 0; i < 32; ++i) {
      uint8_t* code = e.code[i / 4 % 2][i / 8 * 4 + i % 4];
      code[0] = static_cast<uint8_t>(i % 3), code[1] = static_cast<uint8_t>(i / 3 % 3),
      code[2] = static_cast<uint8_t>(i / 9 % 3);
    }
    return e;
  }();
  const __m512i first = _mm512_load_si512(kEntries.code[0]), last = _mm512_load_si512(kEntries.code[1]);
  alignas(64) int32_t three[L::kTables];
  L::three(x, three);
  BN_UNROLL
  for (int p = 0; p < L::kTables; ++p) {
    const __m512i xs = _mm512_set1_epi32(three[p]), zero = _mm512_setzero_si512();
    _mm512_store_si512(table + p * apart,
                       _mm512_packs_epi32(_mm512_dpbusd_epi32(zero, first, xs), _mm512_dpbusd_epi32(zero, last, xs)));
  }
}

// dot[token][row] += kRows rows times Tokens tokens, all groups of a block; first: = instead. x: column 0 of the block.
template <class L, int Tokens>
__attribute__((noinline)) static void multiply_tile(const Place<L>& place, uint32_t groups, const int8_t* x, uint64_t x_stride,
                                                    const uint8_t* table, bool first, int32_t* dot) {
  Sum s[Tokens][kBundles];
  Short looked_up[Tokens][kBundles / 2];
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int i = 0; i < kBundles; ++i) s[t][i] = Sum{};
    BN_UNROLL
    for (int i = 0; i < kBundles / 2; ++i) looked_up[t][i] = Short{};
  }
  const uint8_t* codes = place.codes[0][0][0];
  const uint8_t* number = place.number[0][0][0];
  const auto add_dot = [&](const int8_t* four) __attribute__((always_inline)) {
    __m512i xs[Tokens];
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) {
      int32_t v;
      std::memcpy(&v, four + t * x_stride, 4);
      xs[t] = _mm512_set1_epi32(v);
    }
    BN_UNROLL
    for (int i = 0; i < kBundles; ++i, codes += 64) {
      const __m512i c = _mm512_load_si512(codes);
      BN_UNROLL
      for (int t = 0; t < Tokens; ++t)
        s[t][i] = reinterpret_cast<Sum>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(s[t][i]), c, xs[t]));
    }
  };
  const auto look_up = [&]() __attribute__((always_inline)) {
    __m512i sums[Tokens];
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) {
      sums[t] = _mm512_load_si512(table + 64 * t);
      __asm__("" : "+v"(sums[t]));  // once, not with every vpermw
    }
    table += 64 * kTile;
    BN_UNROLL
    for (int i = 0; i < kBundles / 2; ++i, number += 64) {
      __m512i n = _mm512_load_si512(number);
      __asm__("" : "+v"(n));
      BN_UNROLL
      for (int t = 0; t < Tokens; ++t) {
        looked_up[t][i] += reinterpret_cast<Short>(_mm512_permutexvar_epi16(n, sums[t]));
        __asm__("" : "+v"(looked_up[t][i]));  // now, not all at the end
      }
    }
  };
  for (uint32_t g = 0; g < groups; ++g, x += L::kGroup) {
    for (int i = 0; i < L::kParts; ++i) {
      BN_UNROLL
      for (int k = 0; k < 4; ++k) {
        add_dot(x + L::dot_column(i, k));
        look_up();
      }
      add_dot(x + L::dot_column(i, 4));
    }
  }
  const __m512i even = _mm512_set1_epi32(1), odd = _mm512_set1_epi32(1 << 16);
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int i = 0; i < kBundles; ++i) {
      int32_t* out = dot + kRows * t + 16 * i;
      const __m512i sum = _mm512_dpwssd_epi32(reinterpret_cast<__m512i>(s[t][i]),
                                              reinterpret_cast<__m512i>(looked_up[t][i / 2]), i % 2 == 0 ? even : odd);
      _mm512_store_si512(out, first ? sum : _mm512_add_epi32(sum, _mm512_load_si512(out)));
    }
  }
}

// Rows [r0, r0 + kRows) times tokens [t0, t1).
struct Block {
  const bn_matmul& a;
  uint32_t r0, t0, t1;
  uint32_t next_r, next_g;  // what is unpacked next: rows from next_r on, columns from group next_g on
};
// Columns that are unpacked: groups [g, g + n).
struct Columns {
  uint32_t g, n;
  bool first, last;  // of the row
};

static inline void finish(const Block& b, uint32_t t, uint32_t tokens, const int32_t (*dot)[kRows]) {
  const bn_tensor& w = *b.a.w;
  const float* scale = w.n_scales == 1 ? nullptr : w.scales + b.r0;
  for (uint32_t j = 0; j < tokens; ++j) {
    const int32_t x_sum = b.a.x_sum[t + j];
    const float x_scale = b.a.x_scale[t + j];
    float* y = b.a.y + static_cast<uint64_t>(t + j) * b.a.y_stride + b.r0;
    if (scale == nullptr) {
      const float both = x_scale * w.scales[0];
      for (int i = 0; i < kRows; ++i) y[i] = static_cast<float>(dot[j][i] - x_sum) * both;
    } else {
      for (int i = 0; i < kRows; ++i) y[i] = static_cast<float>(dot[j][i] - x_sum) * (x_scale * scale[i]);
    }
  }
}

template <class L, int Tokens>
static inline void multiply_tokens(const Block& b, const Columns& c, uint32_t t, Place<L>* place, int32_t (*dot)[kRows]) {
  if (c.last) {
    for (uint32_t j = t + kYAhead; j < t + kYAhead + Tokens && j < b.t1; ++j) {
      const float* y = b.a.y + static_cast<uint64_t>(j) * b.a.y_stride + b.r0;
      for (uint32_t i = 0; i < kRows; i += 16) __builtin_prefetch(y + i, 1, 3);
    }
  }
  const int8_t* x = b.a.x + static_cast<uint64_t>(t) * b.a.x_stride + L::kGroup * c.g;
  multiply_tile<L, Tokens>(*place, c.n, x, b.a.x_stride, place->table[(t - b.t0) / kTile][0][0][0], c.first, dot[t - b.t0]);
  if (c.last) finish(b, t, Tokens, dot + (t - b.t0));
}

// All tokens of the block. What is unpacked next comes meanwhile: into L2, with the last tiles into L1.
template <class L>
static inline void multiply_columns(const Block& b, const Columns& c, Place<L>* place, int32_t (*dot)[kRows]) {
  uint32_t t = b.t0, far = 0, near = 0;
  const auto line = [&](uint32_t i) { return L::line(b.a, b.next_r, b.next_g, i); };
  for (uint32_t left = (b.t1 - b.t0) / kTile; left > 0; --left, t += kTile) {
    for (const uint32_t until = least(far + 4, L::kLines); far < until; ++far) __builtin_prefetch(line(far), 0, 2);
    const uint32_t until = left > kAsking ? 0 : L::kLines - (left - 1) * (L::kLines / kAsking);
    for (; near < until; ++near) __builtin_prefetch(line(near), 0, 3);
    multiply_tokens<L, kTile>(b, c, t, place, dot);
  }
  static_assert(kTile == 2, "one token may be left over");
  if (t < b.t1) multiply_tokens<L, 1>(b, c, t, place, dot);
}

// Rows [row0, row1), whole kRows and at most kBlockRows, times tokens [t0, t1), at most kTokens.
template <class L>
static void multiply_block(const bn_matmul& a, uint32_t row0, uint32_t row1, uint32_t t0, uint32_t t1, Place<L>* place) {
  constexpr uint32_t kGroups = L::kGroups;
  // 16-bit sums hold: two tables of a pair of bundles, of three products of a code, at most 2, and an activation, at most 128.
  static_assert(kGroups * L::kTables * 3 * 2 * 128 < 32768 && sizeof(Place<L>) <= kScratchBytes);
  const uint32_t groups = (a.w->cols + L::kGroup - 1) / L::kGroup;
  for (uint32_t g0 = 0; g0 < groups; g0 += kGroups) {
    const Columns c{g0, least(kGroups, groups - g0), g0 == 0, g0 + kGroups >= groups};
    for (uint32_t t = t0; t < t1; ++t) {
      const int8_t* x = a.x + static_cast<uint64_t>(t) * a.x_stride + L::kGroup * g0;
      const int8_t* ahead = x + static_cast<uint64_t>(t + kXAhead < t1 ? kXAhead : 0) * a.x_stride;
      for (uint32_t i = 0; i < kGroups * L::kGroup; i += 64) __builtin_prefetch(ahead + i, 0, 3);
      for (uint32_t g = 0; g < c.n; ++g)
        make_tables<L>(x + L::kGroup * g, place->table[(t - t0) / kTile][g][0][(t - t0) % kTile], 64 * kTile);
    }
    for (uint32_t r = row0; r < row1; r += kRows) {
      L::unpack(a, r, g0, c.n, place);
      const bool last_rows = r + kRows >= row1;
      multiply_columns<L>({a, r, t0, t1, last_rows ? row0 : r + kRows, last_rows ? g0 + kGroups : g0}, c, place,
                          place->dot[(r - row0) / kRows]);
    }
  }
}

// Falls back to `few` where tables cost more than they save, and for the rows that are left over.
template <class L, bn_status (*few)(bn_device*, const bn_matmul*, uint32_t, uint32_t, void*)>
static inline bn_status matmul(bn_device* device, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  constexpr uint32_t kFewestRows = 256;
  if (a->m < L::kFewestTokens || row1 - row0 < kFewestRows) return few(device, a, row0, row1, scratch);
  const uint32_t end = row0 + (row1 - row0) / kRows * kRows;
  const uint32_t tokens = even_share(a->m, kTokens, kTile), rows = even_share(end - row0, kBlockRows, kRows);
  for (uint32_t t = 0; t < a->m; t += tokens) {
    for (uint32_t r = row0; r < end; r += rows) {
      multiply_block<L>(*a, r, least(r + rows, end), t, least(t + tokens, a->m), static_cast<Place<L>*>(scratch));
    }
  }
  return end < row1 ? few(device, a, end, row1, scratch) : BN_OK;
}

}  // namespace bn::avx512::tables
