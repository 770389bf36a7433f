// unit/kit/sum_test.cpp - the canonical sum S16 against double, and against a second reading of its definition.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "bitnet/kit/arithmetic.hpp"
#include "kernel/random.h"

namespace bitnet::kit_test {
namespace {

constexpr uint32_t kLengths[] = {0, 1, 2, 15, 16, 17, 31, 100, 255, 256, 257, 271, 272, 511, 512, 513, 2560, 6912};

// S16 from its sentence, lane by lane and with the padding written out.
float s16_again(std::vector<float> a, std::vector<float> b) {
  while (a.size() % 16 != 0) {
    a.push_back(0.0f);
    b.push_back(0.0f);
  }
  std::vector<float> fold(16);
  for (size_t lane = 0; lane < 16; ++lane) {
    float total = 0.0f;
    for (size_t chunk = 0; chunk < a.size(); chunk += 256) {
      float accumulator = 0.0f;
      for (size_t i = chunk + lane; i < std::min(chunk + 256, a.size()); i += 16)
        accumulator = std::fmaf(a[i], b[i], accumulator);
      total = total + accumulator;
    }
    fold[lane] = total;
  }
  for (; fold.size() > 1; fold.resize(fold.size() / 2)) {
    for (size_t j = 0; j < fold.size() / 2; ++j) fold[j] = fold[j] + fold[j + fold.size() / 2];
  }
  return fold[0];
}

TEST(S16, IsCloseToTheExactSum) {
  kernel_test::Random random(1);
  for (const uint32_t n : kLengths) {
    const std::vector<float> a = random.normals(n), b = random.normals(n);
    double exact = 0, size = 0;
    for (uint32_t i = 0; i < n; ++i) {
      exact += static_cast<double>(a[i]) * b[i];
      size += std::fabs(static_cast<double>(a[i]) * b[i]);
    }
    EXPECT_NEAR(bn::kit::s16(a.data(), b.data(), n), exact, size * 1e-6) << n;
  }
}

TEST(S16, IsItsDefinition) {
  kernel_test::Random random(2);
  for (const uint32_t n : kLengths) {
    for (const float scale : {1.0f, 1e-20f, 1e15f}) {
      const std::vector<float> a = random.normals(n, scale), b = random.normals(n, scale);
      EXPECT_EQ(bn::kit::bits_of(bn::kit::s16(a.data(), b.data(), n)), bn::kit::bits_of(s16_again(a, b))) << n;
    }
  }
}

TEST(S16, IsExactForSmallIntegers) {
  std::vector<float> a(1000), b(1000);
  int64_t exact = 0;
  for (int i = 0; i < 1000; ++i) {
    a[static_cast<size_t>(i)] = static_cast<float>(i % 37 - 18);
    b[static_cast<size_t>(i)] = static_cast<float>(i % 11 - 5);
    exact += (i % 37 - 18) * (i % 11 - 5);
  }
  EXPECT_EQ(bn::kit::s16(a.data(), b.data(), 1000), static_cast<float>(exact));
}

TEST(Fma, RoundsOnce) {
  const float a = 1.0f + 0x1p-23f;  // a*a = 1 + 2^-22 + 2^-46: the last term is lost if the product is rounded
  EXPECT_EQ(bn::kit::fma(a, a, -(1.0f + 0x1p-22f)), 0x1p-46f);
}

}  // namespace
}  // namespace bitnet::kit_test
