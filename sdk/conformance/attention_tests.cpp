// conformance/attention_tests.cpp - attention over pages of keys and values against the reference body.
#include "attention_case.h"

namespace bitnet::conformance {
namespace {

constexpr char kDefinition[] =
    "exact-1, attention: chunks of 128 positions; score = S16(q,k)*scale, e = EXP(score - chunk max), sums in 16 lanes, "
    "outputs as "
    "FMA chains over positions; chunks merged rising; times 1/sum. Positions not visible are not read";

using Case = AttentionCase;

class Attention : public OperationOf<bn_attn> {
 public:
  // Only tokens of `asked` will be computed.
  Attention(const Case& c, const PageNumbers& numbers, Edge edge, Range asked)
      : k_("a page of keys", c, numbers.keys, asked, edge),
        v_("a page of values", c, numbers.values, asked, edge),
        q_("q", Random(c.head_dim).normals(c.floats(), c.score_size), edge),
        y_("y", untouched<float>(c.floats()), c.width() + c.gap, false, edge) {
    n_a = c.tokens;
    n_b = c.n_heads;
    args_ = attention_arguments(c, k_, v_, q_.data(), y_.found());
    reference_ = args_;
  }

  const char* name() const override { return "attention"; }
  void reset() override { y_.reset(); }
  void run_reference(Range tokens, Range heads) override {
    reference_.y = y_.expected.data();
    reference().attention(nullptr, &reference_, tokens.first, tokens.second, heads.first, heads.second, nullptr);
  }
  bn_status call(const bn_kernels_v1& k, bn_device* d, const void* a, Range tokens, Range heads, void* scratch) const override {
    return k.attention(d, static_cast<const bn_attn*>(a), tokens.first, tokens.second, heads.first, heads.second, scratch);
  }
  void check(const Accuracy& accuracy) const override { y_.check(accuracy); }

 private:
  Pages k_, v_;
  Input<float> q_;
  Output<float> y_;
};

void check(Subject& s, const Case& c) {
  BN_NEEDS_OP(s, attention);
  const Where where(c.text());
  const PageNumbers numbers(c);
  for (const Edge edge : kBothEdges) {
    const Where at(name_of(edge));
    const auto scratch = s.scratch(edge);
    std::unique_ptr<Attention> op;
    Range prepared;
    for (const std::vector<Range>& tokens : ways_to_cut(c.tokens, 1)) {
      const Range asked = {tokens.front().first, tokens.back().second};
      if (op == nullptr || asked != prepared) op = std::make_unique<Attention>(c, numbers, edge, asked);
      prepared = asked;
      for (const std::vector<Range>& heads : ways_to_cut(c.n_heads, 1)) check_ranges(s, *op, tokens, heads, *scratch);
    }
  }
}

constexpr uint32_t kKvDtypes[] = {BN_DT_F16, BN_DT_F32};

std::vector<std::unique_ptr<Operation>> typical(Subject& s, Edge edge) {
  BN_NEEDS_OP(s, attention);
  std::vector<std::unique_ptr<Operation>> operations;
  for (const uint32_t kv : kKvDtypes) {
    for (const Case& c : {Case{128, 8, 2, kv, 200, 4, 0, 1.0f, true}, Case{100, 4, 4, kv, 127, 5, 100, 3.0f, false, 7}}) {
      operations.push_back(std::make_unique<Attention>(c, PageNumbers(c), edge, Range{0, c.tokens}));
    }
  }
  return operations;
}

void head_dims(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t head_dim : {16u, 20u, 64u, 80u, 96u, 100u, 128u, 256u, 288u}) {
      check(s, {head_dim, 4, 2, kv, 37});
      check(s, {head_dim, 2, 2, kv, 130, 2, 0, 1.0f, true, 3});
    }
  }
}

void groupings(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    for (const auto& [heads, kv_heads] : std::vector<Range>{{1, 1}, {5, 5}, {4, 1}, {8, 2}, {5, 1}, {20, 5}, {6, 3}}) {
      check(s, {128, heads, kv_heads, kv, 140, 1});
      check(s, {64, heads, kv_heads, kv, 20, 3, 0, 1.0f, true});
    }
  }
}

void positions(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t pos0 :
         {0u, 1u, 2u, 6u, 7u, 8u, 14u, 15u, 16u, 17u, 31u, 63u, 126u, 127u, 128u, 129u, 255u, 256u, 300u}) {
      check(s, {128, 4, 1, kv, pos0});
    }
  }
}

void several_tokens(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t pos0 : {0u, 1u, 120u, 126u, 127u, 128u, 250u}) check(s, {64, 5, 1, kv, pos0, 5});
    check(s, {128, 2, 1, kv, 0, 33});
    check(s, {128, 4, 1, kv, 100, 40});
  }
}

// So many queries of one KV head that a kernel may take a page for all of them.
void many_tokens(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t head_dim : {16u, 80u, 256u}) check(s, {head_dim, 2, 1, kv, 90, 45});
    check(s, {64, 6, 2, kv, 0, 37, 0, 1.0f, true, 5});
    check(s, {128, 4, 1, kv, 250, 70, 60});
    check(s, {64, 3, 1, kv, 5, 131, 130, 3.0f, true});
    check(s, {64, 4, 1, kv, 60, 33, 0, 1e30f});
  }
}

void windows(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    for (const uint32_t window : {1u, 2u, 16u, 100u, 127u, 128u, 129u, 200u, 1000u}) {
      check(s, {64, 4, 2, kv, 0, 3, window});
      check(s, {64, 4, 2, kv, 300, 3, window});
    }
  }
}

void sizes_of_scores(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    for (const float size : {0.0f, 1e-30f, 10.0f, 100.0f, 1e4f, 1e30f}) {
      check(s, {128, 2, 1, kv, 290, 1, 0, size});
      check(s, {100, 3, 1, kv, 125, 4, 0, size});
    }
  }
}

void main_model(Subject& s) {
  for (const uint32_t kv : kKvDtypes) {
    check(s, {128, 20, 5, kv, 700});
    check(s, {128, 20, 5, kv, 380, 5, 0, 3.0f});
  }
}

}  // namespace

Tests attention_tests() {
  Tests tests = {{"attention.head_dims", kDefinition, head_dims},
                 {"attention.groupings", kDefinition, groupings},
                 {"attention.positions", kDefinition, positions},
                 {"attention.several_tokens", kDefinition, several_tokens},
                 {"attention.many_tokens", kDefinition, many_tokens},
                 {"attention.windows", kDefinition, windows},
                 {"attention.sizes_of_scores", kDefinition, sizes_of_scores},
                 {"attention.main_model", kDefinition, main_model}};
  add_common_tests(tests, "attention", typical);
  return tests;
}

}  // namespace bitnet::conformance
