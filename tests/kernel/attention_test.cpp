// kernel/attention_test.cpp - attention over pages of keys and values against the reference body.
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernel/compare.h"
#include "kernel/plugin_under_test.h"
#include "kernel/random.h"

namespace bitnet::kernel_test {
namespace {

struct Case {
  uint32_t head_dim = 64, n_heads = 4, n_kv_heads = 1, kv_dtype = BN_DT_F32, pos0 = 0, tokens = 1, window = 0;
  float score_size = 1.0f;
  bool head_major = false;  // inside a page: [head][position][head_dim], else [position][head][head_dim]
  uint32_t gap = 0;
  std::string text() const {
    return "head_dim=" + std::to_string(head_dim) + " heads=" + std::to_string(n_heads) + "/" + std::to_string(n_kv_heads) +
           " kv=" + std::to_string(kv_dtype) + " pos0=" + std::to_string(pos0) + " tokens=" + std::to_string(tokens) +
           " window=" + std::to_string(window) + " scores=" + std::to_string(score_size) +
           " head_major=" + std::to_string(head_major) + " gap=" + std::to_string(gap);
  }
  uint32_t stride_pos() const { return (head_major ? head_dim : n_kv_heads * head_dim) + gap; }
  uint32_t stride_head() const { return head_major ? stride_pos() * BN_KV_PAGE : head_dim; }
  uint32_t page_elements() const {
    return n_kv_heads * head_dim * BN_KV_PAGE + gap * BN_KV_PAGE * (head_major ? n_kv_heads : 1);
  }
  bool seen(uint32_t position, uint32_t t0, uint32_t t1) const {  // by any token of [t0, t1)
    return position < pos0 + t1 && (window == 0 || position + window > pos0 + t0);
  }
};

// The pages of keys or of values. Elements that no token of [t0, t1) may read are NaN; pages without any visible position
// are not there at all.
class Pages {
 public:
  Pages(const Case& c, uint64_t seed, uint32_t t0, uint32_t t1, Edge edge) {
    Random random(seed);
    for (uint32_t first = 0; first < c.pos0 + c.tokens; first += BN_KV_PAGE) {
      std::vector<float> values(c.page_elements(), std::numeric_limits<float>::quiet_NaN());
      bool any = false;
      for (uint32_t p = 0; p < BN_KV_PAGE; ++p) {
        for (uint32_t h = 0; h < c.n_kv_heads; ++h) {
          for (uint32_t d = 0; d < c.head_dim; ++d) {
            const float value = random.normal();
            if (!c.seen(first + p, t0, t1)) continue;
            values[static_cast<size_t>(p) * c.stride_pos() + static_cast<size_t>(h) * c.stride_head() + d] = value;
            any = true;
          }
        }
      }
      pointers_.push_back(add_page(c.kv_dtype, values, any, edge));
    }
    table_ = std::make_unique<Input<const void*>>(pointers_, edge);
  }
  const void* const* table() const { return table_->data(); }

 private:
  const void* add_page(uint32_t dtype, const std::vector<float>& values, bool any, Edge edge) {
    const size_t bytes = dtype == BN_DT_F16 ? 2 : 4;
    memory_.push_back(std::make_unique<GuardedBytes>(values.size() * bytes, edge, bytes));
    GuardedBytes& page = *memory_.back();
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half = bn::kit::f32_to_f16(values[i]);
      std::memcpy(page.data() + i * bytes, dtype == BN_DT_F16 ? static_cast<const void*>(&half) : &values[i], bytes);
    }
    if (any) {
      page.freeze();
    } else {
      page.make_absent();
    }
    return page.data();
  }
  std::vector<std::unique_ptr<GuardedBytes>> memory_;
  std::vector<const void*> pointers_;
  std::unique_ptr<Input<const void*>> table_;
};

class AttentionTest : public KernelTest {
 protected:
  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    BITNET_NEEDS_OP(attention);
  }
  void check(const Case& c);
  void check_tokens(const Case& c, const std::vector<Range>& tokens);
};

// One way to cut the tokens, every way to cut the heads.
void AttentionTest::check_tokens(const Case& c, const std::vector<Range>& tokens) {
  const uint32_t width = c.n_heads * c.head_dim, stride = width + c.gap;
  const size_t size = static_cast<size_t>(c.tokens - 1) * stride + width;
  const std::vector<float> q = Random(c.head_dim).normals(size, c.score_size);
  bn_attn op = {};
  op.struct_size = sizeof op;
  op.n_heads = c.n_heads;
  op.n_kv_heads = c.n_kv_heads;
  op.head_dim = c.head_dim;
  op.pos0 = c.pos0;
  op.window = c.window;
  op.kv_dtype = c.kv_dtype;
  op.kv_stride_pos = c.stride_pos();
  op.kv_stride_head = c.stride_head();
  op.q_stride = op.y_stride = stride;
  op.scale = 1.0f / __builtin_sqrtf(static_cast<float>(c.head_dim));
  for (const Edge edge : kBothEdges) {
    const Pages k(c, 11, tokens.front().first, tokens.back().second, edge);
    const Pages v(c, 12, tokens.front().first, tokens.back().second, edge);
    const Input<float> guarded_q(q, edge);
    op.q = guarded_q.data();
    op.k = k.table();
    op.v = v.table();
    for (const std::vector<Range>& heads : ways_to_cut(c.n_heads, 1)) {
      std::vector<float> expected = untouched<float>(size);
      op.y = expected.data();
      for (const auto& [t0, t1] : tokens) {
        for (const auto& [h0, h1] : heads) ASSERT_EQ(reference().attention(nullptr, &op, t0, t1, h0, h1, nullptr), BN_OK);
      }
      for (const float y : expected) ASSERT_EQ(y, y) << "the reference reads a position that no token may see";
      const Guarded<float> y(untouched<float>(size), edge);
      op.y = y.data();
      const auto memory = scratch(edge);
      quietly([&] {
        for (const auto& [t0, t1] : tokens) {
          for (const auto& [h0, h1] : heads) {
            ASSERT_EQ(plugin().attention(device(), &op, t0, t1, h0, h1, memory->data()), BN_OK);
          }
        }
      });
      ASSERT_TRUE(same_bits(expected, y)) << "tokens in " << tokens.size() << ", heads in " << heads.size();
      ASSERT_TRUE(memory->slack_intact()) << "bytes outside scratch were written";
    }
  }
}

void AttentionTest::check(const Case& c) {
  SCOPED_TRACE(c.text());
  for (const std::vector<Range>& tokens : ways_to_cut(c.tokens, 1)) check_tokens(c, tokens);
}

constexpr uint32_t kKvDtypes[] = {BN_DT_F16, BN_DT_F32};

TEST_P(AttentionTest, EveryHeadDim) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t head_dim : {16u, 20u, 64u, 80u, 96u, 100u, 128u, 256u, 288u}) {
      check({head_dim, 4, 2, kv, 37});
      check({head_dim, 2, 2, kv, 130, 2, 0, 1.0f, true, 3});
    }
  }
}

TEST_P(AttentionTest, EveryGrouping) {
  for (const uint32_t kv : kKvDtypes) {
    for (const auto& [heads, kv_heads] : std::vector<Range>{{1, 1}, {5, 5}, {4, 1}, {8, 2}, {5, 1}, {20, 5}, {6, 3}}) {
      check({128, heads, kv_heads, kv, 140, 1});
      check({64, heads, kv_heads, kv, 20, 3, 0, 1.0f, true});
    }
  }
}

TEST_P(AttentionTest, EveryPosition) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t pos0 :
         {0u, 1u, 2u, 6u, 7u, 8u, 14u, 15u, 16u, 17u, 31u, 63u, 126u, 127u, 128u, 129u, 255u, 256u, 300u}) {
      check({128, 4, 1, kv, pos0});
    }
  }
}

TEST_P(AttentionTest, SeveralTokens) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t pos0 : {0u, 1u, 120u, 126u, 127u, 128u, 250u}) check({64, 5, 1, kv, pos0, 5});
    check({128, 2, 1, kv, 0, 33});
    check({128, 4, 1, kv, 100, 40});
  }
}

TEST_P(AttentionTest, Window) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t window : {1u, 2u, 16u, 100u, 127u, 128u, 129u, 200u, 1000u}) {
      check({64, 4, 2, kv, 0, 3, window});
      check({64, 4, 2, kv, 300, 3, window});
    }
  }
}

TEST_P(AttentionTest, LargeRangeOfScores) {
  for (const uint32_t kv : kKvDtypes) {
    for (const float size : {0.0f, 1e-30f, 10.0f, 100.0f, 1e4f, 1e30f}) {
      check({128, 2, 1, kv, 290, 1, 0, size});
      check({100, 3, 1, kv, 125, 4, 0, size});
    }
  }
}

TEST_P(AttentionTest, ShapeOfTheMainModel) {
  for (const uint32_t kv : kKvDtypes) {
    check({128, 20, 5, kv, 700});
    check({128, 20, 5, kv, 380, 5, 0, 3.0f});
  }
}

BITNET_FOR_EVERY_PLUGIN(AttentionTest);

}  // namespace
}  // namespace bitnet::kernel_test
