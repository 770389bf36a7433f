// cpu_avx512/matmul_fives.cpp - one or a few tokens with weights of five bits for three (packs_fives.h); equals matmul.cpp.
//
// A register holds four columns of 16 rows, so lanes are rows: activations are broadcast and no sum is ever folded. Blocks
// of parts of the range that lie apart are worked on together, each read from its start to its end (see multiply_token in
// bitnet/kit/vector/matmul.hpp).
#include <cstring>

#include "bitnet/kit/vector/arithmetic.hpp"
#include "fives.h"
#include "kernels.h"

namespace bn::avx512 {
namespace {

using fives::kBlocksTogether, fives::kBytes, fives::kColumns, fives::kRows;

typedef int32_t Sum __attribute__((vector_size(64)));  // gcc 12 copies and spills __m512i that are accumulated (see matmul.cpp)

inline Sum multiply_add(Sum s, __m512i weights, __m512i x) {
  return reinterpret_cast<Sum>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(s), weights, x));
}
inline __m512i four(const int8_t* x) {
  int32_t v;
  std::memcpy(&v, x, 4);
  return _mm512_set1_epi32(v);
}

// Sums of a block's rows for some tokens. With one token each digit has its own: three that depend on each other would wait.
template <int Blocks, int Tokens>
struct Sums {
  static constexpr int kEach = Tokens == 1 ? 3 : 1;
  Sum s[Blocks][Tokens][kEach];
};

// Register I of a group of each block times Tokens tokens.
template <int I, int Blocks, int Tokens>
inline __attribute__((always_inline)) void add_register(const __m512i* line, const __m512i* fifth, const fives::Digits& digit,
                                                        const int8_t* x, uint64_t x_stride, Sums<Blocks, Tokens>* sums) {
  __m512i code[Blocks];
  BN_UNROLL
  for (int b = 0; b < Blocks; ++b) code[b] = fives::codes<I>(line[b], fifth[b]);
  BN_UNROLL
  for (int d = 0; d < 3; ++d) {
    __m512i w[Blocks];
    BN_UNROLL
    for (int b = 0; b < Blocks; ++b) w[b] = fives::weights(code[b], digit.of[d]);
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) {
      const __m512i xs = four(x + t * x_stride + 12 * I + 4 * d);
      BN_UNROLL
      for (int b = 0; b < Blocks; ++b) {
        Sum& s = sums->s[b][t][Tokens == 1 ? d : 0];
        s = multiply_add(s, w[b], xs);
      }
    }
  }
}

// Blocks of rows, `apart` bytes from each other, times Tokens tokens. Asks for what comes kAhead bytes later.
template <int Blocks, int Tokens>
__attribute__((noinline)) void multiply_blocks(const uint8_t* w, uint64_t apart, uint32_t groups, const int8_t* x,
                                               uint64_t x_stride, bool ask, __m512i (*dot)[Tokens]) {
  constexpr uint32_t kAhead = 8192 / Blocks;
  Sums<Blocks, Tokens> sums;
  BN_UNROLL
  for (int b = 0; b < Blocks; ++b) {
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) {
      BN_UNROLL
      for (int i = 0; i < sums.kEach; ++i) sums.s[b][t][i] = Sum{};
    }
  }
  const fives::Digits digit = fives::digits();
  const uint64_t ahead = ask ? kAhead : 0;
  for (; groups > 0; --groups, w += kBytes, x += kColumns) {
    const auto load = [&](int k, __m512i* line) __attribute__((always_inline)) {
      BN_UNROLL
      for (int b = 0; b < Blocks; ++b) {
        line[b] = _mm512_load_si512(w + b * apart + 64 * k);
        _mm_prefetch(reinterpret_cast<const char*>(w + b * apart + 64 * k + ahead), _MM_HINT_NTA);
      }
    };
    __m512i fifth[Blocks], line[Blocks];
    load(4, fifth);
    load(0, line);
    add_register<0>(line, fifth, digit, x, x_stride, &sums);
    add_register<1>(line, fifth, digit, x, x_stride, &sums);
    load(1, line);
    add_register<2>(line, fifth, digit, x, x_stride, &sums);
    add_register<3>(line, fifth, digit, x, x_stride, &sums);
    load(2, line);
    add_register<4>(line, fifth, digit, x, x_stride, &sums);
    add_register<5>(line, fifth, digit, x, x_stride, &sums);
    load(3, line);
    add_register<6>(line, fifth, digit, x, x_stride, &sums);
    add_register<7>(line, fifth, digit, x, x_stride, &sums);
  }
  BN_UNROLL
  for (int b = 0; b < Blocks; ++b) {
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) {
      Sum s = sums.s[b][t][0];
      BN_UNROLL
      for (int i = 1; i < sums.kEach; ++i) s += sums.s[b][t][i];
      dot[b][t] = reinterpret_cast<__m512i>(s);
    }
  }
}

// y of those rows of block b that lie before row1, for token t.
inline void finish(const bn_matmul& a, uint32_t b, uint32_t row1, uint32_t t, __m512i dot) {
  const uint32_t first = b * kRows, n = row1 - first < kRows ? row1 - first : kRows;
  const auto rows = static_cast<__mmask16>((1u << n) - 1);
  const bn_tensor& w = *a.w;
  const __m512 scale = w.n_scales == 1 ? _mm512_set1_ps(w.scales[0]) : _mm512_maskz_loadu_ps(rows, w.scales + first);
  const __m512 sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(dot, _mm512_set1_epi32(a.x_sum[t])));
  _mm512_mask_storeu_ps(a.y + static_cast<uint64_t>(t) * a.y_stride + first, rows,
                        _mm512_mul_ps(sum, _mm512_mul_ps(_mm512_set1_ps(a.x_scale[t]), scale)));
}

// What a call is about.
struct Work {
  const bn_matmul& a;
  uint32_t row1;
  const uint8_t* w;
  uint64_t block_bytes;
  uint32_t groups;
};

// Blocks b, b + part, ... of `Blocks` parts times tokens [t, t + n), n <= Tokens.
template <int Blocks, int Tokens>
inline void multiply_tokens(const Work& c, uint32_t b, uint32_t part, uint32_t t, uint32_t n) {
  if constexpr (Tokens > 1) {
    if (n < Tokens) return multiply_tokens<Blocks, Tokens - 1>(c, b, part, t, n);
  }
  __m512i dot[Blocks][Tokens];
  multiply_blocks<Blocks, Tokens>(c.w + b * c.block_bytes, part * c.block_bytes, c.groups,
                                  c.a.x + static_cast<uint64_t>(t) * c.a.x_stride, c.a.x_stride, t == 0, dot);
  for (uint32_t i = 0; i < Blocks; ++i) {
    for (uint32_t j = 0; j < Tokens; ++j) finish(c.a, b + i * part, c.row1, t + j, dot[i][j]);
  }
}

// All tokens, in groups of equal size; each group after the first finds the rows in the caches.
template <int Blocks, int Tokens>
inline void multiply_all_tokens(const Work& c, uint32_t b, uint32_t part) {
  for (uint32_t t = 0; t < c.a.m;) {
    const uint32_t left = c.a.m - t, parts = (left + Tokens - 1) / Tokens, n = (left + parts - 1) / parts;
    multiply_tokens<Blocks, Tokens>(c, b, part, t, n);
    t += n;
  }
}

}  // namespace

bn_status matmul_fives(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void*) {
  constexpr int kTokens = 4;  // in work together: the most whose sums stay in registers
  const Work c{*a, row1, static_cast<const uint8_t*>(a->packed), fives::block_bytes(a->w->cols),
               static_cast<uint32_t>(fives::groups_of(a->w->cols))};
  const uint32_t b0 = row0 / kRows, b1 = (row1 + kRows - 1) / kRows, part = (b1 - b0) / kBlocksTogether;
  for (uint32_t b = b0; b < b0 + part; ++b) multiply_all_tokens<kBlocksTogether, kTokens>(c, b, part);
  for (uint32_t b = b0 + kBlocksTogether * part; b < b1; ++b) multiply_all_tokens<1, kTokens>(c, b, 0);
  return BN_OK;
}

}  // namespace bn::avx512
