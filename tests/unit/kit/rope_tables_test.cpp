// unit/kit/rope_tables_test.cpp - cosine and sine tables against the C library in long double.
#include "bitnet/kit/rope_tables.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace bitnet::kit_test {
namespace {

struct Tables {
  Tables(uint32_t pos0, uint32_t pos1, uint32_t dim, double base, double scale, const float* factor)
      : cosine((pos1 - pos0) * (dim / 2)), sine(cosine.size()) {
    bn::kit::fill_rope_tables(pos0, pos1, dim, base, scale, factor, cosine.data(), sine.data());
  }
  std::vector<float> cosine, sine;
};

// Largest difference to the C library over positions [pos0, pos1).
double worst(uint32_t pos0, uint32_t pos1, uint32_t dim, double base, double scale = 1.0, const float* factor = nullptr) {
  const Tables t(pos0, pos1, dim, base, scale, factor);
  long double largest = 0;
  for (uint32_t pos = pos0; pos < pos1; ++pos) {
    for (uint32_t i = 0; i < dim / 2; ++i) {
      const long double f = factor != nullptr ? factor[i] : 1.0L;
      const long double angle = pos * powl(base, -2.0L * i / dim) / scale / f;
      const size_t at = static_cast<size_t>(pos - pos0) * (dim / 2) + i;
      largest = std::max({largest, fabsl(t.cosine[at] - cosl(angle)), fabsl(t.sine[at] - sinl(angle))});
    }
  }
  return static_cast<double>(largest);
}

TEST(RopeTables, AgreeWithTheCLibrary) {
  for (const double base : {10000.0, 500000.0, 1000000.0, 1000042.0}) {
    for (const uint32_t dim : {2u, 64u, 100u, 128u, 256u}) {
      EXPECT_LT(worst(0, 300, dim, base), 1e-7) << base << " " << dim;
      EXPECT_LT(worst(131000, 131072, dim, base), 1e-7) << base << " " << dim;
    }
  }
}

TEST(RopeTables, ScaleAndFactors) {
  std::vector<float> factor(64);
  for (size_t i = 0; i < factor.size(); ++i) factor[i] = 1.0f + 0.37f * static_cast<float>(i);
  EXPECT_LT(worst(0, 200, 128, 500000.0, 4.0), 1e-7);
  EXPECT_LT(worst(0, 200, 128, 500000.0, 1.0, factor.data()), 1e-7);
  EXPECT_LT(worst(100000, 100050, 128, 500000.0, 2.5, factor.data()), 1e-7);
}

TEST(RopeTables, PositionZeroIsExact) {
  const Tables t(0, 1, 128, 10000.0, 1.0, nullptr);
  for (size_t i = 0; i < t.cosine.size(); ++i) {
    EXPECT_EQ(t.cosine[i], 1.0f);
    EXPECT_EQ(t.sine[i], 0.0f);
  }
}

TEST(RopeTables, PartOfATableIsThatPart) {
  const Tables whole(0, 90, 64, 10000.0, 1.0, nullptr), part(40, 90, 64, 10000.0, 1.0, nullptr);
  for (size_t i = 0; i < part.cosine.size(); ++i) {
    ASSERT_EQ(part.cosine[i], whole.cosine[40 * 32 + i]);
    ASSERT_EQ(part.sine[i], whole.sine[40 * 32 + i]);
  }
}

TEST(RopeTables, OwnFunctionsAgreeWithTheCLibrary) {
  for (double x = 1e-3; x < 1e7; x *= 1.01) {
    EXPECT_NEAR(bn::kit::ln_f64(x), std::log(x), 4e-15 * std::max(1.0, std::fabs(std::log(x)))) << x;
  }
  for (double x = -40; x <= 40; x += 0.0371) EXPECT_NEAR(bn::kit::exp_f64(x) / std::exp(x), 1.0, 4e-15) << x;
  for (double x = 0; x < 200000; x += 17.03) {
    double sine = 0, cosine = 0;
    bn::kit::sincos_f64(x, &sine, &cosine);
    EXPECT_NEAR(sine, std::sin(x), 1e-14) << x;
    EXPECT_NEAR(cosine, std::cos(x), 1e-14) << x;
  }
}

}  // namespace
}  // namespace bitnet::kit_test
