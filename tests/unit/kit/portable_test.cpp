// unit/kit/portable_test.cpp - the portable kernels with and without hardware FMA give the same bits.
#include "bitnet/kit/portable.h"

#include <gtest/gtest.h>

#include <vector>

#include "bitnet/kit/dense_rows.hpp"
#include "bitnet/kit/ternary.hpp"
#include "kernel/compare.h"
#include "kernel/random.h"

namespace bitnet::kit_test {
namespace {

using kernel_test::Random;
using kernel_test::same_bits;

const bn_kernels_v1* const kBoth[] = {bn_portable_kernels(), bn_portable_kernels_baseline()};

TEST(Portable, BothTablesSayTheSame) {
  EXPECT_EQ(kBoth[0]->numerics, static_cast<uint32_t>(BN_EXACT_1));
  EXPECT_EQ(kBoth[0]->dense_dtypes, kBoth[1]->dense_dtypes);
  EXPECT_EQ(kBoth[0]->scratch_bytes, kBoth[1]->scratch_bytes);
#if defined(__x86_64__)
  const bool fma = __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
  EXPECT_EQ(kBoth[0] != kBoth[1], fma) << "the table with FMA is chosen where the machine has it";
#endif
}

TEST(Portable, Dense) {
  Random random(1);
  for (uint32_t dtype = 0; dtype < 64; ++dtype) {
    if ((kBoth[0]->dense_dtypes >> dtype & 1) == 0) continue;
    constexpr uint32_t kRows = 7, kCols = 2560;
    std::vector<uint8_t> data(bn::kit::dense_row_bytes(dtype, kCols) * kRows);
    for (uint8_t& b : data) b = static_cast<uint8_t>(random.bits() >> 25);  // top bit clear: most floats stay finite
    const std::vector<float> x = random.normals(2 * kCols), scales = random.normals(kRows);
    bn_tensor w = {};
    w.struct_size = sizeof w;
    w.dtype = dtype;
    w.rows = kRows;
    w.cols = kCols;
    w.n_scales = kRows;
    w.scales = scales.data();
    w.data = data.data();
    std::vector<float> y[2] = {std::vector<float>(2 * kRows), std::vector<float>(2 * kRows)};
    for (int k = 0; k < 2; ++k) {
      const bn_dense op = {sizeof(bn_dense), 2, &w, x.data(), y[k].data(), kCols, kRows};
      ASSERT_EQ(kBoth[k]->dense(nullptr, &op, 0, kRows, nullptr), BN_OK);
    }
    EXPECT_TRUE(same_bits(y[0].data(), y[1].data(), y[0].size())) << "dtype " << dtype;
  }
}

TEST(Portable, Norm) {
  for (const float scale : {1e-20f, 1.0f, 1e20f}) {
    constexpr uint32_t kN = 2560;
    const std::vector<float> x = Random(1).normals(kN, scale), gain = Random(2).normals(kN);
    std::vector<float> y[2] = {std::vector<float>(kN), std::vector<float>(kN)};
    std::vector<int8_t> q[2] = {std::vector<int8_t>(kN), std::vector<int8_t>(kN)};
    float q_scale[2];
    int32_t sum[2];
    for (int k = 0; k < 2; ++k) {
      const bn_norm op = {sizeof(bn_norm), kN,          1e-5f,       kN,          kN,          kN,
                          x.data(),        gain.data(), y[k].data(), q[k].data(), &q_scale[k], &sum[k]};
      ASSERT_EQ(kBoth[k]->norm(nullptr, &op, 0, 1, nullptr), BN_OK);
    }
    EXPECT_TRUE(same_bits(y[0].data(), y[1].data(), kN));
    EXPECT_EQ(q[0], q[1]);
    EXPECT_TRUE(same_bits(&q_scale[0], &q_scale[1], 1));
    EXPECT_EQ(sum[0], sum[1]);
  }
}

TEST(Portable, Rope) {
  constexpr uint32_t kDim = 128;
  const std::vector<float> before = Random(1).normals(kDim), angles = Random(2).normals(kDim);
  std::vector<float> x[2] = {before, before};
  for (int k = 0; k < 2; ++k) {
    const bn_rope op = {sizeof(bn_rope), BN_ROPE_HALVES, 1, kDim, kDim, 0, kDim, 0, x[k].data(), &angles[0], &angles[64]};
    ASSERT_EQ(kBoth[k]->rope(nullptr, &op, 0, 1, 0, 1, nullptr), BN_OK);
  }
  EXPECT_TRUE(same_bits(x[0].data(), x[1].data(), kDim));
  EXPECT_NE(x[0], before);
}

TEST(Portable, Attention) {
  constexpr uint32_t kDim = 100, kHeads = 4, kTokens = 3, kPos0 = 250;
  const std::vector<float> k = Random(1).normals(2 * BN_KV_PAGE * kDim), v = Random(2).normals(k.size());
  for (const float size : {0.1f, 1.0f, 30.0f}) {
    const std::vector<float> q = Random(3).normals(kTokens * kHeads * kDim, size);
    const void* k_pages[] = {&k[0], &k[BN_KV_PAGE * kDim]};
    const void* v_pages[] = {&v[0], &v[BN_KV_PAGE * kDim]};
    std::vector<float> y[2] = {std::vector<float>(q.size()), std::vector<float>(q.size())};
    for (int i = 0; i < 2; ++i) {
      const bn_attn op = {sizeof(bn_attn), kHeads,        1,    kDim,     kPos0,   0,       BN_DT_F32,  kDim, kDim,
                          kHeads * kDim,   kHeads * kDim, 0.1f, q.data(), k_pages, v_pages, y[i].data()};
      ASSERT_EQ(kBoth[i]->attention(nullptr, &op, 0, kTokens, 0, kHeads, nullptr), BN_OK);
    }
    EXPECT_TRUE(same_bits(y[0].data(), y[1].data(), q.size())) << size;
  }
}

TEST(Portable, Glu) {
  Random random(1);
  std::vector<float> gate = random.normals(20000, 20.0f), up = random.normals(20000);
  for (size_t i = 0; i < 5000; ++i) gate[i] = bn::kit::float_of(random.bits());
  for (const uint32_t act :
       {static_cast<uint32_t>(BN_ACT_RELU2), static_cast<uint32_t>(BN_ACT_SILU), static_cast<uint32_t>(BN_ACT_GELU_TANH)}) {
    const uint32_t n = static_cast<uint32_t>(gate.size());
    std::vector<float> y[2] = {std::vector<float>(n), std::vector<float>(n)};
    for (int k = 0; k < 2; ++k) {
      const bn_glu op = {sizeof(bn_glu), act, n, n, n, 0, gate.data(), up.data(), y[k].data()};
      ASSERT_EQ(kBoth[k]->glu(nullptr, &op, 0, 1, 0, n, nullptr), BN_OK);
    }
    EXPECT_TRUE(same_bits(y[0].data(), y[1].data(), n)) << act;
  }
}

TEST(Portable, Matmul) {
  constexpr uint32_t kRows = 9, kCols = 1000, kTokens = 3;
  Random random(1);
  std::vector<uint8_t> packed(kRows * kCols / 4);
  std::vector<int8_t> row(kCols), x(kTokens * kCols);
  for (uint32_t r = 0; r < kRows; ++r) {
    for (int8_t& w : row) w = random.trit();
    bn::kit::write_row_t2(row.data(), kCols, &packed[r * kCols / 4]);
  }
  for (int8_t& c : x) c = random.code();
  bn_format format = {};
  const uint8_t fingerprint[] = BN_FINGERPRINT_T2;
  std::memcpy(format.fingerprint, fingerprint, 16);
  const std::vector<float> scales = random.normals(kRows), x_scale = random.normals(kTokens);
  bn_tensor w = {};
  w.rows = kRows;
  w.cols = kCols;
  w.n_scales = kRows;
  w.scales = scales.data();
  w.format = &format;
  std::vector<uint8_t> scratch(kBoth[0]->scratch_bytes);
  std::vector<float> y[2] = {std::vector<float>(kTokens * kRows), std::vector<float>(kTokens * kRows)};
  for (int k = 0; k < 2; ++k) {
    const bn_matmul op = {sizeof(bn_matmul), kTokens, &w,          packed.data(), x.data(),
                          x_scale.data(),    nullptr, y[k].data(), kCols,         kRows};
    ASSERT_EQ(kBoth[k]->matmul(nullptr, &op, 0, kRows, scratch.data()), BN_OK);
  }
  EXPECT_TRUE(same_bits(y[0].data(), y[1].data(), y[0].size()));
}

}  // namespace
}  // namespace bitnet::kit_test
