// kernel/dense_test.cpp - embedding and output head: every dtype the plugin offers against the reference body.
#include <algorithm>
#include <string>
#include <vector>

#include "bitnet/kit/dense_rows.hpp"
#include "kernel/compare.h"
#include "kernel/plugin_under_test.h"
#include "kernel/random.h"

namespace bitnet::kernel_test {
namespace {

using bn::kit::f32_to_f16;

struct Case {
  uint32_t dtype, rows, cols, m, gap = 0;
  std::string text() const {
    return "dtype " + std::to_string(dtype) + " " + std::to_string(rows) + "x" + std::to_string(cols) +
           " m=" + std::to_string(m) + " gap=" + std::to_string(gap);
  }
};

void put_f16(uint8_t* at, float x) {
  const uint16_t h = f32_to_f16(x);
  at[0] = static_cast<uint8_t>(h & 0xFF);
  at[1] = static_cast<uint8_t>(h >> 8);
}

// One block of random valid storage: any bits for codes, finite values where the format holds floats.
void random_block(uint32_t dtype, uint8_t* block, uint32_t bytes, Random& random) {
  for (uint32_t i = 0; i < bytes; ++i) block[i] = static_cast<uint8_t>(random.bits() >> 24);
  switch (dtype) {
    case BN_DT_F32: {
      const float x = random.normal();
      std::memcpy(block, &x, 4);
      break;
    }
    case BN_DT_F16:  // any half but infinities and NaN; subnormals and both zeros occur
      if ((block[1] & 0x7C) == 0x7C) block[1] = static_cast<uint8_t>(block[1] & ~0x04);
      break;
    case BN_DT_BF16: {
      const uint32_t u = bn::kit::bits_of(random.normal());
      block[0] = static_cast<uint8_t>(u >> 16);
      block[1] = static_cast<uint8_t>(u >> 24);
      break;
    }
    case BN_DT_Q8_0:
    case BN_DT_Q4_0:
      put_f16(block, random.normal() * 0.01f);
      break;
    case BN_DT_Q4_K:
    case BN_DT_Q5_K:
      put_f16(block, random.normal() * 0.01f);
      put_f16(block + 2, random.normal() * 0.01f);
      break;
    case BN_DT_Q6_K:
      put_f16(block + 208, random.normal() * 0.01f);
      break;
    default:
      break;
  }
}

std::vector<uint8_t> random_rows(const Case& c) {
  const bn::kit::DenseDtype storage = bn::kit::dense_dtype(c.dtype);
  std::vector<uint8_t> data(bn::kit::dense_row_bytes(c.dtype, c.cols) * c.rows);
  Random random(c.dtype * 7919 + c.cols);
  for (size_t i = 0; i < data.size(); i += storage.bytes) random_block(c.dtype, &data[i], storage.bytes, random);
  return data;
}

class DenseTest : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    BITNET_NEEDS_OP(dense);
  }
  std::vector<uint32_t> dtypes(uint32_t block) const {
    std::vector<uint32_t> result;
    for (uint32_t d = 0; d < 64; ++d) {
      if ((plugin().dense_dtypes >> d & 1) != 0 && bn::kit::dense_dtype(d).block == block) result.push_back(d);
    }
    return result;
  }
  void check(const Case& c);
};

size_t align_of(uint32_t dtype) { return dtype == BN_DT_F32 ? 4 : dtype == BN_DT_I8_ROW ? 1 : 2; }

void DenseTest::check(const Case& c) {
  SCOPED_TRACE(c.text());
  Random random(c.m);
  const uint32_t x_stride = c.cols + c.gap, y_stride = c.rows + c.gap;
  const std::vector<float> x = random.normals(static_cast<size_t>(c.m - 1) * x_stride + c.cols);
  const std::vector<float> row_scales = random.normals(c.dtype == BN_DT_I8_ROW ? c.rows : 0, 0.02f);
  const std::vector<uint8_t> data = random_rows(c);
  bn_tensor w = {};
  w.struct_size = sizeof w;
  w.role = BN_T_OUTPUT;
  w.layer = BN_NO_LAYER;
  w.dtype = c.dtype;
  w.rows = c.rows;
  w.cols = c.cols;
  w.n_scales = static_cast<uint32_t>(row_scales.size());
  w.scales = row_scales.data();
  w.data = data.data();
  w.bytes = data.size();
  std::vector<float> expected = untouched<float>(static_cast<size_t>(c.m - 1) * y_stride + c.rows);
  bn_dense op = {sizeof(bn_dense), c.m, &w, x.data(), expected.data(), x_stride, y_stride};
  ASSERT_EQ(reference().dense(nullptr, &op, 0, c.rows, nullptr), BN_OK);

  for (const Edge edge : kBothEdges) {
    const Input<uint8_t> guarded_data(data, edge, align_of(c.dtype));
    const Input<float> guarded_scales(row_scales, edge), guarded_x(x, edge);
    w.data = guarded_data.data();
    w.scales = guarded_scales.data();
    op.x = guarded_x.data();
    const auto memory = scratch(edge);
    for (const std::vector<Range>& cut : ways_to_cut(c.rows, plugin().row_granule)) {
      std::vector<float> wanted = untouched<float>(expected.size());
      for (uint32_t t = 0; t < c.m; ++t) {
        const size_t row = static_cast<size_t>(t) * y_stride;
        for (const auto& [r0, r1] : cut) std::copy(&expected[row + r0], &expected[row + r0] + (r1 - r0), &wanted[row + r0]);
      }
      const Guarded<float> y(untouched<float>(expected.size()), edge);
      op.y = y.data();
      quietly([&] {
        for (const auto& [r0, r1] : cut) ASSERT_EQ(plugin().dense(device(), &op, r0, r1, memory->data()), BN_OK);
      });
      ASSERT_TRUE(same_bits(wanted, y)) << "pieces=" << cut.size() << " from row " << cut[0].first;
      ASSERT_TRUE(memory->slack_intact()) << "bytes outside scratch were written";
    }
  }
}

TEST_P(DenseTest, PlainRowsOfEveryLength) {
  for (const uint32_t dtype : dtypes(1)) {
    for (const uint32_t cols : {1u,   7u,   8u,   15u,  16u,  17u,  31u,  32u,  100u, 127u,  128u, 240u,
                                255u, 256u, 257u, 271u, 272u, 320u, 511u, 512u, 513u, 1000u, 2560u}) {
      check({dtype, 9, cols, 1});
      check({dtype, 5, cols, 3, 5});
    }
  }
}

TEST_P(DenseTest, BlocksOf32) {
  for (const uint32_t dtype : dtypes(32)) {
    for (const uint32_t cols : {32u, 64u, 96u, 224u, 256u, 288u, 320u, 512u, 544u, 2560u}) {
      check({dtype, 9, cols, 1});
      check({dtype, 5, cols, 3, 5});
    }
  }
}

TEST_P(DenseTest, BlocksOf256) {
  for (const uint32_t dtype : dtypes(256)) {
    for (const uint32_t cols : {256u, 512u, 768u, 2560u}) {
      check({dtype, 9, cols, 1});
      check({dtype, 5, cols, 3, 5});
    }
  }
}

TEST_P(DenseTest, EveryTokenAndRowCount) {
  for (const uint32_t block : {1u, 32u, 256u}) {
    for (const uint32_t dtype : dtypes(block)) {
      for (const uint32_t m : {1u, 2u, 4u, 5u, 6u, 7u, 8u, 17u, 33u}) check({dtype, 6, 512, m});
      for (const uint32_t rows : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 13u, 67u}) check({dtype, rows, 256, 2});
    }
  }
}

TEST_P(DenseTest, ManyRows) {
  for (const uint32_t dtype : dtypes(1)) {
    for (const uint32_t cols : {256u, 2560u}) check({dtype, 64, cols, 2});
  }
}

BITNET_FOR_EVERY_PLUGIN(DenseTest);

}  // namespace
}  // namespace bitnet::kernel_test
