// unit/kit/f16_test.cpp - half and bfloat conversions against values built from the format's definition in double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bitnet/kit/arithmetic.hpp"
#include "kernel/random.h"

namespace bitnet::kit_test {
namespace {

using bn::kit::bits_of;
using bn::kit::f16_to_f32;
using bn::kit::f32_to_f16;
using bn::kit::float_of;

// Value of a finite half by its definition: sign, 5 bits of exponent with bias 15, 10 bits of fraction.
double half_value(uint32_t h) {
  const int exponent = static_cast<int>(h >> 10 & 31), fraction = static_cast<int>(h & 1023);
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

// Nearest half of a finite float, ties to even: the value counted in units of its last place is rounded as an integer.
uint16_t nearest_half(float x) {
  const uint32_t sign = std::signbit(x) ? 0x8000u : 0u;
  const double magnitude = std::fabs(static_cast<double>(x));
  int exponent = 0;
  std::frexp(magnitude, &exponent);               // magnitude in [2^(exponent-1), 2^exponent)
  const int unit = std::max(exponent - 11, -24);  // 2^unit is the last place
  const double units = std::nearbyint(std::ldexp(magnitude, -unit));
  const double rounded = std::ldexp(units, unit);
  if (rounded >= 65536.0) return static_cast<uint16_t>(sign | 0x7C00u);
  if (rounded < std::ldexp(1.0, -14)) return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::ldexp(rounded, 24)));
  std::frexp(rounded, &exponent);
  const uint32_t fraction = static_cast<uint32_t>(std::ldexp(rounded, 11 - exponent)) - 1024u;
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent + 14) << 10 | fraction);
}

TEST(F16, EveryHalfHasItsValue) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float x = f16_to_f32(static_cast<uint16_t>(h));
    if ((h & 0x7C00) != 0x7C00) {
      ASSERT_EQ(static_cast<double>(x), half_value(h)) << h;
      ASSERT_EQ(std::signbit(x), (h & 0x8000) != 0) << h;
    } else if ((h & 1023) == 0) {
      ASSERT_EQ(x, (h & 0x8000) != 0 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity()) << h;
    } else {
      ASSERT_TRUE(std::isnan(x)) << h;
    }
  }
}

TEST(F16, EveryHalfComesBack) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const uint16_t back = f32_to_f16(f16_to_f32(static_cast<uint16_t>(h)));
    if ((h & 0x7FFF) <= 0x7C00) {
      ASSERT_EQ(back, h);
    } else {
      ASSERT_EQ(back, (h & 0x8000) | 0x7E00) << h;
    }
  }
}

TEST(F16, RoundsToNearestEvenAroundEveryMidpoint) {
  for (uint32_t h = 0; h < 0x7C00; ++h) {
    const double upper = h == 0x7BFF ? 65536.0 : half_value(h + 1);
    const float middle = static_cast<float>((half_value(h) + upper) / 2);  // exact: one bit more than a half
    for (int step = -2; step <= 2; ++step) {
      const float x = float_of(bits_of(middle) + static_cast<uint32_t>(step));
      ASSERT_EQ(f32_to_f16(x), nearest_half(x)) << h << " step " << step;
      ASSERT_EQ(f32_to_f16(-x), nearest_half(-x)) << h << " step " << step;
    }
    ASSERT_EQ(f32_to_f16(middle) & 1, 0) << "ties go to even, at " << h;
  }
}

TEST(F16, RoundsRandomFloats) {
  kernel_test::Random random(1);
  for (int i = 0; i < 2'000'000; ++i) {
    const float x = float_of(random.bits());
    if (!std::isfinite(x)) continue;
    ASSERT_EQ(f32_to_f16(x), nearest_half(x)) << bits_of(x);
  }
}

TEST(F16, EdgesOfTheRange) {
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(std::nextafterf(65520.0f, 0.0f)), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), 0xFC00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);
  EXPECT_EQ(f32_to_f16(std::nextafterf(0x1p-25f, 1.0f)), 0x0001);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::quiet_NaN()) & 0x7FFF, 0x7E00);
}

TEST(Bf16, IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(bn::kit::bf16_to_f32(0x3F80), 1.0f);
  EXPECT_EQ(bn::kit::bf16_to_f32(0xC040), -3.0f);
  EXPECT_EQ(bn::kit::bf16_to_f32(0x0001), std::ldexp(1.0f, -133));
}

TEST(RoundHalfEven, AgreesWithTheCLibrary) {
  kernel_test::Random random(2);
  for (int i = -1000; i <= 1000; ++i) {
    const float x = static_cast<float>(i) * 0.25f;
    ASSERT_EQ(bn::kit::round_half_even(x), std::nearbyintf(x)) << x;
  }
  for (int i = 0; i < 100000; ++i) {
    const float x = random.uniform(-4e6f, 4e6f);
    ASSERT_EQ(bn::kit::round_half_even(x), std::nearbyintf(x)) << x;
  }
}

}  // namespace
}  // namespace bitnet::kit_test
