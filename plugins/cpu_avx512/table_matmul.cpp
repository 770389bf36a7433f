// cpu_avx512/table_matmul.cpp - many tokens: some columns with vpdpbusd, the others looked up in tables; equals matmul.cpp.
//
// A ternary weight has three values, so three of them have 27, and vpermw looks up 32 words of 16 bits at once: with a table of
// the 27 sums that three activations of a token can make, one vpermw and one vpaddw do what takes 1.5 vpdpbusd. A CPU that has
// more vector units than those that multiply (Zen 4, Zen 5: four, two of which do vpdpbusd, two vpermw and all vpaddw) does
// both at once. Sums of integers have no order, so nothing is rounded anywhere and the result is the same.
//
// A group of 128 columns (bn.i2s128: column 32 * plane + p is bits 6 - 2 * plane of byte p):
//   table p, p < 16    columns 32 + p, 64 + p, 96 + p; an entry's number is c3 + 3 * c2 + 9 * c1, c the codes w + 1
//   20 dots of four    columns [0, 32), [48, 64), [80, 96), [112, 128)
//
// A table is made once for some tokens and all rows of a call, codes and numbers are unpacked once for some rows and all
// these tokens. The sums of all that are kept between blocks of columns.
#include <cstring>

#include "kernels.h"
#include "transpose.h"

namespace bn::avx512 {
namespace {

// gcc 12 copies and spills __m512i that are accumulated (see matmul.cpp).
typedef int32_t Sum __attribute__((vector_size(64)));
typedef int16_t Short __attribute__((vector_size(64)));

constexpr int kDots = 20, kTables = 16;               // of a group
constexpr int kBundles = 8, kRows = 16 * kBundles;    // rows in work together
constexpr int kTile = 2;                              // tokens in work together
constexpr uint32_t kTokens = 128, kBlockRows = 1024;  // of a call at a time: tables and sums should stay in L2
constexpr uint32_t kAsking = 16;                      // tiles that ask for the next weights, the last ones
constexpr uint32_t kXAhead = 8;                       // tokens from the one whose tables are made to the one that is asked for
constexpr uint32_t kYAhead = 8 * kTile;               // tokens from the tile in work to the one whose y is asked for
// Groups in a block. 16-bit sums hold: 2 * 16 tables of three products of a code, at most 2, and an activation, at most 128.
constexpr uint32_t kGroups = 2;
static_assert(kGroups * kTables * 3 * 2 * 128 < 32768);

struct Place {
  alignas(64) uint8_t codes[kGroups][kDots][kBundles][64];  // [row][column]
  // Words: row r of the first bundle, row r of the second, row r + 1 of the first, ...
  alignas(64) uint8_t number[kGroups][kTables][kBundles / 2][64];
  alignas(64) uint8_t table[kTokens / kTile][kGroups][kTables][kTile][64];
  alignas(64) int32_t dot[kBlockRows / kRows][kTokens][kRows];
};
static_assert(sizeof(Place) <= kScratchBytes);

inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
// n in as few parts of at most `most` as it takes, all of one size, a multiple of `unit`.
inline uint32_t even_share(uint32_t n, uint32_t most, uint32_t unit) {
  const uint32_t parts = (n + most - 1) / most, share = (n + parts - 1) / parts;
  return (share + unit - 1) / unit * unit;
}

inline __m512i byte_and(__m512i a, int byte) { return _mm512_and_si512(a, _mm512_set1_epi8(static_cast<char>(byte))); }
template <int N>
inline __m512i right(__m512i a) {
  return N == 0 ? a : _mm512_srli_epi16(a, N);
}

// Numbers of tables 4j .. 4j + 3 of 16 rows, from their bytes.
inline __m512i numbers_of(__m512i bytes) {
  const __m512i low = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12));
  const __m512i high = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 9, 18, 27, 0, 9, 18, 27, 0, 9, 18, 27, 0, 9, 18, 27));
  return _mm512_add_epi8(_mm512_shuffle_epi8(low, byte_and(bytes, 15)),
                         _mm512_shuffle_epi8(high, byte_and(right<4>(bytes), 15)));
}

// One group of two bundles, the 32 rows at w, `stride` bytes from each other, into pair `pair` of group g of the block.
inline void unpack(const uint8_t* w, uint64_t stride, uint32_t g, int pair, Place* place) {
  __m512i word[2][8];
  BN_UNROLL
  for (int b = 0; b < 2; ++b) {
    transpose_group([&](int i) { return w + static_cast<uint64_t>(16 * b + i) * stride; }, word[b]);
    BN_UNROLL
    for (int i = 0; i < 4; ++i) {
      auto* out = &place->codes[g][5 * i][2 * pair + b];
      const auto put = [&](int k, __m512i codes) { _mm512_store_si512(out + k * kBundles, byte_and(codes, 3)); };
      put(0, right<6>(word[b][2 * i]));
      put(1, right<6>(word[b][2 * i + 1]));
      put(2, right<4>(word[b][4 + i]));
      put(3, right<2>(word[b][4 + i]));
      put(4, word[b][4 + i]);
    }
  }
  BN_UNROLL
  for (int j = 0; j < 4; ++j) {
    const __m512i first = numbers_of(word[0][j]), second = numbers_of(word[1][j]);
    const auto put = [&](int k, __m512i low, __m512i high) {  // vpermw looks at the low 5 bits of a word only
      _mm512_store_si512(place->number[g][4 * j + k][pair], _mm512_mask_blend_epi16(0xAAAAAAAA, low, high));
    };
    put(0, first, _mm512_slli_epi32(second, 16));
    put(1, _mm512_srli_epi32(first, 8), _mm512_slli_epi32(second, 8));
    put(2, _mm512_srli_epi32(first, 16), second);
    put(3, _mm512_srli_epi32(first, 24), _mm512_srli_epi32(second, 8));
  }
}

// The tables of one token and group, x its columns, `apart` bytes from each other.
inline void make_tables(const int8_t* x, uint8_t* table, uint64_t apart) {
  // Codes c3, c2, c1, 0 of the entries that _mm512_packs_epi32 puts first and last in each half register.
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
  const auto load = [&](int column) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + column)); };
  const __m128i c1 = load(32), c2 = load(64), c3 = load(96), none = _mm_setzero_si128();
  const __m128i low = _mm_unpacklo_epi8(c3, c2), high = _mm_unpackhi_epi8(c3, c2);
  const __m128i low1 = _mm_unpacklo_epi8(c1, none), high1 = _mm_unpackhi_epi8(c1, none);
  alignas(64) int32_t three[16];
  const auto put = [&](int i, __m128i v) { _mm_store_si128(reinterpret_cast<__m128i*>(three + i), v); };
  put(0, _mm_unpacklo_epi16(low, low1));
  put(4, _mm_unpackhi_epi16(low, low1));
  put(8, _mm_unpacklo_epi16(high, high1));
  put(12, _mm_unpackhi_epi16(high, high1));
  BN_UNROLL
  for (int p = 0; p < 16; ++p) {
    const __m512i xs = _mm512_set1_epi32(three[p]), zero = _mm512_setzero_si512();
    _mm512_store_si512(table + p * apart,
                       _mm512_packs_epi32(_mm512_dpbusd_epi32(zero, first, xs), _mm512_dpbusd_epi32(zero, last, xs)));
  }
}

// dot[token][row] += kRows rows times Tokens tokens, all groups of a block; first: = instead. x: column 0 of the block.
template <int Tokens>
__attribute__((noinline)) void multiply_tile(const Place& place, uint32_t groups, const int8_t* x, uint64_t x_stride,
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
  for (uint32_t g = 0; g < groups; ++g, x += kGroup) {
    for (int i = 0; i < 4; ++i) {
      add_dot(x + 8 * i);
      look_up();
      add_dot(x + 8 * i + 4);
      look_up();
      add_dot(x + 48 + 4 * i);
      look_up();
      add_dot(x + 80 + 4 * i);
      look_up();
      add_dot(x + 112 + 4 * i);
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
  const uint8_t* next;  // weights that are unpacked next, kRows of them `stride` bytes from each other
  uint64_t stride;
};
// Columns that are unpacked: groups [g, g + n).
struct Columns {
  uint32_t g, n;
  bool first, last;  // of the row
};

inline void finish(const Block& b, uint32_t t, uint32_t tokens, const int32_t (*dot)[kRows]) {
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

template <int Tokens>
inline void multiply_tokens(const Block& b, const Columns& c, uint32_t t, Place* place, int32_t (*dot)[kRows]) {
  if (c.last) {
    for (uint32_t j = t + kYAhead; j < t + kYAhead + Tokens && j < b.t1; ++j) {
      const float* y = b.a.y + static_cast<uint64_t>(j) * b.a.y_stride + b.r0;
      for (uint32_t i = 0; i < kRows; i += 16) __builtin_prefetch(y + i, 1, 3);
    }
  }
  const int8_t* x = b.a.x + static_cast<uint64_t>(t) * b.a.x_stride + kGroup * c.g;
  multiply_tile<Tokens>(*place, c.n, x, b.a.x_stride, place->table[(t - b.t0) / kTile][0][0][0], c.first, dot[t - b.t0]);
  if (c.last) finish(b, t, Tokens, dot + (t - b.t0));
}

// All tokens of the block. What is unpacked next comes meanwhile: into L2, with the last tiles into L1.
inline void multiply_columns(const Block& b, const Columns& c, Place* place, int32_t (*dot)[kRows]) {
  uint32_t t = b.t0, far = 0, near = 0;
  for (uint32_t left = (b.t1 - b.t0) / kTile; left > 0; --left, t += kTile) {
    for (const uint32_t until = least(far + 4, kRows); far < until; ++far) __builtin_prefetch(b.next + far * b.stride, 0, 2);
    const uint32_t until = left > kAsking ? 0 : kRows - (left - 1) * (kRows / kAsking);
    for (; near < until; ++near) __builtin_prefetch(b.next + near * b.stride, 0, 3);
    multiply_tokens<kTile>(b, c, t, place, dot);
  }
  static_assert(kTile == 2, "one token may be left over");
  if (t < b.t1) multiply_tokens<1>(b, c, t, place, dot);
}

// Rows [row0, row1), whole kRows and at most kBlockRows, times tokens [t0, t1), at most kTokens.
void multiply_block(const bn_matmul& a, uint32_t row0, uint32_t row1, uint32_t t0, uint32_t t1, Place* place) {
  const uint32_t groups = (a.w->cols + kGroup - 1) / kGroup;
  const uint64_t stride = packed_row_bytes(a.w->cols);
  for (uint32_t g0 = 0; g0 < groups; g0 += kGroups) {
    const Columns c{g0, least(kGroups, groups - g0), g0 == 0, g0 + kGroups >= groups};
    for (uint32_t t = t0; t < t1; ++t) {
      const int8_t* x = a.x + static_cast<uint64_t>(t) * a.x_stride + kGroup * g0;
      const int8_t* ahead = x + static_cast<uint64_t>(t + kXAhead < t1 ? kXAhead : 0) * a.x_stride;
      for (uint32_t i = 0; i < kGroups * kGroup; i += 64) __builtin_prefetch(ahead + i, 0, 3);
      for (uint32_t g = 0; g < c.n; ++g)
        make_tables(x + kGroup * g, place->table[(t - t0) / kTile][g][0][(t - t0) % kTile], 64 * kTile);
    }
    for (uint32_t r = row0; r < row1; r += kRows) {
      const uint8_t* w = static_cast<const uint8_t*>(a.packed) + r * stride + 32 * g0;
      for (uint32_t g = 0; g < c.n; ++g) {
        for (int pair = 0; pair < kBundles / 2; ++pair) unpack(w + 32 * pair * stride + 32 * g, stride, g, pair, place);
      }
      const bool last_rows = r + kRows >= row1;
      const uint8_t* next = last_rows ? w - (r - row0) * stride + 32 * kGroups : w + kRows * stride;
      multiply_columns({a, r, t0, t1, next, stride}, c, place, place->dot[(r - row0) / kRows]);
    }
  }
}

}  // namespace

bn_status table_matmul(bn_device* device, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  constexpr uint32_t kFewestTokens = 12, kFewestRows = 256;  // below, making tables costs more than they save
  if (a->m < kFewestTokens || row1 - row0 < kFewestRows) return matmul(device, a, row0, row1, scratch);
  const uint32_t end = row0 + (row1 - row0) / kRows * kRows;
  const uint32_t tokens = even_share(a->m, kTokens, kTile), rows = even_share(end - row0, kBlockRows, kRows);
  for (uint32_t t = 0; t < a->m; t += tokens) {
    for (uint32_t r = row0; r < end; r += rows) {
      multiply_block(*a, r, least(r + rows, end), t, least(t + tokens, a->m), static_cast<Place*>(scratch));
    }
  }
  return end < row1 ? matmul(device, a, end, row1, scratch) : BN_OK;
}

}  // namespace bn::avx512
