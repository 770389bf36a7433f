// cpu_avx512/matmul.cpp - ternary weights times int8 activations, exact in int32.
//
// Weights: groups of 128 columns in 32 bytes (bn.i2s128); column 32*g + p of a group is bits 6-2g of byte p: plane g. They
// hold the code c = w+1, so dot(w, x) = dot(c, x) - sum(x), and codes can be the unsigned operand of vpdpbusd, which adds four
// products to each int32 lane.
#include "bitnet/kit/ternary.hpp"
#include "kernels.h"
#include "simd.h"

namespace bn::avx512 {

static inline __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
// 32 bytes in both halves; 32 bytes of two places.
static inline __m512i load_twice(const void* p) { return _mm512_broadcast_i64x4(load32(p)); }
static inline __m512i load_two(const void* low, const void* high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(load32(low)), load32(high), 1);
}
static inline __m512i and_all(__m512i v, int byte) { return _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(byte))); }

// ---------------------------------------------------------------------------------------------- a few tokens
// Two rows share a register, one in each half, so x is read in its own order and any number of groups will do.
static constexpr int kPairs = 4;
// Bytes between the end of the rows in work and the ones asked for: the latency of memory.
static constexpr uint32_t kPrefetch = 8192;

// The sums of 8 rows, pair p in total[p], to dot[0..7].
static inline __m256i sum_rows(const __m512i* total) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(total[0], total[1]), _mm512_unpackhi_epi32(total[0], total[1]));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(total[2], total[3]), _mm512_unpackhi_epi32(total[2], total[3]));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i even = _mm512_castsi512_si256(all), odd = _mm512_extracti64x4_epi64(all, 1);
  const __m128i e = _mm_add_epi32(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
  const __m128i o = _mm_add_epi32(_mm256_castsi256_si128(odd), _mm256_extracti128_si256(odd, 1));
  return _mm256_set_m128i(_mm_unpackhi_epi32(e, o), _mm_unpacklo_epi32(e, o));
}

static inline void ask_for_rows(const uint8_t* ahead, uint32_t g) {
  BN_UNROLL
  for (int i = 0; i < kPairs; ++i) _mm_prefetch(reinterpret_cast<const char*>(ahead + 64 * (kPairs * g + i)), _MM_HINT_T0);
}

// x in the order of the planes of 64 bytes of a row, two groups: plane 0 of both, plane 1 of both, ... A last single group gets
// zeros beside it.
static inline void pair_groups(const int8_t* x, uint32_t groups, int8_t* pairs) {
  for (uint32_t g = 0; g < groups; g += 2, x += 2 * kGroup) {
    for (int plane = 0; plane < 4; ++plane, pairs += 64) {
      const __m256i second = g + 1 < groups ? load32(x + kGroup + 32 * plane) : _mm256_setzero_si256();
      _mm512_store_si512(pairs, _mm512_inserti64x4(_mm512_castsi256_si512(load32(x + 32 * plane)), second, 1));
    }
  }
}

// Adds 64 bytes of a row. Nothing is shifted: plane g is masked where it stands and counts 4^(3-g) times, into sums of its own,
// which are shifted back at the end (at most 32768 columns of 128 * 127: below 2^31). That leaves 4 ANDs and 4 vpdpbusd.
static inline void add_planes(__m512i b, const int8_t* pairs, __m512i* s) {
  s[0] = _mm512_dpbusd_epi32(s[0], and_all(b, 0xC0), _mm512_load_si512(pairs));
  s[1] = _mm512_dpbusd_epi32(s[1], and_all(b, 0x30), _mm512_load_si512(pairs + 64));
  s[2] = _mm512_dpbusd_epi32(s[2], and_all(b, 0x0C), _mm512_load_si512(pairs + 128));
  s[3] = _mm512_dpbusd_epi32(s[3], and_all(b, 0x03), _mm512_load_si512(pairs + 192));
}

// dot(codes, x) of one row for one token, in 16 lanes. What follows in memory is asked for meanwhile. Rows are read one after
// the other from their start to their end, which the prefetchers of the hardware like best.
static inline __m512i dot_row(const uint8_t* w, uint32_t groups, const int8_t* pairs) {
  __m512i s[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
  for (; groups >= 2; groups -= 2, w += 64, pairs += 256) {
    _mm_prefetch(reinterpret_cast<const char*>(w + kPrefetch), _MM_HINT_NTA);
    add_planes(_mm512_loadu_si512(w), pairs, s);
  }
  if (groups != 0) add_planes(_mm512_zextsi256_si512(load32(w)), pairs, s);
  return _mm512_add_epi32(_mm512_add_epi32(_mm512_srai_epi32(s[0], 6), _mm512_srai_epi32(s[1], 4)),
                          _mm512_add_epi32(_mm512_srai_epi32(s[2], 2), s[3]));
}

static void multiply_token(const bn_matmul& a, uint32_t row0, uint32_t row1, int8_t* pairs) {
  const uint32_t groups = (a.w->cols + kGroup - 1) / kGroup;
  const uint64_t stride = 32ull * groups;
  pair_groups(a.x, groups, pairs);
  const uint8_t* w = static_cast<const uint8_t*>(a.packed) + row0 * stride;
  for (uint32_t r = row0; r < row1; ++r, w += stride) {
    a.y[r] = static_cast<float>(_mm512_reduce_add_epi32(dot_row(w, groups, pairs)) - a.x_sum[0]) *
             (a.x_scale[0] * kit::row_scale(*a.w, r));
  }
}

// The same for Tokens tokens: planes are shifted to codes, once for all of them.
template <int Tokens>
static inline void dot_tokens(const uint8_t* w, uint64_t stride, uint32_t groups, const int8_t* x, uint64_t x_stride,
                              __m256i* dot) {
  __m512i s[Tokens][kPairs];
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int i = 0; i < kPairs; ++i) s[t][i] = _mm512_setzero_si512();
  }
  const uint8_t* ahead = w + 2 * kPairs * stride + kPrefetch;
  for (uint32_t g = 0; g < groups; ++g, x += kGroup) {
    ask_for_rows(ahead, g);
    BN_UNROLL
    for (int i = 0; i < kPairs; i += 2) {
      const uint8_t* row = w + 2 * i * stride + 32 * g;
      const __m512i a = load_two(row, row + stride), b = load_two(row + 2 * stride, row + 3 * stride);
      BN_UNROLL
      for (int plane = 0; plane < 4; ++plane) {
        const __m512i u = and_all(_mm512_srli_epi16(a, 6 - 2 * plane), 3), v = and_all(_mm512_srli_epi16(b, 6 - 2 * plane), 3);
        BN_UNROLL
        for (int t = 0; t < Tokens; ++t) {
          const __m512i xt = load_twice(x + t * x_stride + 32 * plane);
          s[t][i] = _mm512_dpbusd_epi32(s[t][i], u, xt);
          s[t][i + 1] = _mm512_dpbusd_epi32(s[t][i + 1], v, xt);
        }
      }
    }
  }
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) dot[t] = sum_rows(s[t]);
}

// y of rows [r, r + n), n <= 8, of one token.
static inline void finish_eight(const bn_matmul& a, uint32_t t, uint32_t r, uint32_t n, __m256i dot) {
  alignas(32) int32_t d[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(d), dot);
  float* y = a.y + static_cast<uint64_t>(t) * a.y_stride + r;
  for (uint32_t i = 0; i < n; ++i) y[i] = static_cast<float>(d[i] - a.x_sum[t]) * (a.x_scale[t] * kit::row_scale(*a.w, r + i));
}

// Rows [r, r + n), n <= 8, of every token; each group of tokens after the first finds them in L1. w: 8 rows.
static inline void multiply_eight(const bn_matmul& a, uint32_t r, uint32_t n, const uint8_t* w, uint64_t stride) {
  const uint32_t groups = (a.w->cols + kGroup - 1) / kGroup;
  for (uint32_t t = 0; t < a.m;) {
    const int8_t* x = a.x + static_cast<uint64_t>(t) * a.x_stride;
    const uint32_t left = a.m - t, parts = (left + 4) / 5, tokens = (left + parts - 1) / parts;
    __m256i dot[5];
    switch (tokens) {
      case 1:
        dot_tokens<1>(w, stride, groups, x, a.x_stride, dot);
        break;
      case 2:
        dot_tokens<2>(w, stride, groups, x, a.x_stride, dot);
        break;
      case 3:
        dot_tokens<3>(w, stride, groups, x, a.x_stride, dot);
        break;
      case 4:
        dot_tokens<4>(w, stride, groups, x, a.x_stride, dot);
        break;
      default:
        dot_tokens<5>(w, stride, groups, x, a.x_stride, dot);
        break;
    }
    for (uint32_t i = 0; i < tokens; ++i) finish_eight(a, t + i, r, n, dot[i]);
    t += tokens;
  }
}

// Eight rows at a time; those left over stand for eight each (stride 0).
static void multiply_few(const bn_matmul& a, uint32_t row0, uint32_t row1) {
  const uint64_t stride = packed_row_bytes(a.w->cols);
  const uint8_t* w = static_cast<const uint8_t*>(a.packed);
  uint32_t r = row0;
  for (; r + 8 <= row1; r += 8) multiply_eight(a, r, 8, w + r * stride, stride);
  for (; r < row1; ++r) multiply_eight(a, r, 1, w + r * stride, 0);
}

// --------------------------------------------------------------------------------------------- many tokens
// Up to 64 rows are unpacked to one byte per code, a block of columns at a time, and used for a block of tokens. A register
// holds four columns of 16 rows, so lanes are rows: x is broadcast and no sum is ever folded.
static constexpr uint32_t kBundle = 16;      // rows of a register
static constexpr uint32_t kMaxBundles = 4;   // 64 rows
static constexpr uint32_t kMaxSteps = 96;    // of four columns; codes: 24 KB, in L1 beside x of two tiles
static constexpr uint32_t kMaxTokens = 512;  // sums: 128 KB, in L2
static constexpr uint32_t kFewTokens = 16;
static constexpr int kTile = 6;  // tokens

struct Tiles {
  alignas(64) uint8_t codes[kMaxSteps * kMaxBundles * 64];  // [step][bundle][row][column]
  alignas(64) int32_t dot[kMaxTokens][kMaxBundles * kBundle];
};
static_assert(sizeof(Tiles) <= kScratchBytes);

// One group of 128 columns of 16 rows, whose 32 bytes lie at row[i]: step s, columns [4s, 4s + 4), goes to out + s *
// out_stride.
static inline void unpack_group(const uint8_t* const* row, uint64_t offset, uint8_t* out, uint64_t out_stride) {
  __m512i a[8], b[8];
  BN_UNROLL
  for (int i = 0; i < 8; ++i) {  // rows i and i + 4 of each eight
    const int r = i / 4 * 8 + i % 4;
    a[i] = load_two(row[r] + offset, row[r + 4] + offset);
  }
  BN_UNROLL
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  BN_UNROLL
  for (int i = 0; i < 8; i += 4) {  // quarters: a column word j of rows 0-3, j + 4 of 0-3, j of 4-7, j + 4 of 4-7
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  BN_UNROLL
  for (int j = 0; j < 4; ++j) {
    b[j] = _mm512_shuffle_i32x4(a[j], a[j + 4], 0x88);
    b[j + 4] = _mm512_shuffle_i32x4(a[j], a[j + 4], 0xDD);
  }
  BN_UNROLL
  for (int plane = 0; plane < 4; ++plane) {
    BN_UNROLL
    for (int j = 0; j < 8; ++j) {
      _mm512_store_si512(out + (8 * plane + j) * out_stride, and_all(_mm512_srli_epi16(b[j], 6 - 2 * plane), 3));
    }
  }
}

// Where the sums of a tile go when they are complete: y of `rows` rows from y on, a token every y_stride floats.
struct Results {
  const float* w_scale;  // [Bundles * 16]
  const float* x_scale;  // [tokens]
  const int32_t* x_sum;  // [tokens]
  float* y;
  uint64_t y_stride;
  uint32_t rows;

  Results from(uint32_t t) const { return {w_scale, x_scale + t, x_sum + t, y + t * y_stride, y_stride, rows}; }
};

template <int Bundles, int Tokens>
static inline void finish(const __m512i (*s)[Bundles], const Results& out) {
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    const __m512i x_sum = _mm512_set1_epi32(out.x_sum[t]);
    const __m512 x_scale = _mm512_set1_ps(out.x_scale[t]);
    BN_UNROLL
    for (uint32_t i = 0; i < Bundles; ++i) {
      const __m512 scale = _mm512_mul_ps(x_scale, _mm512_load_ps(out.w_scale + kBundle * i));
      const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(s[t][i], x_sum)), scale);
      Avx512::store_first(out.y + t * out.y_stride + kBundle * i, out.rows - kBundle * i, y);
    }
  }
}

// Codes of Bundles * 16 rows times Tokens tokens. The sums start at those in dot, [token][64], or at 0 (first block of
// columns), and end there or, complete, in `out`. x of the next tokens is asked for meanwhile.
template <int Bundles, int Tokens>
__attribute__((noinline)) static void multiply_tile(const uint8_t* codes, const int8_t* x, uint64_t x_stride, uint32_t steps,
                                                    bool first, int32_t* dot, const Results* out) {
  __m512i s[Tokens][Bundles];
  const __mmask16 carried = first ? 0 : 0xFFFF;
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int i = 0; i < Bundles; ++i) s[t][i] = _mm512_maskz_load_epi32(carried, dot + kBundle * (kMaxBundles * t + i));
  }
  for (uint32_t step = 0; step < steps; step += 16) {
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) _mm_prefetch(reinterpret_cast<const char*>(x + (Tokens + t) * x_stride), _MM_HINT_T0);
    for (const int8_t* const end = x + 64; x != end; codes += 64 * Bundles, x += 4) {
      __m512i c[Bundles];
      BN_UNROLL
      for (int i = 0; i < Bundles; ++i) c[i] = _mm512_load_si512(codes + 64 * i);
      BN_UNROLL
      for (int t = 0; t < Tokens; ++t) {
        int32_t four;
        std::memcpy(&four, x + t * x_stride, 4);
        const __m512i xt = _mm512_set1_epi32(four);
        BN_UNROLL
        for (int i = 0; i < Bundles; ++i) s[t][i] = _mm512_dpbusd_epi32(s[t][i], c[i], xt);
      }
    }
  }
  if (out != nullptr) return finish<Bundles, Tokens>(s, *out);
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int i = 0; i < Bundles; ++i) _mm512_store_si512(dot + kBundle * (kMaxBundles * t + i), s[t][i]);
  }
}

// All tiles of a block of columns: `count` groups from x on. last: their sums are complete.
template <int Bundles>
static inline void multiply_columns(const int8_t* x, uint64_t x_stride, uint32_t count, uint32_t tokens, bool first, bool last,
                                    const Results& results, Tiles* tiles) {
  const auto tile = [&](auto* function, uint32_t t) {
    const Results out = results.from(t);
    function(tiles->codes, x + t * x_stride, x_stride, 32 * count, first, tiles->dot[t], last ? &out : nullptr);
  };
  uint32_t t = 0;
  for (; t + kTile <= tokens; t += kTile) tile(multiply_tile<Bundles, kTile>, t);
  for (; t + 2 <= tokens; t += 2) tile(multiply_tile<Bundles, 2>, t);
  if (t < tokens) tile(multiply_tile<Bundles, 1>, t);
}

// Rows [r, r + n), at most Bundles * 16, times tokens [t0, t1).
template <int Bundles>
static void multiply_block(const bn_matmul& a, uint32_t r, uint32_t n, uint32_t t0, uint32_t t1, Tiles* tiles) {
  const uint32_t groups = (a.w->cols + kGroup - 1) / kGroup, most = kMaxSteps / 32;
  const uint32_t blocks = (groups + most - 1) / most, per_block = (groups + blocks - 1) / blocks;
  const uint64_t stride = packed_row_bytes(a.w->cols);
  const uint8_t* row[Bundles * kBundle];
  alignas(64) float w_scale[Bundles * kBundle];
  for (uint32_t i = 0; i < Bundles * kBundle; ++i) {  // rows past the end repeat the last one
    const uint32_t at = r + (i < n ? i : n - 1);
    row[i] = static_cast<const uint8_t*>(a.packed) + at * stride;
    w_scale[i] = kit::row_scale(*a.w, at);
  }
  float* y = a.y + static_cast<uint64_t>(t0) * a.y_stride + r;
  const Results results{w_scale, a.x_scale + t0, a.x_sum + t0, y, a.y_stride, n};
  for (uint32_t g = 0; g < groups; g += per_block) {
    const uint32_t count = groups - g < per_block ? groups - g : per_block;
    for (uint32_t i = 0; i < count; ++i) {
      for (int bundle = 0; bundle < Bundles; ++bundle) {
        unpack_group(row + bundle * kBundle, 32ull * (g + i), tiles->codes + 64ull * (32 * i * Bundles + bundle), 64 * Bundles);
      }
    }
    // What is unpacked next, of these rows or of those behind them, comes while this is multiplied.
    const bool last = g + per_block >= groups;
    const uint64_t next = last ? Bundles * kBundle * stride : 32ull * (g + per_block);
    for (const uint8_t* p : row) kit::vector::ask_for(p + next, 32ull * per_block);
    multiply_columns<Bundles>(a.x + static_cast<uint64_t>(t0) * a.x_stride + kGroup * g, a.x_stride, count, t1 - t0, g == 0,
                              last, results, tiles);
  }
}

static void multiply_rows(const bn_matmul& a, uint32_t r, uint32_t n, uint32_t t0, uint32_t t1, Tiles* tiles) {
  switch ((n + kBundle - 1) / kBundle) {
    case 1:
      return multiply_block<1>(a, r, n, t0, t1, tiles);
    case 2:
      return multiply_block<2>(a, r, n, t0, t1, tiles);
    case 3:
      return multiply_block<3>(a, r, n, t0, t1, tiles);
    default:
      return multiply_block<4>(a, r, n, t0, t1, tiles);
  }
}

bn_status matmul(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  if (a->m == 1) {
    multiply_token(*a, row0, row1, static_cast<int8_t*>(scratch));
    return BN_OK;
  }
  if (a->m <= kFewTokens) {
    multiply_few(*a, row0, row1);
    return BN_OK;
  }
  constexpr uint32_t kRows = kMaxBundles * kBundle;
  const uint32_t blocks = (a->m + kMaxTokens - 1) / kMaxTokens, per_block = (a->m + blocks - 1) / blocks;
  for (uint32_t t = 0; t < a->m; t += per_block) {
    const uint32_t t1 = a->m - t < per_block ? a->m : t + per_block;
    for (uint32_t r = row0; r < row1; r += kRows) {
      multiply_rows(*a, r, row1 - r < kRows ? row1 - r : kRows, t, t1, static_cast<Tiles*>(scratch));
    }
  }
  return BN_OK;
}

}  // namespace bn::avx512
