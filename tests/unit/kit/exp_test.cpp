// unit/kit/exp_test.cpp - EXP of profile exact-1 against the C library's double exp.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::kit_test {
namespace {

using bn::kit::bits_of;
using bn::kit::exp1;
using bn::kit::float_of;

// Distance of a float to the exact value, in units of the last place of the exact value's float.
double error_in_ulp(float x) {
  const double exact = std::exp(static_cast<double>(x));
  const float nearest = static_cast<float>(exact);
  const double ulp = static_cast<double>(float_of(bits_of(nearest) + 1)) - static_cast<double>(nearest);
  return std::fabs(static_cast<double>(exp1(x)) - exact) / ulp;
}

TEST(Exp1, StaysWithinOneAndAHalfUlp) {
  double worst = 0;
  float worst_at = 0;
  const auto look_at = [&](float x) {
    const double error = error_in_ulp(x);
    if (error <= worst) return;
    worst = error;
    worst_at = x;
  };
  for (uint32_t u = bits_of(1e-6f); u <= bits_of(88.0f); u += 97) look_at(float_of(u));
  for (uint32_t u = bits_of(-1e-6f); u <= bits_of(-87.0f); u += 97) look_at(float_of(u));
  EXPECT_LE(worst, 1.5) << "at " << worst_at;
  EXPECT_GT(worst, 0.3) << "a sweep that finds no error looks at the wrong thing";
}

// The bits, from the formula in exact rational arithmetic with one rounding per operation (computed outside this program). EXP
// is part of the meaning of exact-1: other bits are another profile.
TEST(Exp1, BitsAreThoseOfTheDefinition) {
  const struct {
    float x;
    uint32_t bits;
  } expected[] = {{1.0f, 0x402DF854u},         {-1.0f, 0x3EBC5AB2u},        {-0.5f, 0x3F1B4598u},
                  {0.346573591f, 0x3FB504F3u}, {0.346573621f, 0x3FB504F4u}, {-2.30258489f, 0x3DCCCCD0u},
                  {10.25f, 0x46DCF516u},       {-20.125f, 0x30F9FF06u},     {-50.2999992f, 0x1B2CBCE5u},
                  {-86.9899979f, 0x00B503B7u}, {87.9000015f, 0x7EE0DCAEu},  {0.00100000005f, 0x3F8020C9u},
                  {-33.3330002f, 0x2770A023u}, {-70.6999969f, 0x0C80214Bu}, {64.0999985f, 0x6DB2201Eu}};
  for (const auto& e : expected) EXPECT_EQ(bits_of(exp1(e.x)), e.bits) << e.x;
  uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a over 32-bit words, arguments -87 to 88 in steps of 1/64
  for (int i = -87 * 64; i <= 88 * 64; ++i) hash = (hash ^ bits_of(exp1(static_cast<float>(i) / 64.0f))) * 0x100000001B3u;
  EXPECT_EQ(hash, 0x29447EA3B6C83A7Fu);
}

TEST(Exp1, FixedValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(bits_of(exp1(0.0f)), bits_of(1.0f));
  EXPECT_EQ(bits_of(exp1(-0.0f)), bits_of(1.0f));
  EXPECT_GE(exp1(-87.0f), std::numeric_limits<float>::min()) << "never subnormal";
  EXPECT_EQ(bits_of(exp1(std::nextafterf(-87.0f, -88.0f))), 0u);
  EXPECT_EQ(bits_of(exp1(-infinity)), 0u);
  EXPECT_EQ(exp1(std::nextafterf(88.0f, 89.0f)), exp1(88.0f));
  EXPECT_EQ(exp1(infinity), exp1(88.0f));
  EXPECT_TRUE(std::isfinite(exp1(88.0f)));
  EXPECT_TRUE(std::isnan(exp1(std::numeric_limits<float>::quiet_NaN())));
  for (const float tiny : {1e-45f, 1e-30f, 1e-10f, -1e-45f, -1e-30f, -1e-10f}) EXPECT_EQ(exp1(tiny), 1.0f) << tiny;
}

// Where n = round(x log2 e) changes, the reduced argument jumps from +0.347 to -0.347: the result must not fall there, nor may
// it at the points where it is exactly reduced.
TEST(Exp1, DoesNotFallWhereTheReductionJumps) {
  for (int n = -125; n <= 126; ++n) {
    const float edge = static_cast<float>((n + 0.5) * 0.69314718055994530942);
    if (edge < -87.0f || edge > 88.0f) continue;
    float x = edge;
    for (int i = 0; i < 200; ++i) x = std::nextafterf(x, -200.0f);
    for (int i = 0; i < 400; ++i) {
      const float next = std::nextafterf(x, 200.0f);
      if (next > 88.0f || x < -87.0f) break;
      EXPECT_LE(exp1(x), exp1(next) * 1.0000002f) << "at " << x;
      x = next;
    }
    EXPECT_LT(exp1(edge - 0.001f), exp1(edge)) << edge;
    EXPECT_LT(exp1(edge), exp1(edge + 0.001f)) << edge;
  }
}

TEST(Exp1, NeverExceedsOneForArgumentsBelowZero) {
  for (uint32_t u = bits_of(-1e-9f); u <= bits_of(-87.0f); u += 997) {
    ASSERT_LE(exp1(float_of(u)), 1.0f) << float_of(u);
    ASSERT_GT(exp1(float_of(u)), 0.0f) << float_of(u);
  }
}

}  // namespace
}  // namespace bitnet::kit_test
