// kernel/norm_test.cpp - RMS norm and int8 quantisation against the reference body.
#include <limits>
#include <string>
#include <vector>

#include "kernel/compare.h"
#include "kernel/plugin_under_test.h"
#include "kernel/random.h"

namespace bitnet::kernel_test {
namespace {

struct Case {
  uint32_t n, vectors = 1;
  float eps = 1e-5f;
  bool gain = true, wants_y = true, wants_q = true, in_place = false;
  uint32_t gap = 0;  // between vectors of x, y; q gets at least so much zero padding
  std::string text() const {
    return "n=" + std::to_string(n) + " vectors=" + std::to_string(vectors) + " eps=" + std::to_string(eps) +
           " gain=" + std::to_string(gain) + " y=" + std::to_string(wants_y) + " q=" + std::to_string(wants_q) +
           " in_place=" + std::to_string(in_place) + " gap=" + std::to_string(gap);
  }
};

constexpr float kEpsilons[] = {1e-5f, 0.0f, -1.0f};

class NormTest : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    BITNET_NEEDS_OP(norm);
  }
  // x: [vectors][n + gap], the last one without its gap.
  void check(const Case& c, const std::vector<float>& x);
  void check(const Case& c) { check(c, Random(c.n).normals(static_cast<size_t>(c.vectors - 1) * (c.n + c.gap) + c.n)); }
  // All ways to ask for the result of one vector.
  void check_content(const std::vector<float>& x) {
    for (const float eps : kEpsilons) {
      for (const bool gain : {false, true}) check({static_cast<uint32_t>(x.size()), 1, eps, gain}, x);
    }
  }
};

void NormTest::check(const Case& c, const std::vector<float>& x) {
  SCOPED_TRACE(c.text());
  const uint32_t stride = c.n + c.gap, q_stride = (c.n + c.gap + 15) / 16 * 16;
  const std::vector<float> gain = Random(7).normals(c.n);
  std::vector<float> y = c.in_place ? x : untouched<float>(x.size());
  std::vector<float> q_scale = untouched<float>(c.vectors);
  std::vector<int8_t> q = untouched<int8_t>(static_cast<size_t>(c.vectors) * q_stride);
  std::vector<int32_t> q_sum = untouched<int32_t>(c.vectors);
  const auto y_before = y, q_scale_before = q_scale;
  const auto q_before = q;
  const auto q_sum_before = q_sum;
  bn_norm op = {sizeof(bn_norm),
                c.n,
                c.eps,
                stride,
                stride,
                q_stride,
                x.data(),
                c.gain ? gain.data() : nullptr,
                c.wants_y ? y.data() : nullptr,
                c.wants_q ? q.data() : nullptr,
                q_scale.data(),
                q_sum.data()};
  for (const std::vector<Range>& cut : ways_to_cut(c.vectors, 1)) {
    y = y_before, q = q_before, q_scale = q_scale_before, q_sum = q_sum_before;
    op.x = c.in_place ? y.data() : x.data();
    op.gain = c.gain ? gain.data() : nullptr;
    op.y = c.wants_y ? y.data() : nullptr;
    op.q = c.wants_q ? q.data() : nullptr;
    op.q_scale = q_scale.data();
    op.q_sum = q_sum.data();
    for (const auto& [v0, v1] : cut) ASSERT_EQ(reference().norm(nullptr, &op, v0, v1, nullptr), BN_OK);
    for (const Edge edge : kBothEdges) {
      const Input<float> guarded_x(x, edge), guarded_gain(gain, edge);
      const Guarded<float> out_y(y_before, edge), out_scale(q_scale_before, edge);
      const Guarded<int8_t> out_q(q_before, edge);
      const Guarded<int32_t> out_sum(q_sum_before, edge);
      op.x = c.in_place ? out_y.data() : guarded_x.data();
      op.gain = c.gain ? guarded_gain.data() : nullptr;
      op.y = c.wants_y ? out_y.data() : nullptr;
      op.q = c.wants_q ? out_q.data() : nullptr;
      op.q_scale = c.wants_q ? out_scale.data() : nullptr;
      op.q_sum = c.wants_q ? out_sum.data() : nullptr;
      const auto memory = scratch(edge);
      quietly([&] {
        for (const auto& [v0, v1] : cut) ASSERT_EQ(plugin().norm(device(), &op, v0, v1, memory->data()), BN_OK);
      });
      ASSERT_TRUE(same_bits(y, out_y)) << "y";
      ASSERT_TRUE(same_bits(q, out_q)) << "q";
      ASSERT_TRUE(same_bits(q_scale, out_scale)) << "q_scale";
      ASSERT_TRUE(same_bits(q_sum, out_sum)) << "q_sum";
      ASSERT_TRUE(memory->slack_intact()) << "bytes outside scratch were written";
    }
  }
}

TEST_P(NormTest, EveryLength) {
  for (const uint32_t n : {1u,   2u,   7u,   8u,   9u,   15u,  16u,  17u,  31u,  32u,  33u,  64u,  80u,   96u,   100u,
                           127u, 128u, 129u, 255u, 256u, 257u, 271u, 272u, 273u, 511u, 512u, 513u, 1000u, 2560u, 6912u}) {
    check({n});
    check({n, 3, 1e-6f, false, true, true, false, 5});
  }
}

TEST_P(NormTest, EveryCombinationOfOutputs) {
  for (const uint32_t n : {100u, 128u, 600u}) {
    for (const float eps : kEpsilons) {
      for (int bits = 0; bits < 16; ++bits) {
        const bool gain = (bits & 1) != 0, y = (bits & 2) != 0, q = (bits & 4) != 0, in_place = (bits & 8) != 0;
        if ((!y && !q) || (in_place && !y)) continue;
        check({n, 4, eps, gain, y, q, in_place});
        check({n, 4, eps, gain, y, q, in_place, 9});
      }
    }
  }
}

TEST_P(NormTest, ZeroVectors) {
  for (const uint32_t n : {1u, 16u, 100u, 256u, 2560u}) {
    check_content(std::vector<float>(n, 0.0f));
    check_content(std::vector<float>(n, -0.0f));
  }
}

TEST_P(NormTest, ManyMagnitudes) {
  for (const float scale : {1e-44f, 1e-38f, 1e-30f, 1e-19f, 1e-6f, 1e-5f, 1e-3f, 1e3f, 1e10f, 1e18f, 3e19f, 1e30f, 1e38f}) {
    for (const uint32_t n : {17u, 256u, 300u, 2560u}) check_content(Random(n).normals(n, scale));
  }
}

TEST_P(NormTest, Outliers) {
  for (const uint32_t n : {33u, 128u, 300u, 2560u}) {
    for (const uint32_t place : {0u, n / 2, n - 1}) {
      for (const float outlier : {1000.0f, -1000.0f, 3e5f}) {
        std::vector<float> x = Random(n).normals(n, 0.01f);
        x[place] = outlier;
        check_content(x);
      }
    }
  }
}

// x * 127 / largest lands exactly between two integers: ties go to the even one.
TEST_P(NormTest, RoundingTies) {
  std::vector<float> x;
  for (int i = -254; i <= 254; ++i) x.push_back(static_cast<float>(i) * 0.5f);
  check({static_cast<uint32_t>(x.size()), 1, -1.0f, false}, x);
  for (float& v : x) v *= 0.0078125f;
  check({static_cast<uint32_t>(x.size()), 1, -1.0f, false}, x);
}

// Below 1e-5 the scale has a floor, with and without norm.
TEST_P(NormTest, FloorOfTheScale) {
  for (const float size : {0.5e-5f, 0.99e-5f, 1e-5f, 1.01e-5f}) {
    std::vector<float> x(320, 0.0f);
    for (size_t i = 0; i < x.size(); i += 3) x[i] = i % 2 == 0 ? size : -size;
    check_content(x);
    std::vector<float> one(320, 0.0f);
    one[11] = size;
    check_content(one);
  }
}

// Values that are not finite must come out as the reference body says: the runtime relies on seeing them.
TEST_P(NormTest, NotFiniteStaysVisible) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {nan, infinity, -infinity}) {
    for (const uint32_t place : {0u, 5u, 130u, 299u}) {
      std::vector<float> x = Random(3).normals(300);
      x[place] = bad;
      check_content(x);
    }
  }
}

BITNET_FOR_EVERY_PLUGIN(NormTest);

}  // namespace
}  // namespace bitnet::kernel_test
