// device/screen_bound.h - what a logit can be, from an int8 copy of its row and 16 bits of the hidden state: the proof, and the
// code.
//
// A row w [n] is kept as w = s q + d, q int8, with e >= |d| and m >= max(|w|, |s q|), |.| the Euclidean norm. The vector x is
// kept as x = S X + y, X integers of 16 bits, with N >= |x| and E >= |y|. The logit z = S16(w, x) is near the estimate
// Z = s S (q.X), whose integer q.X is exact:
//
//     |z - Z| <= e N + m (E + g N) + n 2^-149
//
// Proof. u = 2^-24. Every product in S16 passes at most r = 16 + ceil(n/256) + 4 roundings: the FMAs of its lane in a chunk,
// the additions of the chunks, four folds. So z = sum w_i x_i (1 + t_i), |t_i| <= r u / (1 - r u), and by Cauchy-Schwarz |z -
// w.x| <= r u / (1 - r u) |w| |x|. An FMA whose result is below the normal numbers loses up to 2^-150 besides, n of them at
// most n 2^-149; additions lose nothing there. |w.x - s q.x| = |d.x| <= e N. |s q.x - s S q.X| = |s q.y| <= m E. Z itself is
// computed in doubles: s S is exact, q.X is below 2^53, one rounding, so it is off by 2^-53 |s q| |S X| <= 2^-53 m (N + E) <
// u m N. With r + 1 in place of r in g this is paid for as well. The bound is computed in doubles and enlarged by 2^-40,
// far more than its five roundings.
// No sum overflows while m N < 1e37: all partial sums are below 1.1 |w| |x|. For other rows, and where e is infinite, the
// bounds are infinite: such a row is always computed exactly. The ends of the interval may be rounded to float: z is a float,
// and rounding is monotone, so fl(Z - b) <= z <= fl(Z + b). |d|, |w|, |s q| and |y| come from sums of squares in doubles.
// Elements of d and y are exact: where the code is not 0, all bits of both terms lie within 42 places, for w_i is at least s/2
// there. Squares and additions lose at most (n + 1) 2^-53 of the sum, paid for by 2^-30. Source  Higham, "Accuracy and
// Stability of Numerical Algorithms", 2nd ed., sections 3.1 and 4.2.
#pragma once

#include "bitnet/kit/arithmetic.hpp"
#include "simt.h"

namespace bn_cuda {

constexpr float kLeastLargest = 1e-30f, kMostLargest = 1e30f;  // largest |w_i| of a row that gets codes, largest |x_i|
constexpr int32_t kDigitMax = 32512;                           // 127*256: X is 256*d1 + d0 with d0 and d1 in -128..127

// In device memory, one per chain.
struct ScreenVector {
  double scale;           // S
  double norm;            // N
  double share;           // E + g N
  double least;           // n 2^-149
  uint32_t usable;        // 0: the bound is not proven for this x
  uint32_t best;          // ordered() of the largest lower bound; k 1 only
  uint32_t n_candidates;  // may be above kMaxCandidates
};

// g of the proof.
BN_BOTH double rounding_share(uint32_t n) {
  const double r = 16 + (n + 255) / 256 + 4 + 1;
  return r * 0x1p-24 / (1 - r * 0x1p-24);
}

// A norm from a sum of squares, rounded up.
BN_BOTH double norm_above(double squares) { return __builtin_sqrt(squares) * (1 + 0x1p-30); }

BN_BOTH float float_above(double x) {  // x >= 0
  const float f = static_cast<float>(x);
  return static_cast<double>(f) < x ? bn::kit::float_of(bn::kit::bits_of(f) + 1) : f;
}

// The estimate Z.
BN_BOTH double logit_estimate(int64_t dot, float scale, const ScreenVector& v) {
  return static_cast<double>(scale) * v.scale * static_cast<double>(dot);
}

struct LogitRange {
  float lower, upper;
};
BN_BOTH LogitRange logit_range(int64_t dot, float scale, float error, float norm, const ScreenVector& v) {
  constexpr float kInfinity = __builtin_huge_valf();
  if (!(static_cast<double>(norm) * v.norm < 1e37) || error == kInfinity) return {-kInfinity, kInfinity};
  const double z = logit_estimate(dot, scale, v);
  const double b = static_cast<double>(error) * v.norm + static_cast<double>(norm) * v.share + v.least;
  const double enlarged = b * (1 + 0x1p-40);
  return {static_cast<float>(z - enlarged), static_cast<float>(z + enlarged)};
}

// Whether an upper bound is one: else nothing is known of the row, and its logit has to be computed.
BN_BOTH bool is_bounded(float upper) { return upper != __builtin_huge_valf(); }

}  // namespace bn_cuda
