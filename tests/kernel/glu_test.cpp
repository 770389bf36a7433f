// kernel/glu_test.cpp - gated activations against the reference body.
#include <limits>
#include <string>
#include <vector>

#include "kernel/compare.h"
#include "kernel/plugin_under_test.h"
#include "kernel/random.h"

namespace bitnet::kernel_test {
namespace {

struct Case {
  uint32_t act, tokens = 1, cols = 1;
  bool in_place = false;
  uint32_t gap = 0;
  std::string text() const {
    return "act=" + std::to_string(act) + " " + std::to_string(tokens) + "x" + std::to_string(cols) +
           " in_place=" + std::to_string(in_place) + " gap=" + std::to_string(gap);
  }
};

constexpr uint32_t kActs[] = {BN_ACT_RELU2, BN_ACT_SILU, BN_ACT_GELU_TANH};

class GluTest : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    BITNET_NEEDS_OP(glu);
  }
  // gate and up: [tokens][cols + gap], the last row without its gap.
  void check(const Case& c, const std::vector<float>& gate, const std::vector<float>& up);
  void check(const Case& c) {
    const size_t n = static_cast<size_t>(c.tokens - 1) * (c.cols + c.gap) + c.cols;
    check(c, Random(1).normals(n, 3.0f), Random(2).normals(n));
  }
  // Every activation on one row of gates.
  void check_gates(const std::vector<float>& gate) {
    const std::vector<float> up = Random(5).normals(gate.size());
    for (const uint32_t act : kActs) check({act, 1, static_cast<uint32_t>(gate.size())}, gate, up);
  }
};

void GluTest::check(const Case& c, const std::vector<float>& gate, const std::vector<float>& up) {
  SCOPED_TRACE(c.text());
  const uint32_t stride = c.cols + c.gap;
  const std::vector<float> before = c.in_place ? gate : untouched<float>(gate.size());
  bn_glu op = {sizeof(bn_glu), c.act, stride, stride, stride, 0, nullptr, nullptr, nullptr};
  for (const std::vector<Range>& tokens : ways_to_cut(c.tokens, 1)) {
    for (const std::vector<Range>& cols : ways_to_cut(c.cols, c.cols / 5 + 1)) {
      std::vector<float> expected = before;
      op.gate = c.in_place ? expected.data() : gate.data();
      op.up = up.data();
      op.y = expected.data();
      for (const auto& [t0, t1] : tokens) {
        for (const auto& [c0, c1] : cols) ASSERT_EQ(reference().glu(nullptr, &op, t0, t1, c0, c1, nullptr), BN_OK);
      }
      for (const Edge edge : kBothEdges) {
        const Input<float> guarded_gate(gate, edge), guarded_up(up, edge);
        const Guarded<float> y(before, edge);
        op.gate = c.in_place ? y.data() : guarded_gate.data();
        op.up = guarded_up.data();
        op.y = y.data();
        const auto memory = scratch(edge);
        quietly([&] {
          for (const auto& [t0, t1] : tokens) {
            for (const auto& [c0, c1] : cols) {
              ASSERT_EQ(plugin().glu(device(), &op, t0, t1, c0, c1, memory->data()), BN_OK);
            }
          }
        });
        ASSERT_TRUE(same_bits(expected, y));
        ASSERT_TRUE(memory->slack_intact()) << "bytes outside scratch were written";
      }
    }
  }
}

TEST_P(GluTest, EveryWidth) {
  for (const uint32_t act : kActs) {
    for (const uint32_t cols : {1u, 3u, 7u, 8u, 9u, 15u, 16u, 17u, 31u, 33u, 100u, 257u, 6912u}) {
      check({act, 1, cols});
      check({act, 3, cols, true, 2});
    }
  }
}

TEST_P(GluTest, SpecialValues) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  check_gates({0.0f,   -0.0f,  1e-44f,   -1e-44f,   1e-38f, -1e-38f, 86.9f,  87.0f,   87.1f, -86.9f,
               -87.0f, -87.1f, 88.0f,    88.1f,     -88.0f, -88.1f,  100.0f, -100.0f, 1e10f, -1e10f,
               3e38f,  -3e38f, infinity, -infinity, nan,    -nan,    1.0f,   -1.0f});
}

TEST_P(GluTest, DenseSweep) {
  std::vector<float> gate;
  for (float g = -100.0f; g <= 100.0f; g += 0.0137f) gate.push_back(g);
  check_gates(gate);
  gate.clear();
  Random random(9);
  for (int i = 0; i < 20000; ++i) {  // any finite bits
    const float g = bn::kit::float_of(random.bits());
    if (g - g == 0.0f) gate.push_back(g);
  }
  check_gates(gate);
}

BITNET_FOR_EVERY_PLUGIN(GluTest);

}  // namespace
}  // namespace bitnet::kernel_test
