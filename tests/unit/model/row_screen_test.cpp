// unit/model/row_screen_test.cpp - the bound holds for rows and vectors made to break it, and is not much larger than it must
// be.
#include "model/row_screen.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bitnet/kit/ops.hpp"
#include "heads.h"

namespace bitnet::model {
namespace {

using test::Random;
using test::StoredHead;

struct Product {
  float logit = 0, estimate = 0, norm = 0;
  RowScreen screen;
  double bound() const {
    return static_cast<double>(screen.coefficient) * static_cast<double>(norm) + static_cast<double>(absolute);
  }
  double error() const { return std::fabs(static_cast<double>(logit) - static_cast<double>(estimate)); }
  float absolute = 0;
};

// One row of a head, exact and estimated.
Product multiply(const bn_tensor& stored, const std::vector<float>& x) {
  Product p;
  std::vector<float> row(row_screen_floats(stored.cols));
  std::vector<int8_t> codes(stored.cols);
  read_float_row(stored.dtype, stored.data, stored.cols, row.data());
  p.screen = screen_row(row.data(), stored.cols, codes.data());
  bn_tensor screen = stored;
  screen.dtype = BN_DT_I8_ROW;
  screen.n_scales = 1;
  screen.scales = &p.screen.scale;
  screen.data = codes.data();
  bn::kit::dense({sizeof(bn_dense), 1, &stored, x.data(), &p.logit, stored.cols, 1}, 0, 1);
  bn::kit::dense({sizeof(bn_dense), 1, &screen, x.data(), &p.estimate, stored.cols, 1}, 0, 1);
  p.norm = static_cast<float>(norm_above(x.data(), stored.cols) * (1 + 1e-6));
  p.absolute = screening_absolute(stored.cols, p.screen.scale);
  return p;
}

// w - s q of a row, as float: the direction in which the codes are most wrong.
std::vector<float> left_over(const bn_tensor& stored) {
  std::vector<float> row(row_screen_floats(stored.cols)), w;
  std::vector<int8_t> codes(stored.cols);
  read_float_row(stored.dtype, stored.data, stored.cols, row.data());
  w.assign(row.begin(), row.begin() + stored.cols);
  const RowScreen screen = screen_row(row.data(), stored.cols, codes.data());
  for (uint32_t c = 0; c < stored.cols; ++c) w[c] -= screen.scale * static_cast<float>(codes[c]);
  return w;
}

using Shape = std::function<float(Random&, uint32_t)>;
const std::vector<std::pair<const char*, Shape>> kRows = {
    {"normal", [](Random& r, uint32_t) { return r.normal(); }},
    {"one outlier", [](Random& r, uint32_t c) { return c == 3 ? 900.0f : r.normal(); }},
    {"dynamic range", [](Random& r, uint32_t) { return std::ldexp(r.sign(), static_cast<int>(r.below(40)) - 24); }},
    {"ties of rounding", [](Random& r, uint32_t c) { return c == 0 ? 127.0f : r.sign() * 0.5f; }},
    {"subnormal halves", [](Random& r, uint32_t) { return std::ldexp(static_cast<float>(r.below(9)), -24); }},
    {"zeros", [](Random&, uint32_t) { return 0.0f; }},
    {"one element", [](Random&, uint32_t c) { return c == 0 ? -2.5f : 0.0f; }},
};

TEST(RowScreen, TheBoundHoldsAlsoWhereTheCodesAreMostWrong) {
  for (const uint32_t dtype : {BN_DT_F16, BN_DT_BF16, BN_DT_F32}) {
    for (const uint32_t n : {1u, 16u, 100u, 256u, 257u, 2560u}) {
      for (const auto& row : kRows) {
        Random random(n);
        const StoredHead head = test::store_head(dtype, 1, n, [&](uint32_t, uint32_t c) { return row.second(random, c); });
        std::vector<float> worst = left_over(head.tensor), any(n), peak(n);
        for (uint32_t c = 0; c < n; ++c) any[c] = random.normal(), peak[c] = c == n / 2 ? 1e6f : random.normal();
        for (const std::vector<float>& x : {worst, any, peak}) {
          const Product p = multiply(head.tensor, x);
          EXPECT_LE(p.error(), p.bound()) << row.first << ", dtype " << dtype << ", " << n << " columns";
        }
      }
    }
  }
}

TEST(RowScreen, TheBoundIsReached) {
  Random random(1);
  for (const uint32_t n : {100u, 2560u}) {
    const StoredHead head = test::store_head(BN_DT_F16, 1, n, [&](uint32_t, uint32_t) { return random.normal(); });
    const Product p = multiply(head.tensor, left_over(head.tensor));
    EXPECT_GT(p.error(), 0.99 * p.bound()) << n << " columns: half of this bound would be wrong";
  }
}

// Sums of equal terms, of a size found by trying, where most roundings go the same way; the codes miss nothing here.
TEST(RowScreen, TheBoundCoversTheRoundings) {
  constexpr uint32_t n = 131072;
  const StoredHead head = test::store_head(BN_DT_F32, 1, n, [&](uint32_t, uint32_t) { return 127.0f; });
  std::vector<float> x(n, 0x1.3aa04p+0f);
  const Product p = multiply(head.tensor, x);
  const double exact = 127.0 * static_cast<double>(x[0]) * n, error = std::fabs(static_cast<double>(p.logit) - exact);
  EXPECT_GT(error, 100 * 0x1p-24 * exact);
  EXPECT_LE(error, p.bound());
  EXPECT_LE(p.error(), p.bound());
}

TEST(RowScreen, ResultsBelowTheNormalNumbersAreCovered) {
  Random random(2);
  for (const uint32_t n : {16u, 300u}) {
    const StoredHead head = test::store_head(BN_DT_F32, 1, n, [&](uint32_t, uint32_t) { return random.normal() * 1e-25f; });
    std::vector<float> x(n);
    for (float& v : x) v = random.normal() * 1e-19f;
    const Product p = multiply(head.tensor, x);
    EXPECT_GT(p.error(), 0);
    EXPECT_LE(p.error(), p.bound());
  }
}

TEST(RowScreen, CodesReach127AndReproduceWholeNumbers) {
  Random random(3);
  constexpr uint32_t n = 300;
  std::vector<float> row(row_screen_floats(n));
  std::vector<int> whole(n);
  for (uint32_t c = 0; c < n; ++c) whole[c] = static_cast<int>(random.below(255)) - 127;
  whole[17] = -127;
  for (uint32_t c = 0; c < n; ++c) row[c] = static_cast<float>(whole[c]) * 0.25f;
  std::vector<int8_t> codes(n);
  const RowScreen screen = screen_row(row.data(), n, codes.data());
  EXPECT_EQ(screen.scale, 0.25f);
  for (uint32_t c = 0; c < n; ++c) EXPECT_EQ(codes[c], whole[c]) << c;
  EXPECT_LT(screen.coefficient, 0.25f * 127 * std::sqrt(static_cast<float>(n)) * 1e-5f) << "only roundings are left";
}

TEST(RowScreen, RowsThatCannotBeScreenedSaySo) {
  for (const float bad : {HUGE_VALF, -HUGE_VALF, std::numeric_limits<float>::quiet_NaN(), 1e31f}) {
    std::vector<float> row(row_screen_floats(20), 1.0f);
    row[19] = bad;
    std::vector<int8_t> codes(20, 1);
    EXPECT_FALSE(std::isfinite(screen_row(row.data(), 20, codes.data()).coefficient)) << bad;
  }
}

TEST(RowScreen, TinyRowsAreZerosWithABound) {
  std::vector<float> row(row_screen_floats(4), 0.0f);
  row[2] = 1e-38f;
  std::vector<int8_t> codes(4, 1);
  const RowScreen screen = screen_row(row.data(), 4, codes.data());
  EXPECT_EQ(codes, std::vector<int8_t>(4, 0));
  EXPECT_EQ(screen.scale, 0);
  EXPECT_GE(screen.coefficient, 1e-38f);
}

TEST(RowScreen, TheNormIsNotBelowTheTrueOne) {
  Random random(4);
  std::vector<float> x(5000);
  for (float& v : x) v = random.normal() * (random.below(100) == 0 ? 1e4f : 1.0f);
  long double squares = 0;
  for (const float v : x) squares += static_cast<long double>(v) * static_cast<long double>(v);
  EXPECT_GE(static_cast<long double>(norm_above(x.data(), 5000)), std::sqrt(squares));
  x[7] = HUGE_VALF;
  EXPECT_FALSE(std::isfinite(norm_above(x.data(), 5000)));
}

}  // namespace
}  // namespace bitnet::model
