// cpu_avx512/fives.h - registers of the layout of packs_fives.h: from lines to codes, from codes to weights.
#pragma once

#include <immintrin.h>

#include "packs_fives.h"

namespace bn::avx512::fives {

// The 64 codes of register I of a group from its line and the fifth bits. Bit 5 and those above it are anything.
template <int I>
static inline __m512i codes(__m512i line, __m512i fifth) {
  const __m512i low = I % 2 == 0 ? line : _mm512_srli_epi16(line, 4);
  const __m512i high = I < 4 ? _mm512_slli_epi16(fifth, I < 4 ? 4 - I : 0) : _mm512_srli_epi16(fifth, I < 4 ? 0 : I - 4);
  return _mm512_ternarylogic_epi32(_mm512_set1_epi8(15), low, high, 0xCA);  // the low four bits of low, else high
}

// What a code says of its three columns: weight + 1. vpermb looks at six bits of a code, so each table is there twice.
struct Digits {
  __m512i of[3];
};
static inline Digits digits() {
  alignas(64) static constexpr auto kDigits = [] {
    struct {
      uint8_t of[3][64];
    } d{};
    for (int i = 0; i < 64; ++i) {
      const int code = i % 32;
      d.of[0][i] = static_cast<uint8_t>(code % 3), d.of[1][i] = static_cast<uint8_t>(code / 3 % 3),
      d.of[2][i] = static_cast<uint8_t>(code / 9 % 3);
    }
    return d;
  }();
  return {{_mm512_load_si512(kDigits.of[0]), _mm512_load_si512(kDigits.of[1]), _mm512_load_si512(kDigits.of[2])}};
}
static inline __m512i weights(__m512i codes, __m512i digit) { return _mm512_permutexvar_epi8(codes, digit); }

}  // namespace bn::avx512::fives
