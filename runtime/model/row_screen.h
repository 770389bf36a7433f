// model/row_screen.h - int8 stand-ins for rows of an output head, with a proven bound of what they get wrong.
//
// A row w [n] is kept as scale s and codes q [n] in -127..127. Its logit z = S16(w, x) is then known to lie near the estimate
// E = fl(S16(q, x) * s) that the op `dense` computes of a BN_DT_I8_ROW tensor:
//
//     |z - E| <= coefficient * |x| + absolute,     |x| the Euclidean norm
//
// Proof. u = 2^-24. In S16 every product passes at most m = 16 + ceil(n/256) + 4 roundings: the FMAs of its lane within a
// chunk, the additions of the chunks, four folds. So z = sum w_i x_i (1 + d_i) with |d_i| <= g(m) = m u / (1 - m u), and by
// Cauchy-Schwarz |z - w.x| <= g(m) |w| |x|. E has one rounding more: |E - s q.x| <= g(m+1) |s q| |x|. And |w.x - s q.x| <=
// |w - s q| |x|. Together
//
//     coefficient = |w - s q| + g(m+1) (|w| + |s q|).
//
// `absolute` pays for results below the normal numbers: an FMA may lose 2^-150 there, n of them for z, n of them times s and
// one more for E. No sum overflows while 128 sqrt(n) |x| max(1, s) is far below the largest float: see screening_limit(). |w -
// s q| is computed from t = fl(w / s): t - q is exact, and t is off by less than 4 u |t|, so |w - s q| <= s (|t - q| + 4 u
// |t|).
//
// Threads pure functions.
// Source  Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., sections 3.1 and 4.2.
#pragma once

#include <cstdint>

namespace bitnet::model {

struct RowScreen {
  float scale = 0;        // s; 0: all codes are 0
  float coefficient = 0;  // rounded up; infinite: the row cannot be screened (not finite, or beyond 1e30)
};

// The scratch that screen_row() wants for rows of n columns, in floats.
constexpr uint64_t row_screen_floats(uint32_t n) { return (uint64_t{n} + 255) / 256 * 256; }

// w: room for row_screen_floats(n), of which the first n are the row; overwritten. codes: [n].
RowScreen screen_row(float* w, uint32_t n, int8_t* codes);

// Elements of a stored row of dtype BN_DT_F32, BN_DT_F16 or BN_DT_BF16 as floats [n].
void read_float_row(uint32_t dtype, const void* row, uint32_t n, float* w);

// |x|, rounded up; infinite or NaN when x holds such a number.
double norm_above(const float* x, uint32_t n);

// `absolute` for rows of n columns and scales up to largest_scale.
float screening_absolute(uint32_t n, float largest_scale);

// The largest |x| for which the bound is proven.
double screening_limit(uint32_t n, float largest_scale);

}  // namespace bitnet::model
