// bitnet/kit/arithmetic.hpp - the canonical float arithmetic of profile exact-1: conversions, the sum S16, EXP.
//
// Every function is `static`, so a source compiled for a newer instruction set keeps its own copy and baseline code never
// runs it by accident. Build with -ffp-contract=off and without -ffast-math: each line below is exactly the operations it
// shows, and FMA happens only where fma() stands. sdk/README.md states the same in words.
#pragma once

#include <cstdint>
#include <cstring>

// Every function of the kit that is pure arithmetic can also be called from a GPU's code: nvcc sees this.
#if defined(__CUDACC__)
#  define BN_KIT_BOTH __host__ __device__
#else
#  define BN_KIT_BOTH
#endif
#define BN_KIT_FN static inline BN_KIT_BOTH

namespace bn::kit {

// One rounding: a*b + c. Hardware where the compile flags have it, else the C library's correctly rounded function.
BN_KIT_FN float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

BN_KIT_FN uint32_t bits_of(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  return u;
}
BN_KIT_FN float float_of(uint32_t u) {
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}

// IEEE half to float, exact. 2^112 moves the exponent bias; infinities and NaN keep their exponent of all ones.
BN_KIT_FN float f16_to_f32(uint16_t h) {
  float magnitude = float_of(static_cast<uint32_t>(h & 0x7FFFu) << 13) * 0x1p112f;
  uint32_t u = bits_of(magnitude);
  u |= magnitude >= 65536.0f ? 0x7F800000u : 0u;
  return float_of(u | static_cast<uint32_t>(h & 0x8000u) << 16);
}

// Float to IEEE half, round to nearest even; too large becomes infinity, NaN stays NaN (0x7E00 with the sign).
BN_KIT_FN uint16_t f32_to_f16(float x) {
  const uint32_t u = bits_of(x);
  const uint32_t sign = u >> 16 & 0x8000u;
  const uint32_t a = u & 0x7FFFFFFFu;
  if (a > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u);
  if (a >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7C00u);  // >= 65536
  if (a < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the rounded subnormal in the low mantissa bits
    return static_cast<uint16_t>(sign | (bits_of(float_of(a) + 0.5f) - 0x3F000000u));
  }
  return static_cast<uint16_t>(sign | ((a - 0x38000000u + 0x0FFFu + (a >> 13 & 1u)) >> 13));
}

BN_KIT_FN float bf16_to_f32(uint16_t h) { return float_of(static_cast<uint32_t>(h) << 16); }

// Round to integer, ties to even, for |x| < 2^22: the sum with 1.5*2^23 has no fraction bits.
BN_KIT_FN float round_half_even(float x) { return (x + 12582912.0f) - 12582912.0f; }

// EXP: the exponential of exact-1. n = round(x log2 e); r = x - n ln 2 in two FMAs; Taylor polynomial of degree 7 in r
// (|r| <= 0.347, error below 0.1 ulp), scaled by 2^n. EXP(0) = 1, below -87 it is 0, above 88 it is EXP(88); NaN stays.
BN_KIT_FN float exp1(float x) {
  if (!(x >= -87.0f)) return x != x ? x : 0.0f;
  if (x > 88.0f) x = 88.0f;
  const float n = round_half_even(x * 0x1.715476p+0f);
  float r = fma(n, -0x1.62e4p-1f, x);
  r = fma(n, -0x1.7f7d1cp-20f, r);
  float p = 0x1.a01a02p-13f;  // 1/7!
  p = fma(p, r, 0x1.6c16c2p-10f);
  p = fma(p, r, 0x1.111112p-7f);
  p = fma(p, r, 0x1.555556p-5f);
  p = fma(p, r, 0x1.555556p-3f);
  p = fma(p, r, 0.5f);
  p = fma(p, r, 1.0f);
  p = fma(p, r, 1.0f);
  return p * float_of(static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23);
}

// Folds 16 lanes: j with j+8, then j+4, j+2, j+1.
BN_KIT_FN float fold16(float* lane) {
  for (int width = 8; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lane[j] = lane[j] + lane[j + width];
  }
  return lane[0];
}

// S16, the canonical sum of products a[i]*b[i], i in [0, n). Elements go in chunks of 256; within a chunk element i goes to
// lane i mod 16 by one FMA, lanes starting at +0; the lanes of the chunks are added to 16 totals that start at +0, chunks
// rising; the totals are folded. A last chunk that is not full is padded with +0 to a multiple of 16.
struct Sum16 {
  float total[16] = {};

  // Adds one chunk of up to 256 products.
  BN_KIT_BOTH void add_chunk(const float* a, const float* b, uint32_t n) {
    float lane[16] = {};
    uint32_t i = 0;
    for (; i + 16 <= n; i += 16) {
      for (uint32_t j = 0; j < 16; ++j) lane[j] = fma(a[i + j], b[i + j], lane[j]);
    }
    for (uint32_t j = 0; i + j < n; ++j) lane[j] = fma(a[i + j], b[i + j], lane[j]);
    for (int j = 0; j < 16; ++j) total[j] += lane[j];
  }
  BN_KIT_BOTH float result() { return fold16(total); }
};

BN_KIT_FN float s16(const float* a, const float* b, uint32_t n) {
  Sum16 sum;
  for (uint32_t c = 0; c < n; c += 256) sum.add_chunk(a + c, b + c, n - c < 256 ? n - c : 256);
  return sum.result();
}

}  // namespace bn::kit
