// kernel/cuda/head_full_test.cpp - all logits and the best k of them, emulated, against the kit: the same bits.
#include <gtest/gtest.h>

#include "bitnet/kit/sampler.hpp"
#include "emulation/block.h"
#include "head_data.h"

namespace bn_cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What the kernel gives; the memory begins as 0xFF bytes.
std::vector<float> device_logits(const TestHead& head, const std::vector<float>& x, std::vector<uint32_t>& not_finite) {
  const size_t tokens = x.size() / head.cols;
  std::vector<float> y(tokens * head.rows, bn::kit::float_of(0xFFFFFFFFu));
  not_finite.assign(tokens, 0);
  const HeadArgs args = head.args(x, y.data(), not_finite.data());
  emulation::launch(head_kernel(args), head_shape(args), &args);
  return y;
}

void expect_kit_logits(const TestHead& head, uint32_t tokens) {
  const std::vector<float> x = random_hidden(size_t{tokens} * head.cols, head.rows + tokens);
  std::vector<uint32_t> not_finite;
  const std::vector<float> got = device_logits(head, x, not_finite), want = kit_logits(head, x);
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(bn::kit::bits_of(got[i]), bn::kit::bits_of(want[i]))
        << "dtype " << head.dtype << ", " << head.rows << " x " << head.cols << ", token " << i / head.rows << ", row "
        << i % head.rows << ": " << got[i] << " instead of " << want[i];
  }
  EXPECT_EQ(not_finite, std::vector<uint32_t>(tokens, 0));
}

TEST(CudaHead, EveryDtypeAndWidth) {
  for (const uint32_t dtype : kDenseDtypes) {
    for (const uint32_t cols : {64u, 200u, 320u, 2560u}) {
      if (cols % bn::kit::dense_dtype(dtype).block != 0) continue;
      expect_kit_logits(random_head(dtype, cols == 2560 ? 70 : 300, cols, cols), 1);
    }
    if (bn::kit::dense_dtype(dtype).block == 256) expect_kit_logits(random_head(dtype, 130, 512, 1), 2);
  }
}

TEST(CudaHead, WidthsThatAreNoMultipleOfEight) {
  for (const uint32_t dtype : {BN_DT_F32, BN_DT_F16, BN_DT_BF16, BN_DT_I8_ROW}) {
    for (const uint32_t cols : {1u, 37u, 261u}) expect_kit_logits(random_head(dtype, 65, cols, cols), 1);
  }
}

TEST(CudaHead, SeveralTokens) {
  for (const uint32_t tokens : {2u, 8u, 11u}) {
    expect_kit_logits(random_head(BN_DT_F16, 67, 1320, 5), tokens);
    expect_kit_logits(random_head(BN_DT_I8_ROW, 67, 200, 6), tokens);
    expect_kit_logits(random_head(BN_DT_Q6_K, 67, 256, 7), tokens);
  }
}

TEST(CudaHead, RowsWiderThanAPieceOfSharedMemory) {
  expect_kit_logits(random_head(BN_DT_BF16, 5, 4096 + 264, 8), 1);
  expect_kit_logits(random_head(BN_DT_BF16, 5, 2048 + 8, 8), 3);
}

TEST(CudaHead, OneScaleForAllRows) {
  TestHead head = random_head(BN_DT_I8_ROW, 70, 64, 3);
  head.scales.resize(1);
  expect_kit_logits(head, 1);
}

TEST(CudaHead, LogitsThatAreNotFiniteAreReported) {
  TestHead head = random_head(BN_DT_F32, 70, 64, 3);
  std::vector<float> x = random_hidden(3 * 64, 4);
  std::vector<uint32_t> not_finite;
  head.put(69, 63, kInfinity);
  device_logits(head, x, not_finite);
  EXPECT_EQ(not_finite, (std::vector<uint32_t>{1, 1, 1}));
  head.put(69, 63, 1.0f);
  x[64 + 7] = std::nanf("");
  device_logits(head, x, not_finite);
  EXPECT_EQ(not_finite, (std::vector<uint32_t>{0, 1, 0}));
}

// ---------------------------------------------------------------------------------------------------- the best k
void expect_kit_top(const std::vector<float>& logits, uint32_t tokens, uint32_t k) {
  const uint32_t n = static_cast<uint32_t>(logits.size() / tokens);
  std::vector<int32_t> id(tokens * k, -1);
  std::vector<float> value(tokens * k, -7.0f);
  const TopArgs args{logits.data(), id.data(), value.data(), n, k};
  emulation::launch(top_kernel(), top_shape(tokens), &args);
  for (uint32_t t = 0; t < tokens; ++t) {
    const auto want = bn::kit::top_candidates(&logits[size_t{t} * n], n, k);
    for (uint32_t i = 0; i < k; ++i) {
      ASSERT_EQ(id[t * k + i], want[i].id) << "place " << i << " of " << k << ", row " << t << ", " << n << " logits";
      ASSERT_EQ(bn::kit::bits_of(value[t * k + i]), bn::kit::bits_of(want[i].logit)) << "place " << i;
    }
  }
}

TEST(CudaTop, EveryKOfRandomLogits) {
  for (const uint32_t n : {1u, 300u, 1000u, 4099u}) {
    const std::vector<float> logits = random_hidden(2 * n, n);
    for (const uint32_t k : {1u, 2u, 40u, 300u, 1000u, 1024u}) {
      if (k <= n) expect_kit_top(logits, 2, k);
    }
  }
}

// More than kMaxCandidates keys reach the first guess: the range is narrowed.
TEST(CudaTop, ManyEqualLogits) {
  std::vector<float> logits(4099, 1.5f);
  for (const uint32_t k : {1u, 40u, 1024u}) expect_kit_top(logits, 1, k);
  for (size_t i = 0; i < logits.size(); i += 7) logits[i] = 2.0f;  // 586 of them
  for (const uint32_t k : {1u, 40u, 586u, 587u, 1024u}) expect_kit_top(logits, 1, k);
}

TEST(CudaTop, GoodLogitsBesideEachOther) {
  std::vector<float> logits(8000);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = i % 1024 < 800 ? -static_cast<float>(i) : -1e6f - static_cast<float>(i);
  for (const uint32_t k : {40u, 801u, 1024u}) expect_kit_top(logits, 1, k);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = i % 1024 < 20 ? 1e-30f * static_cast<float>(i) : -1.0f;
  for (const uint32_t k : {40u, 161u, 1024u}) expect_kit_top(logits, 1, k);
}

TEST(CudaTop, ZerosOfBothSignsAndExtremes) {
  std::vector<float> logits(1400);  // 200 of each
  const float values[] = {0.0f, -0.0f, 1e-45f, -1e-45f, 3.4e38f, -3.4e38f, 1.0f};
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = values[i * 5 % 7];
  for (const uint32_t k : {1u, 401u, 700u, 900u, 1024u}) expect_kit_top(logits, 1, k);
}

}  // namespace
}  // namespace bn_cuda
