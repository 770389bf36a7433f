// kernel/cuda/norm_test.cpp - norm and quantisation of vectors on the emulated device against kit norm(): the same bits; in
// free order the same codes, and scales that are near.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "bitnet/kit/ops.hpp"
#include "device/elementwise.h"
#include "emulation/block.h"

namespace bn_cuda {
namespace {

struct Vector {
  std::vector<float> x, gain;
};

Vector vector_of(uint32_t n, uint32_t seed) {
  Vector v;
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t bits = (seed * 7919u + i) * 2654435761u;
    v.x.push_back((static_cast<float>(bits >> 8) / 16777216.0f - 0.5f) * (i % 37 == 5 ? 40.0f : 3.0f));
    v.gain.push_back(0.25f + static_cast<float>(bits >> 20) / 4096.0f);
  }
  return v;
}

// What both give for vectors of length n; `gain` null or not.
void expect_the_kits_bits(uint32_t n, uint32_t vectors, const std::vector<float>& x, const float* gain, float eps) {
  SCOPED_TRACE("n " + std::to_string(n) + (gain ? " with" : " without") + " gain, eps " + std::to_string(eps));
  const uint32_t stride = (n + 3) / 4 * 4, q_stride = (n + 127) / 128 * 128;
  struct Result {
    std::vector<float> y, scale;
    std::vector<int8_t> q;
    std::vector<int32_t> sum;
  } want, got;
  for (Result* r : {&want, &got}) {
    r->y.assign(vectors * stride, -7.0f);
    r->scale.assign(vectors, 0.0f);
    r->q.assign(vectors * q_stride, 99);
    r->sum.assign(vectors, 0);
  }
  bn_norm a{};
  a.x = x.data();
  a.gain = gain;
  a.y = want.y.data();
  a.q = want.q.data();
  a.q_scale = want.scale.data();
  a.q_sum = want.sum.data();
  a.n = n;
  a.x_stride = a.y_stride = stride;
  a.q_stride = q_stride;
  a.eps = eps;
  bn::kit::norm(a, 0, vectors);
  const NormArgs args{x.data(), gain,   got.y.data(), got.q.data(), got.scale.data(), got.sum.data(), n,
                      stride,   stride, q_stride,     eps};
  emulation::launch(norm_kernel(), norm_shape(vectors, n), &args);
  EXPECT_EQ(0, std::memcmp(got.y.data(), want.y.data(), want.y.size() * 4));
  EXPECT_EQ(0, std::memcmp(got.scale.data(), want.scale.data(), want.scale.size() * 4));
  EXPECT_EQ(got.q, want.q);
  EXPECT_EQ(got.sum, want.sum);
}

TEST(CudaNorm, GivesTheKitsBits) {
  for (const uint32_t n : {1u, 15u, 16u, 100u, 128u, 257u, 640u, 2560u, 6912u}) {
    const uint32_t stride = (n + 3) / 4 * 4;
    const Vector v = vector_of(2 * stride, n);
    expect_the_kits_bits(n, 2, v.x, v.gain.data(), 1e-5f);
    expect_the_kits_bits(n, 2, v.x, nullptr, 1e-6f);
    expect_the_kits_bits(n, 2, v.x, v.gain.data(), -1.0f);
  }
}

TEST(CudaNorm, ZerosInfinitiesAndNaN) {
  const uint32_t n = 300;
  const Vector v = vector_of(n, 5);
  std::vector<float> x(n, 0.0f);
  expect_the_kits_bits(n, 1, x, v.gain.data(), 1e-5f);
  x[17] = 1e-30f;
  expect_the_kits_bits(n, 1, x, v.gain.data(), 1e-5f);
  x = v.x;
  x[299] = std::numeric_limits<float>::infinity();
  expect_the_kits_bits(n, 1, x, nullptr, -1.0f);
  x[299] = std::numeric_limits<float>::quiet_NaN();
  expect_the_kits_bits(n, 1, x, nullptr, -1.0f);
  expect_the_kits_bits(n, 1, x, v.gain.data(), 1e-5f);  // all codes are -127, but zeros behind n
}

// The root of the mean of squares is no part of the codes, so these are the kit's here as well.
TEST(CudaNorm, InFreeOrderOnlyTheScaleDiffers) {
  for (const uint32_t n : {1u, 15u, 100u, 257u, 640u, 2560u, 6913u}) {
    const Vector v = vector_of(n, n);
    struct Result {
      std::vector<float> y;
      float scale = 0;
      std::vector<int8_t> q;
      int32_t sum = 0;
    } in_order, freely;
    for (Result* r : {&in_order, &freely}) {
      r->y.resize(n);
      r->q.assign((n + 127) / 128 * 128, 99);
      const NormArgs args{
          v.x.data(), v.gain.data(), r->y.data(), r->q.data(), &r->scale, &r->sum, n, n, n, static_cast<uint32_t>(r->q.size()),
          1e-5f,      r == &freely};
      emulation::launch(norm_kernel(), norm_shape(1, n), &args);
    }
    EXPECT_EQ(freely.q, in_order.q) << n;
    EXPECT_EQ(freely.sum, in_order.sum) << n;
    EXPECT_NEAR(freely.scale / in_order.scale, 1.0f, 1e-6f) << n;
    for (uint32_t i = 0; i < n; ++i) ASSERT_NEAR(freely.y[i], in_order.y[i], 1e-6f * std::fabs(in_order.y[i])) << n;
  }
}

TEST(CudaNorm, InPlaceAndWithoutCodes) {
  const uint32_t n = 333;
  const Vector v = vector_of(n, 9);
  std::vector<float> want(n), y = v.x;
  bn_norm a{};
  a.x = v.x.data();
  a.gain = v.gain.data();
  a.y = want.data();
  a.n = n;
  a.eps = 1e-5f;
  bn::kit::norm(a, 0, 1);
  const NormArgs args{y.data(), v.gain.data(), y.data(), nullptr, nullptr, nullptr, n, n, n, 0, 1e-5f};
  emulation::launch(norm_kernel(), norm_shape(1, n), &args);
  EXPECT_EQ(0, std::memcmp(y.data(), want.data(), n * 4));
}

}  // namespace
}  // namespace bn_cuda
