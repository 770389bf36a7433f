// kernel/cuda/screen_test.cpp - the best k by screening, emulated: always the kit's list or the word that all logits are
// needed; and the bound that this rests on, against logits of the kit made to come close to it.
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "bitnet/kit/sampler.hpp"
#include "device/screen_bound.h"
#include "emulation/block.h"
#include "head_data.h"

namespace bn_cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int32_t kUntouched = -99;

struct alignas(256) Line {
  uint8_t bytes[256];
};

// A head with its copy, and what one screening left.
class Screened {
 public:
  explicit Screened(TestHead h) : head(std::move(h)) {
    copy_.resize(screen_bytes(head.rows, head.cols) / 256);
    work_.resize(screen_work_bytes(head.rows, head.cols) / 256);
    std::memset(copy_.data(), 0xA5, copy_.size() * 256);
    std::memset(work_.data(), 0xA5, work_.size() * 256);
    table = screen_table(copy_.data(), head.rows, head.cols);
    const ScreenBuildArgs build{head.args({}, nullptr, nullptr), table};
    emulation::launch(screen_build_kernel(head.dtype), screen_build_shape(build), &build);
  }

  void run(const std::vector<float>& x, uint32_t k) {
    top_id.assign(k, kUntouched);
    top_logit.assign(k, 0.0f);
    overflow = not_finite = 0;
    args.head = head.args(x, nullptr, &not_finite);
    args.screen = table;
    args.top_id = top_id.data();
    args.top_logit = top_logit.data();
    args.overflow = &overflow;
    args.k = k;
    screen_layout(&args, work_.data());
    TopArgs groups;
    ScreenStep steps[kScreenSteps];
    const uint32_t n = screen_steps(&args, &groups, steps);
    for (uint32_t i = 0; i < n; ++i) emulation::launch(*steps[i].kernel, steps[i].shape, steps[i].args);
  }

  // The list is the kit's, bit for bit.
  void expect_kit(const std::vector<float>& x) const {
    ASSERT_EQ(overflow, 0u);
    const std::vector<float> logits = kit_logits(head, x);
    const auto want = bn::kit::top_candidates(logits.data(), head.rows, args.k);
    for (uint32_t i = 0; i < args.k; ++i) {
      ASSERT_EQ(top_id[i], want[i].id) << "place " << i << " of " << args.k << ", dtype " << head.dtype << ", " << head.rows
                                       << " x " << head.cols;
      ASSERT_EQ(bn::kit::bits_of(top_logit[i]), bn::kit::bits_of(want[i].logit)) << "place " << i;
    }
  }

  LogitRange range(uint32_t r) const {
    int64_t dot = 0;
    for (uint32_t c = 0; c < table.q_stride; ++c) {
      const int64_t digits = int64_t{args.digits[table.q_stride + c]} * 256 + args.digits[c];
      dot += digits * table.q[uint64_t{r} * table.q_stride + c];
    }
    return logit_range(dot, table.scale[r], table.error[r], table.norm[r], *args.vector);
  }

  // Every logit of the kit lies in its range, and the kernel's bounds are those ranges. Returns the sum of the ranges.
  double expect_bounds(const std::vector<float>& x) const {
    const std::vector<float> logits = kit_logits(head, x);
    double width = 0;
    float lower = -kInfinity;
    for (uint32_t r = 0; r < head.rows; ++r) {
      const LogitRange range = this->range(r);
      EXPECT_LE(range.lower, logits[r]) << "row " << r;
      EXPECT_GE(range.upper, logits[r]) << "row " << r;
      EXPECT_EQ(args.upper[r], range.upper) << "row " << r;
      lower = std::max(r % 32 == 0 ? -kInfinity : lower, range.lower);
      if (r % 32 == 31 || r + 1 == head.rows) {
        EXPECT_EQ(args.group[r / 32], lower) << "rows up to " << r;
      }
      width += static_cast<double>(range.upper) - static_cast<double>(range.lower);
    }
    return width;
  }

  TestHead head;
  ScreenTable table;
  ScreenArgs args{};
  std::vector<int32_t> top_id;
  std::vector<float> top_logit;
  uint32_t overflow = 0, not_finite = 0;

 private:
  std::vector<Line> copy_, work_;
};

TEST(CudaScreen, BestOfRandomHeads) {
  for (const uint32_t dtype : {BN_DT_F16, BN_DT_F32, BN_DT_BF16}) {
    const uint32_t sizes[][2] = {{300, 64}, {1000, 200}, {4099, 320}, {96, 2560}};
    for (const auto& [rows, cols] : sizes) {
      Screened screened(random_head(dtype, rows, cols, cols));
      for (const uint32_t k : {1u, 2u, 9u, 31u, 100u}) {
        if (!can_screen(dtype, rows, cols, k)) continue;
        const std::vector<float> x = random_hidden(cols, rows + k);
        screened.run(x, k);
        screened.expect_kit(x);
        if (10 * k <= rows / 32) {
          EXPECT_LT(screened.args.vector->n_candidates, 4 * k + 60) << rows << " x " << cols;
        }
        EXPECT_EQ(screened.not_finite, 0u);
      }
    }
  }
}

// With estimates the list is the best by what the copy says, and that is near.
TEST(CudaScreen, EstimatesAreNearAndInOrder) {
  Screened screened(random_head(BN_DT_F16, 1000, 2560, 31));
  screened.args.estimates = true;
  const std::vector<float> x = random_hidden(2560, 32);
  const std::vector<float> logits = kit_logits(screened.head, x);
  for (const uint32_t k : {1u, 20u}) {
    screened.run(x, k);
    ASSERT_EQ(screened.overflow, 0u);
    const auto best = bn::kit::top_candidates(screened.args.upper, 1000, k);
    double error = 0, size = 0;
    for (uint32_t r = 0; r < 1000; ++r) {
      const double difference = static_cast<double>(screened.args.upper[r]) - static_cast<double>(logits[r]);
      error += difference * difference;
      size += static_cast<double>(logits[r]) * static_cast<double>(logits[r]);
    }
    for (uint32_t i = 0; i < k; ++i) {
      EXPECT_EQ(screened.top_id[i], best[i].id) << i;
      EXPECT_EQ(screened.top_logit[i], best[i].logit) << i;
    }
    EXPECT_LT(std::sqrt(error / size), 0.01);
    RecordProperty("relative_error_of_estimates", std::to_string(std::sqrt(error / size)));
  }
}

TEST(CudaScreen, WithEstimatesRowsWithoutABoundAreComputed) {
  TestHead head = random_head(BN_DT_F32, 300, 64, 33);
  for (uint32_t c = 0; c < 64; ++c) head.put(17, c, 2e30f);
  Screened screened(head);
  screened.args.estimates = true;
  const std::vector<float> x(64, 2.0f);
  screened.run(x, 2);
  EXPECT_EQ(screened.overflow, 0u);
  EXPECT_EQ(screened.top_id[0], 17);
  EXPECT_EQ(screened.top_logit[0], kit_logits(head, x)[17]);
  for (uint32_t c = 0; c < 64; ++c) head.put(18, c, std::nanf(""));
  Screened odd(head);
  odd.args.estimates = true;
  odd.run(x, 1);
  EXPECT_EQ(odd.not_finite, 1u);
}

TEST(CudaScreen, WideRows) {
  Screened screened(random_head(BN_DT_F16, 64, 16384, 1));
  const std::vector<float> x = random_hidden(16384, 2);
  screened.run(x, 2);
  screened.expect_kit(x);
}

TEST(CudaScreen, WhatCanBeScreened) {
  EXPECT_TRUE(can_screen(BN_DT_F16, 128256, 2560, 1024));
  EXPECT_FALSE(can_screen(BN_DT_F16, 128256, 2564, 1));
  EXPECT_FALSE(can_screen(BN_DT_F16, 128256, 16392, 1));
  EXPECT_FALSE(can_screen(BN_DT_Q6_K, 128256, 2560, 1));
  EXPECT_FALSE(can_screen(BN_DT_F16, 128256, 2560, 1025));
  EXPECT_FALSE(can_screen(BN_DT_F16, 300, 2560, 10));
}

TEST(CudaScreen, TiesGoToTheLowerId) {
  TestHead head = random_head(BN_DT_F16, 1000, 64, 3);
  const std::vector<float> x = random_hidden(64, 4);
  const std::vector<float> logits = kit_logits(head, x);
  const auto best = bn::kit::top_candidates(logits.data(), 1000, 2);
  for (const uint32_t r : {997u, 3u, 31u, 32u, 640u}) head.copy_row(static_cast<uint32_t>(best[0].id), r);
  for (const uint32_t r : {1u, 2u, 500u}) head.copy_row(static_cast<uint32_t>(best[1].id), r);
  Screened screened(head);
  for (const uint32_t k : {1u, 3u, 5u, 7u, 30u}) {
    screened.run(x, k);
    screened.expect_kit(x);
  }
}

TEST(CudaScreen, ManyEqualRowsNeedAllLogits) {
  TestHead head = random_head(BN_DT_F32, 2100, 64, 5);
  const std::vector<float> x = random_hidden(64, 6);
  for (uint32_t r = 1; r < kMaxCandidates; ++r) head.copy_row(0, r);
  for (uint32_t r = kMaxCandidates; r < 2100; ++r) {
    for (uint32_t c = 0; c < 64; ++c) head.put(r, c, -x[c]);
  }
  for (uint32_t c = 0; c < 64; ++c) head.put(0, c, x[c]);
  for (uint32_t r = 1; r < kMaxCandidates; ++r) head.copy_row(0, r);
  Screened most(head);  // exactly as many as can be
  most.run(x, 3);
  EXPECT_EQ(most.args.vector->n_candidates, kMaxCandidates);
  most.expect_kit(x);
  head.copy_row(0, 2099);
  Screened more(head);
  for (const uint32_t k : {1u, 3u}) {
    more.run(x, k);
    EXPECT_EQ(more.overflow, 1u);
    EXPECT_EQ(more.top_id[0], kUntouched);
  }
}

// One huge element takes all codes of a row; x is nearly nothing there.
TEST(CudaScreen, RowsThatInt8KeepsBadly) {
  TestHead head = random_head(BN_DT_F32, 1000, 64, 7);
  std::vector<float> x = random_hidden(64, 8);
  x[5] = 1e-4f;
  for (uint32_t r = 0; r < 1000; r += 9) head.put(r, 5, 100.0f);
  Screened screened(head);
  for (const uint32_t k : {1u, 20u}) {
    screened.run(x, k);
    screened.expect_kit(x);
    EXPECT_GT(screened.args.vector->n_candidates, 100u);  // 112 rows of which little is known
  }
}

TEST(CudaScreen, VectorsWithoutABoundNeedAllLogits) {
  Screened screened(random_head(BN_DT_F16, 300, 64, 9));
  for (const float odd : {std::nanf(""), kInfinity, -kInfinity, 2e30f}) {
    std::vector<float> x = random_hidden(64, 10);
    x[63] = odd;
    screened.run(x, 1);
    EXPECT_EQ(screened.overflow, 1u) << odd;
    EXPECT_EQ(screened.top_id[0], kUntouched);
  }
  screened.run(std::vector<float>(64, 0.0f), 3);
  EXPECT_EQ(screened.overflow, 1u);
  screened.run(std::vector<float>(64, 1e-31f), 3);
  EXPECT_EQ(screened.overflow, 1u);
}

// Rows whose logits may be infinite are always computed, wherever the best ones are.
TEST(CudaScreen, WeightsThatAreNotFiniteAreReported) {
  for (const float odd : {std::nanf(""), -std::nanf(""), kInfinity, -kInfinity, 3e38f}) {
    TestHead head = random_head(BN_DT_F32, 300, 64, 11);
    for (uint32_t c = 0; c < 64; ++c) head.put(299, c, odd);
    Screened screened(head);
    const std::vector<float> x(64, 2.0f);
    screened.run(x, 1);
    EXPECT_EQ(screened.not_finite, 1u) << odd;
  }
}

TEST(CudaScreen, LargeProductsAreComputedAndCanBeFinite) {
  TestHead head = random_head(BN_DT_F32, 300, 64, 12);
  for (uint32_t c = 0; c < 64; ++c) {
    head.put(17, c, c % 2 == 0 ? 1e8f : -1e8f);
    head.put(18, c, 1e7f);
  }
  Screened screened(head);
  const std::vector<float> x(64, 1e29f);
  screened.run(x, 2);
  EXPECT_EQ(screened.top_id[0], 18);
  EXPECT_EQ(screened.args.upper[17], kInfinity);
  screened.expect_kit(x);
}

TEST(CudaScreen, ADamagedCopyIsNoticed) {
  Screened screened(random_head(BN_DT_F16, 300, 64, 13));
  for (uint32_t r = 0; r < 300; ++r) screened.table.error[r] = screened.table.norm[r] = 0;
  uint32_t noticed = 0;
  for (uint32_t seed = 0; seed < 16; ++seed) {
    screened.run(random_hidden(64, seed), 1);
    noticed += screened.overflow;
  }
  EXPECT_GT(noticed, 3u);
}

// --------------------------------------------------------------------------------------------------------- the bound
TEST(CudaScreenBound, HoldsForRandomRows) {
  std::mt19937 random(14);
  const auto anything = [&](float low, float high) {  // magnitudes spread over their logarithm
    const float magnitude = std::exp2(std::uniform_real_distribution<float>(low, high)(random));
    return random() % 2 == 0 ? magnitude : -magnitude;
  };
  const float spans[][4] = {{-3, 3, -3, 3}, {-140, -90, -5, 40}, {-149, -120, -80, 20}, {20, 90, -20, 12}, {-60, 30, -60, 30}};
  for (const auto& s : spans) {
    for (const uint32_t cols : {64u, 264u, 600u}) {
      TestHead head = random_head(BN_DT_F32, 600, cols, cols);
      for (uint32_t r = 0; r < head.rows; ++r) {
        for (uint32_t c = 0; c < cols; ++c) head.put(r, c, anything(s[0], s[1]));
      }
      std::vector<float> x(cols);
      for (float& v : x) v = anything(s[2], s[3]);
      Screened screened(head);
      screened.run(x, 1);
      screened.expect_bounds(x);
    }
  }
}

TEST(CudaScreenBound, IsNarrow) {
  Screened screened(random_head(BN_DT_F16, 320, 2560, 15));
  const std::vector<float> x = random_hidden(2560, 16);
  screened.run(x, 1);
  // Half a step of 127 in each element, spread evenly: |d| is sqrt(1/3)/254 of the largest |w|, about 3.6 sigma.
  const double mean = screened.expect_bounds(x) / 320, products = 0.05 * std::sqrt(2560.0) * 1.5 * std::sqrt(2560.0);
  EXPECT_LT(mean, 2 * 0.01 * products);
}

// x along what the codes of row 0 miss.
TEST(CudaScreenBound, CoversWhatTheCodesMiss) {
  Screened screened(random_head(BN_DT_F32, 64, 320, 17));
  std::vector<float> x(320);
  for (const float sign : {1.0f, -1.0f}) {
    for (uint32_t c = 0; c < 320; ++c) {
      float w;
      std::memcpy(&w, &screened.head.table[4 * c], 4);
      x[c] = sign * (w - screened.table.scale[0] * static_cast<float>(screened.table.q[c]));
    }
    screened.run(x, 1);
    screened.expect_bounds(x);
  }
}

// Rows of +-1, which codes keep exactly, along what 16 bits miss of x.
TEST(CudaScreenBound, CoversWhatTheDigitsMiss) {
  TestHead head = random_head(BN_DT_F16, 64, 320, 18);
  std::vector<float> x = random_hidden(320, 19);
  float largest = 0;
  for (const float v : x) largest = std::max(largest, std::fabs(v));
  const double step = static_cast<double>(largest / 32512.0f);
  for (uint32_t c = 0; c < 320; ++c) {
    const double left = static_cast<double>(x[c]) / step - std::nearbyint(static_cast<double>(x[c]) / step);
    head.put(0, c, left > 0 ? 127.0f : -127.0f);
    head.put(1, c, left > 0 ? -127.0f : 127.0f);
  }
  Screened screened(head);
  screened.run(x, 1);
  EXPECT_EQ(screened.table.error[0], 0.0f);
  screened.expect_bounds(x);
}

// Codes and digits are exact here: what is left are the roundings of the logit itself.
void expect_rounding_is_covered(float weight_unit, float x_unit) {
  std::mt19937 random(20);
  TestHead head = random_head(BN_DT_F32, 256, 1000, 21);
  std::vector<float> x(1000);
  for (float& v : x) v = x_unit * static_cast<float>(static_cast<int32_t>(random() % 65025) - 32512);
  x[3] = x_unit * 32512;
  for (uint32_t r = 0; r < head.rows; ++r) {
    for (uint32_t c = 0; c < 1000; ++c) {
      head.put(r, c, weight_unit * static_cast<float>(c == 0 ? 127 : static_cast<int32_t>(random() % 255) - 127));
    }
  }
  Screened screened(head);
  screened.run(x, 1);
  EXPECT_EQ(screened.table.error[7], 0.0f);
  screened.expect_bounds(x);
}
TEST(CudaScreenBound, CoversTheRoundingsOfTheSum) { expect_rounding_is_covered(0x1p-7f, 1.0f); }
TEST(CudaScreenBound, CoversResultsBelowTheNormalNumbers) { expect_rounding_is_covered(0x1p-70f, 0x1p-99f); }

}  // namespace
}  // namespace bn_cuda
