// unit/kit/ops_test.cpp - the reference bodies against the formulas of the papers, computed in double.
//
// Sources: RMS norm (Zhang, Sennrich 2019), RoPE (Su et al. 2021), attention (Vaswani et al. 2017), GLU (Shazeer 2020),
// absmax quantisation (BitNet b1.58, Ma et al. 2024).
#include "bitnet/kit/ops.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernel/random.h"

namespace bitnet::kit_test {
namespace {

using kernel_test::Random;

TEST(NormOp, IsRmsNorm) {
  constexpr uint32_t kN = 300, kVectors = 3;
  const std::vector<float> x = Random(1).normals(kN * kVectors, 2.0f), gain = Random(2).normals(kN);
  std::vector<float> y(x.size());
  const bn_norm op = {sizeof(bn_norm), kN, 1e-2f, kN, kN, 0, x.data(), gain.data(), y.data(), nullptr, nullptr, nullptr};
  bn::kit::norm(op, 0, kVectors);
  for (uint32_t v = 0; v < kVectors; ++v) {
    double squares = 0;
    for (uint32_t i = 0; i < kN; ++i) squares += static_cast<double>(x[v * kN + i]) * x[v * kN + i];
    const double root = std::sqrt(squares / kN + static_cast<double>(1e-2f));
    for (uint32_t i = 0; i < kN; ++i) EXPECT_NEAR(y[v * kN + i], x[v * kN + i] * static_cast<double>(gain[i]) / root, 2e-6);
  }
}

TEST(NormOp, CodesStandForTheNormedVector) {
  constexpr uint32_t kN = 300, kStride = 320;
  const std::vector<float> x = Random(1).normals(kN, 50.0f), gain = Random(2).normals(kN);
  std::vector<float> y(kN), scale(1);
  std::vector<int8_t> q(kStride, 1);
  std::vector<int32_t> sum(1);
  const bn_norm op = {sizeof(bn_norm), kN,          1e-5f,    kN,       kN,           kStride,
                      x.data(),        gain.data(), y.data(), q.data(), scale.data(), sum.data()};
  bn::kit::norm(op, 0, 1);
  int32_t total = 0, largest = 0;
  for (uint32_t i = 0; i < kN; ++i) {
    EXPECT_NEAR(q[i] * static_cast<double>(scale[0]), y[i], 0.501 * scale[0]);
    total += q[i];
    largest = std::max(largest, std::abs(static_cast<int32_t>(q[i])));
  }
  EXPECT_EQ(largest, 127);
  EXPECT_EQ(sum[0], total);
  for (uint32_t i = kN; i < kStride; ++i) EXPECT_EQ(q[i], 0);
}

TEST(RopeOp, TurnsEachPairByItsAngle) {
  constexpr uint32_t kDim = 6, kRotated = 4, kPos = 3;
  const double angle[] = {0.3, 2.1};
  std::vector<float> cosine(16), sine(16);
  for (size_t i = 0; i < 2; ++i) {
    cosine[kPos * 2 + i] = static_cast<float>(std::cos(angle[i]));
    sine[kPos * 2 + i] = static_cast<float>(std::sin(angle[i]));
  }
  for (const uint32_t kind : {static_cast<uint32_t>(BN_ROPE_HALVES), static_cast<uint32_t>(BN_ROPE_PAIRS)}) {
    const std::vector<float> before = {1, 2, 3, 4, 5, 6};
    std::vector<float> x = before;
    const bn_rope op = {sizeof(bn_rope), kind, 1, kDim, kRotated, kPos, kDim, 0, x.data(), cosine.data(), sine.data()};
    bn::kit::rope(op, 0, 1, 0, 1);
    for (size_t i = 0; i < 2; ++i) {
      const size_t a = kind == BN_ROPE_HALVES ? i : 2 * i, b = kind == BN_ROPE_HALVES ? i + 2 : 2 * i + 1;
      EXPECT_NEAR(x[a], before[a] * std::cos(angle[i]) - before[b] * std::sin(angle[i]), 1e-6);
      EXPECT_NEAR(x[b], before[a] * std::sin(angle[i]) + before[b] * std::cos(angle[i]), 1e-6);
    }
    EXPECT_EQ(x[4], 5.0f);
    EXPECT_EQ(x[5], 6.0f);
  }
}

struct AttentionCase {
  uint32_t pos0, tokens, window;
  float size;
};

void check_attention(const AttentionCase& c) {
  constexpr uint32_t kDim = 20, kHeads = 6, kKvHeads = 2, kPages = 3;
  const std::vector<float> q = Random(1).normals(c.tokens * kHeads * kDim, c.size);
  const std::vector<float> k = Random(2).normals(kPages * BN_KV_PAGE * kKvHeads * kDim), v = Random(3).normals(k.size());
  const void *k_pages[kPages], *v_pages[kPages];
  for (uint32_t p = 0; p < kPages; ++p) {
    k_pages[p] = &k[p * BN_KV_PAGE * kKvHeads * kDim];
    v_pages[p] = &v[p * BN_KV_PAGE * kKvHeads * kDim];
  }
  std::vector<float> y(q.size());
  const float scale = 0.223f;
  const bn_attn op = {sizeof(bn_attn), kHeads,        kKvHeads, kDim,     c.pos0,  c.window, BN_DT_F32, kKvHeads * kDim, kDim,
                      kHeads * kDim,   kHeads * kDim, scale,    q.data(), k_pages, v_pages,  y.data()};
  bn::kit::attention(op, 0, c.tokens, 0, kHeads);
  for (uint32_t t = 0; t < c.tokens; ++t) {
    const uint32_t last = c.pos0 + t, first = c.window != 0 && last + 1 > c.window ? last + 1 - c.window : 0;
    for (uint32_t h = 0; h < kHeads; ++h) {
      const float* query = &q[(t * kHeads + h) * kDim];
      std::vector<double> weight;
      double top = -1e300, total = 0;
      for (uint32_t p = first; p <= last; ++p) {
        double score = 0;
        for (uint32_t d = 0; d < kDim; ++d) score += static_cast<double>(query[d]) * k[(p * kKvHeads + h / 3) * kDim + d];
        weight.push_back(score * scale);
        top = std::max(top, weight.back());
      }
      for (double& w : weight) total += (w = std::exp(w - top));
      for (uint32_t d = 0; d < kDim; ++d) {
        double expected = 0;
        for (uint32_t p = first; p <= last; ++p) expected += weight[p - first] / total * v[(p * kKvHeads + h / 3) * kDim + d];
        ASSERT_NEAR(y[(t * kHeads + h) * kDim + d], expected, 2e-5) << "token " << t << " head " << h << " element " << d;
      }
    }
  }
}

TEST(AttentionOp, IsSoftmaxOfScoresTimesValues) {
  for (const uint32_t pos0 : {0u, 1u, 127u, 128u, 300u}) check_attention({pos0, 3, 0, 1.0f});
  check_attention({200, 2, 0, 10.0f});
}

TEST(AttentionOp, WindowHidesOlderPositions) {
  for (const uint32_t window : {1u, 5u, 128u, 150u, 1000u}) check_attention({290, 3, window, 1.0f});
}

double activation(uint32_t act, double g) {
  switch (act) {
    case BN_ACT_RELU2:
      return g > 0 ? g * g : 0;
    case BN_ACT_SILU:
      return g / (1 + std::exp(-g));
    default:
      return 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
  }
}

TEST(GluOp, IsTheActivationTimesUp) {
  for (const uint32_t act :
       {static_cast<uint32_t>(BN_ACT_RELU2), static_cast<uint32_t>(BN_ACT_SILU), static_cast<uint32_t>(BN_ACT_GELU_TANH)}) {
    for (float g = -30.0f; g <= 30.0f; g += 0.013f) {
      const double expected = activation(act, g) * 1.7f;
      EXPECT_NEAR(bn::kit::glu_element(act, g, 1.7f), expected, 1e-6 + 1e-6 * std::fabs(expected)) << act << " " << g;
    }
    EXPECT_TRUE(std::isnan(bn::kit::glu_element(act, std::numeric_limits<float>::quiet_NaN(), 1.0f))) << act;
  }
}

TEST(MatmulOp, IsTheIntegerProductTimesBothScales) {
  const int8_t trits[2][5] = {{1, -1, 0, 1, 1}, {-1, -1, 0, 1, -1}};
  uint8_t packed[4];
  for (int r = 0; r < 2; ++r) bn::kit::write_row_t2(trits[r], 5, packed + 2 * r);
  bn_format format = {};
  const uint8_t fingerprint[] = BN_FINGERPRINT_T2;
  std::memcpy(format.fingerprint, fingerprint, 16);
  const float scales[] = {0.5f, 4.0f};
  bn_tensor w = {};
  w.rows = 2;
  w.cols = 5;
  w.n_scales = 2;
  w.scales = scales;
  w.format = &format;
  const int8_t x[2][5] = {{127, -127, 3, 0, 5}, {1, 2, 3, 4, 5}};
  const float x_scale[] = {0.25f, 2.0f};
  float y[4];
  const bn_matmul op = {sizeof(bn_matmul), 2, &w, packed, x[0], x_scale, nullptr, y, 5, 2};
  int8_t row[5];
  bn::kit::matmul(op, 0, 2, row);
  EXPECT_EQ(y[0], 259 * 0.125f);  // 127 + 127 + 0 + 5
  EXPECT_EQ(y[1], -5 * 1.0f);     // -127 + 127 + 0 - 5
  EXPECT_EQ(y[2], 8 * 1.0f);      // 1 - 2 + 4 + 5
  EXPECT_EQ(y[3], -4 * 8.0f);     // -1 - 2 + 4 - 5
}

}  // namespace
}  // namespace bitnet::kit_test
