// kernel/rope_test.cpp - rotary position embedding against the reference body.
#include <string>
#include <vector>

#include "bitnet/kit/rope_tables.hpp"
#include "kernel/compare.h"
#include "kernel/plugin_under_test.h"
#include "kernel/random.h"

namespace bitnet::kernel_test {
namespace {

struct Case {
  uint32_t kind, head_dim, rope_dim, n_heads = 3, tokens = 3, pos0 = 0, gap = 0;
  std::string text() const {
    return std::string(kind == BN_ROPE_PAIRS ? "pairs" : "halves") + " head_dim=" + std::to_string(head_dim) +
           " rope_dim=" + std::to_string(rope_dim) + " heads=" + std::to_string(n_heads) + " tokens=" + std::to_string(tokens) +
           " pos0=" + std::to_string(pos0) + " gap=" + std::to_string(gap);
  }
};

class RopeTest : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    BITNET_NEEDS_OP(rope);
  }
  void check(const Case& c);
};

void RopeTest::check(const Case& c) {
  SCOPED_TRACE(c.text());
  const uint32_t positions = c.pos0 + c.tokens, width = c.n_heads * c.head_dim, stride = width + c.gap;
  std::vector<float> cosine(static_cast<size_t>(positions) * (c.rope_dim / 2)), sine(cosine.size());
  bn::kit::fill_rope_tables(0, positions, c.rope_dim, 10000.0, 1.0, nullptr, cosine.data(), sine.data());
  const std::vector<float> before = Random(c.head_dim).normals(static_cast<size_t>(c.tokens - 1) * stride + width);
  bn_rope op = {sizeof(bn_rope), c.kind, c.n_heads, c.head_dim, c.rope_dim, c.pos0, stride, 0, nullptr, nullptr, nullptr};
  for (const std::vector<Range>& tokens : ways_to_cut(c.tokens, 1)) {
    for (const std::vector<Range>& heads : ways_to_cut(c.n_heads, 1)) {
      std::vector<float> expected = before;
      op.x = expected.data();
      op.cos = cosine.data();
      op.sin = sine.data();
      for (const auto& [t0, t1] : tokens) {
        for (const auto& [h0, h1] : heads) ASSERT_EQ(reference().rope(nullptr, &op, t0, t1, h0, h1, nullptr), BN_OK);
      }
      for (const Edge edge : kBothEdges) {
        const Input<float> guarded_cos(cosine, edge), guarded_sin(sine, edge);
        const Guarded<float> x(before, edge);
        op.x = x.data();
        op.cos = guarded_cos.data();
        op.sin = guarded_sin.data();
        const auto memory = scratch(edge);
        quietly([&] {
          for (const auto& [t0, t1] : tokens) {
            for (const auto& [h0, h1] : heads) {
              ASSERT_EQ(plugin().rope(device(), &op, t0, t1, h0, h1, memory->data()), BN_OK);
            }
          }
        });
        ASSERT_TRUE(same_bits(expected, x));
        ASSERT_TRUE(memory->slack_intact()) << "bytes outside scratch were written";
      }
    }
  }
}

constexpr uint32_t kKinds[] = {BN_ROPE_HALVES, BN_ROPE_PAIRS};

TEST_P(RopeTest, EveryHeadDim) {
  for (const uint32_t kind : kKinds) {
    for (const uint32_t dim : {2u, 4u, 6u, 14u, 16u, 18u, 34u, 64u, 80u, 96u, 100u, 128u, 256u}) {
      check({kind, dim, dim});
      check({kind, dim, dim, 5, 2, 17, 3});
    }
  }
}

TEST_P(RopeTest, PartOfTheHead) {
  for (const uint32_t kind : kKinds) {
    for (const auto& [dim, rotated] : std::vector<Range>{{64, 32}, {80, 20}, {96, 48}, {100, 2}, {128, 64}, {128, 126}}) {
      check({kind, dim, rotated, 3, 2, 5});
    }
  }
}

TEST_P(RopeTest, ManyPositions) {
  for (const uint32_t kind : kKinds) {
    for (const uint32_t pos0 : {0u, 1u, 127u, 128u, 4000u}) check({kind, 128, 128, 2, 9, pos0});
  }
}

BITNET_FOR_EVERY_PLUGIN(RopeTest);

}  // namespace
}  // namespace bitnet::kernel_test
