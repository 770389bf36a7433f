// bitnet/kit/rope_tables.hpp - cosines and sines for RoPE, computed in double with +, -, *, / alone (no libm), rounded once.
//
// angle(pos, i) = pos * base^(-2i/rope_dim) / factor[i]. Error of the double results is below 1e-12 for pos < 2^20.
#pragma once

#include <cstdint>

namespace bn::kit {

// ln(x) for x > 0: x = m*2^e with m in [0.75, 1.5), ln m = 2 atanh((m-1)/(m+1)) as a series.
static inline double ln_f64(double x) {
  int e = 0;
  while (x >= 1.5) {
    x *= 0.5;
    ++e;
  }
  while (x < 0.75) {
    x *= 2.0;
    --e;
  }
  const double s = (x - 1.0) / (x + 1.0), s2 = s * s;
  double sum = 0.0;
  for (int k = 29; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
  return 2.0 * s * sum + e * 0.693147180559945309417;
}

// e^x for |x| < 700: x = n ln 2 + r, Taylor series in r.
static inline double exp_f64(double x) {
  const double shifted = x * 1.44269504088896340736;
  const int n = static_cast<int>(shifted < 0 ? shifted - 0.5 : shifted + 0.5);
  const double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  double p = 1.0;
  for (int k = 18; k >= 1; --k) p = 1.0 + p * r / k;
  double scale = 1.0;
  for (int i = 0; i < (n < 0 ? -n : n); ++i) scale *= n < 0 ? 0.5 : 2.0;
  return p * scale;
}

// sin and cos of a >= 0: quadrant by a = q*pi/2 + r with pi/2 in three parts, Taylor series in r.
static inline void sincos_f64(double a, double* sine, double* cosine) {
  const int64_t q = static_cast<int64_t>(a * 0.636619772367581343076 + 0.5);
  const double n = static_cast<double>(q);
  const double r = ((a - n * 1.57079632673412561417e+00) - n * 6.07710050630396597660e-11) - n * 2.02226624879595063154e-21;
  const double r2 = r * r;
  double s = 0.0, c = 0.0;
  for (int k = 21; k >= 3; k -= 2) s = -(1.0 + s) * r2 / (k * (k - 1));
  for (int k = 20; k >= 2; k -= 2) c = -(1.0 + c) * r2 / (k * (k - 1));
  s = r + r * s;
  c = 1.0 + c;
  switch (q & 3) {
    case 0:
      *sine = s, *cosine = c;
      break;
    case 1:
      *sine = c, *cosine = -s;
      break;
    case 2:
      *sine = -s, *cosine = -c;
      break;
    default:
      *sine = -c, *cosine = s;
      break;
  }
}

// Fills cosine and sine, both [pos1 - pos0][rope_dim/2], for positions [pos0, pos1). factor: [rope_dim/2] or null. scale:
// linear RoPE scaling, 1 for none.
static inline void fill_rope_tables(uint32_t pos0, uint32_t pos1, uint32_t rope_dim, double base, double scale,
                                    const float* factor, float* cosine, float* sine) {
  const uint32_t half = rope_dim / 2;
  const double log_base = ln_f64(base);
  for (uint32_t i = 0; i < half; ++i) {
    double frequency = exp_f64(-log_base * (2.0 * i / rope_dim)) / scale;
    if (factor != nullptr) frequency = frequency / static_cast<double>(factor[i]);
    for (uint32_t pos = pos0; pos < pos1; ++pos) {
      double s, c;
      sincos_f64(pos * frequency, &s, &c);
      cosine[static_cast<uint64_t>(pos - pos0) * half + i] = static_cast<float>(c);
      sine[static_cast<uint64_t>(pos - pos0) * half + i] = static_cast<float>(s);
    }
  }
}

}  // namespace bn::kit
