// kernel/matmul_test.cpp - the ternary product of a plugin against the reference body.
#include <algorithm>
#include <string>
#include <vector>

#include "kernel/compare.h"
#include "kernel/plugin_under_test.h"
#include "kernel/ternary_matrix.h"

namespace bitnet::kernel_test {
namespace {

struct Case {
  Layout layout = Layout::kT2;
  uint32_t rows = 1, cols = 1, m = 1;
  bool scale_per_row = false;
  Trits trits = Trits::kRandom;
  Codes codes = Codes::kRandom;
  uint32_t gap = 0;  // floats between rows of y, bytes between rows of x

  std::string text() const {
    return std::string(layout == Layout::kT2 ? "t2 " : "i2s128 ") + std::to_string(rows) + "x" + std::to_string(cols) +
           " m=" + std::to_string(m) + " scales=" + (scale_per_row ? "rows" : "one") + " gap=" + std::to_string(gap);
  }
};

class MatmulTest : public KernelTest {
 protected:
  // Runs one case with both placements of the guard pages and every way to cut the rows.
  void check(const Case& c);

  // The reference's result for all rows.
  std::vector<float> expected(const Case& c, const TernaryMatrix& w, const Activations& x) const;
};

bn_matmul arguments(const Case& c, const bn_tensor* w, const void* packed, const Activations& a, float* y) {
  bn_matmul op = {};
  op.struct_size = sizeof op;
  op.m = c.m;
  op.w = w;
  op.packed = packed;
  op.x = a.x.data();
  op.x_scale = a.scale.data();
  op.x_sum = a.sum.data();
  op.y = y;
  op.x_stride = a.stride;
  op.y_stride = c.rows + c.gap;
  return op;
}

std::vector<float> empty_output(const Case& c) {
  return untouched<float>(static_cast<size_t>(c.m - 1) * (c.rows + c.gap) + c.rows);
}

std::vector<float> MatmulTest::expected(const Case& c, const TernaryMatrix& w, const Activations& a) const {
  std::vector<float> y = empty_output(c);
  std::vector<uint8_t> memory = reference_scratch();
  const bn_matmul op = arguments(c, &w.tensor, w.tensor.data, a, y.data());
  reference().matmul(nullptr, &op, 0, c.rows, memory.data());
  return y;
}

// What is left of `all` if only the rows of `cut` are computed.
std::vector<float> only(const Case& c, const std::vector<float>& all, const std::vector<Range>& cut) {
  std::vector<float> y = empty_output(c);
  for (uint32_t t = 0; t < c.m; ++t) {
    const size_t row = static_cast<size_t>(t) * (c.rows + c.gap);
    for (const auto& [r0, r1] : cut) std::copy(&all[row + r0], &all[row + r0] + (r1 - r0), &y[row + r0]);
  }
  return y;
}

void MatmulTest::check(const Case& c) {
  SCOPED_TRACE(c.text());
  const Activations a(c.m, c.cols, plugin().k_align, c.gap, c.codes, c.cols * 1000 + c.m);
  for (const Edge edge : kBothEdges) {
    const TernaryMatrix w(c.layout, c.rows, c.cols, c.trits, c.scale_per_row ? c.rows : 1, c.rows + c.cols, edge);
    const PreparedMatrix prepared(device(), plugin(), w, edge);
    ASSERT_EQ(prepared.failure, "");
    if (c.layout == Layout::kI2s128 && prepared.answer == BN_NO) return;  // the runtime converts to bn.t2
    ASSERT_NE(prepared.packed, nullptr) << "everybody accepts bn.t2 of any shape";
    const Input<int8_t> x(a.x, edge);
    const Input<float> scale(a.scale, edge);
    const Input<int32_t> sum(a.sum, edge);
    const std::vector<float> all = expected(c, w, a);
    const auto memory = scratch(edge);
    for (const std::vector<Range>& cut : ways_to_cut(c.rows, plugin().row_granule)) {
      const Guarded<float> y(empty_output(c), edge);
      bn_matmul op = arguments(c, &prepared.tensor, prepared.packed, a, y.data());
      op.x = x.data();
      op.x_scale = scale.data();
      op.x_sum = sum.data();
      quietly([&] {
        for (const auto& [r0, r1] : cut) ASSERT_EQ(plugin().matmul(device(), &op, r0, r1, memory->data()), BN_OK);
      });
      ASSERT_TRUE(same_bits(only(c, all, cut), y)) << "pieces=" << cut.size() << " from row " << cut[0].first;
      ASSERT_TRUE(memory->slack_intact()) << "bytes outside scratch were written";
    }
  }
}

TEST_P(MatmulTest, I2s128EveryTokenCount) {
  for (const uint32_t m : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 16u, 17u, 33u, 64u, 130u}) {
    for (const uint32_t cols : {128u, 384u, 2560u}) check({Layout::kI2s128, 33, cols, m});
  }
}

TEST_P(MatmulTest, I2s128EveryShape) {
  for (const uint32_t cols : {128u, 256u, 384u, 512u, 640u, 896u, 1024u, 2560u, 4096u, 6912u}) {
    for (const uint32_t rows : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 15u, 16u, 31u, 70u}) {
      check({Layout::kI2s128, rows, cols, 1});
      check({Layout::kI2s128, rows, cols, 5, true, Trits::kRandom, Codes::kRandom, 3});
    }
  }
}

TEST_P(MatmulTest, T2EveryTokenCount) {
  for (const uint32_t m : {1u, 2u, 3u, 5u, 8u, 17u, 33u, 130u}) {
    for (const uint32_t cols : {100u, 320u, 2560u}) check({Layout::kT2, 19, cols, m});
  }
}

TEST_P(MatmulTest, T2EveryShape) {
  for (const uint32_t cols :
       {1u, 2u, 3u, 4u, 5u, 7u, 31u, 33u, 63u, 100u, 127u, 128u, 129u, 255u, 257u, 320u, 480u, 3200u, 6912u, 8640u}) {
    for (const uint32_t rows : {1u, 3u, 5u, 7u, 16u, 37u}) {
      check({Layout::kT2, rows, cols, 1});
      check({Layout::kT2, rows, cols, 3, true, Trits::kRandom, Codes::kRandom, 7});
    }
  }
}

TEST_P(MatmulTest, ScalePerRow) {
  for (const Layout layout : {Layout::kT2, Layout::kI2s128}) {
    for (const uint32_t m : {1u, 4u, 17u}) check({layout, 41, 640, m, true});
  }
}

TEST_P(MatmulTest, ManyRows) {
  check({Layout::kI2s128, 1283, 256, 1});
  check({Layout::kI2s128, 515, 384, 6, true});
  check({Layout::kT2, 1283, 200, 2});
}

TEST_P(MatmulTest, ExtremesDoNotOverflow) {
  for (const Trits trits : {Trits::kAllPlus, Trits::kAllMinus, Trits::kAllZero, Trits::kRandom}) {
    for (const Codes codes : {Codes::kAll127, Codes::kAllMinus127, Codes::kAlternating}) {
      for (const Layout layout : {Layout::kT2, Layout::kI2s128}) {
        for (const uint32_t m : {1u, 3u, 8u}) {
          check({layout, 5, 8192, m, false, trits, codes});
          check({layout, 3, 65536, m, false, trits, codes});
        }
      }
    }
  }
}

TEST_P(MatmulTest, LargestK) {
  for (const Trits trits : {Trits::kAllPlus, Trits::kRandom}) {
    check({Layout::kT2, 2, BN_K_MAX, 2, false, trits, Codes::kAll127});
    check({Layout::kI2s128, 2, BN_K_MAX, 2, false, trits, Codes::kAll127});
    check({Layout::kT2, 2, BN_K_MAX - 1, 1, false, trits, Codes::kAll127});
  }
}

// One weight against one activation: every column must meet its own partner.
TEST_P(MatmulTest, EveryColumnHasItsPlace) {
  constexpr uint32_t kCols = 384;
  for (const Layout layout : {Layout::kT2, Layout::kI2s128}) {
    const TernaryMatrix w(layout, 16, kCols, Trits::kRandom, 1, 5, Edge::kEnd);
    const PreparedMatrix prepared(device(), plugin(), w, Edge::kEnd);
    if (prepared.answer == BN_NO) continue;
    const Case c = {layout, 16, kCols, 1};
    const auto memory = scratch(Edge::kEnd);
    for (uint32_t column = 0; column < kCols; ++column) {
      Activations a(1, kCols, plugin().k_align, 0, Codes::kRandom, 1);
      std::fill(a.x.begin(), a.x.end(), 0);
      a.x[column] = 1;
      a.sum[0] = 1;
      a.scale[0] = 1.0f;
      const Guarded<float> y(empty_output(c), Edge::kEnd);
      const bn_matmul op = arguments(c, &prepared.tensor, prepared.packed, a, y.data());
      ASSERT_EQ(plugin().matmul(device(), &op, 0, c.rows, memory->data()), BN_OK);
      ASSERT_TRUE(same_bits(expected(c, w, a), y)) << c.text() << " column " << column;
    }
  }
}

TEST_P(MatmulTest, EmptyRangeWritesNothing) {
  const Case c = {Layout::kT2, 8, 128, 2};
  const TernaryMatrix w(c.layout, c.rows, c.cols, c.trits, 1, 1, Edge::kEnd);
  const PreparedMatrix prepared(device(), plugin(), w, Edge::kEnd);
  const Activations a(c.m, c.cols, plugin().k_align, 0, c.codes, 1);
  const Guarded<float> y(empty_output(c), Edge::kEnd);
  const bn_matmul op = arguments(c, &prepared.tensor, prepared.packed, a, y.data());
  const auto memory = scratch(Edge::kEnd);
  EXPECT_EQ(plugin().matmul(device(), &op, 0, 0, memory->data()), BN_OK);
  EXPECT_TRUE(same_bits(empty_output(c), y));
}

BITNET_FOR_EVERY_PLUGIN(MatmulTest);

}  // namespace
}  // namespace bitnet::kernel_test
