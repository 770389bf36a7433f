// conformance/rope_tests.cpp - rotary position embedding against the reference body.
#include "bitnet/kit/rope_tables.hpp"
#include "operation.h"

namespace bitnet::conformance {
namespace {

constexpr char kDefinition[] =
    "exact-1, rope: a pair (x0, x1) becomes fma(x0, c, -(x1*s)), fma(x0, s, x1*c); past rope_dim nothing";

struct Case {
  uint32_t kind, head_dim, rope_dim, n_heads = 3, tokens = 3, pos0 = 0, gap = 0;
  std::string text() const {
    return say("%s, head_dim %u, rope_dim %u, %u heads, %u tokens from position %u, x_stride + %u, seed %llu",
               kind == BN_ROPE_PAIRS ? "pairs" : "halves", head_dim, rope_dim, n_heads, tokens, pos0, gap,
               static_cast<unsigned long long>(base_seed));
  }
};

class Rope : public OperationOf<bn_rope> {
 public:
  Rope(const Case& c, Edge edge, const std::vector<float>& x)
      : x_("x", x, c.n_heads * c.head_dim + c.gap, true, edge),
        cos_("cos", table(c, true), edge),
        sin_("sin", table(c, false), edge) {
    n_a = c.tokens;
    n_b = c.n_heads;
    args_ = {sizeof(bn_rope), c.kind,      c.n_heads,  c.head_dim, c.rope_dim, c.pos0, c.n_heads * c.head_dim + c.gap, 0,
             x_.found(),      cos_.data(), sin_.data()};
    reference_ = args_;
  }
  static std::vector<float> random_x(const Case& c, float size = 1.0f) {
    const uint32_t width = c.n_heads * c.head_dim;
    return Random(c.head_dim).normals(static_cast<size_t>(c.tokens - 1) * (width + c.gap) + width, size);
  }

  const char* name() const override { return "rope"; }
  void reset() override { x_.reset(); }
  void run_reference(Range tokens, Range heads) override {
    reference_.x = x_.expected.data();
    reference().rope(nullptr, &reference_, tokens.first, tokens.second, heads.first, heads.second, nullptr);
  }
  bn_status call(const bn_kernels_v1& k, bn_device* d, const void* a, Range tokens, Range heads, void* scratch) const override {
    return k.rope(d, static_cast<const bn_rope*>(a), tokens.first, tokens.second, heads.first, heads.second, scratch);
  }
  void check(const Accuracy& accuracy) const override { x_.check(accuracy); }

 private:
  static std::vector<float> table(const Case& c, bool cosines) {
    const uint32_t positions = c.pos0 + c.tokens;
    std::vector<float> cosine(static_cast<size_t>(positions) * (c.rope_dim / 2)), sine(cosine.size());
    bn::kit::fill_rope_tables(0, positions, c.rope_dim, 10000.0, 1.0, nullptr, cosine.data(), sine.data());
    return cosines ? cosine : sine;
  }

  Output<float> x_;
  Input<float> cos_, sin_;
};

void check(Subject& s, const Case& c, float size = 1.0f) {
  BN_NEEDS_OP(s, rope);
  const Where where(c.text());
  for (const Edge edge : kBothEdges) {
    const Where at(name_of(edge));
    Rope op(c, edge, Rope::random_x(c, size));
    check_all_ways(s, op, edge);
  }
}

constexpr uint32_t kKinds[] = {BN_ROPE_HALVES, BN_ROPE_PAIRS};

std::vector<std::unique_ptr<Operation>> typical(Subject& s, Edge edge) {
  BN_NEEDS_OP(s, rope);
  std::vector<std::unique_ptr<Operation>> operations;
  for (const uint32_t kind : kKinds) {
    for (const Case& c : {Case{kind, 128, 128, 8, 40, 3}, Case{kind, 96, 64, 5, 7, 100, 3}}) {
      operations.push_back(std::make_unique<Rope>(c, edge, Rope::random_x(c)));
    }
  }
  return operations;
}

void head_dims(Subject& s) {
  for (const uint32_t kind : kKinds) {
    for (const uint32_t dim : {2u, 4u, 6u, 14u, 16u, 18u, 34u, 64u, 80u, 96u, 100u, 128u, 256u}) {
      check(s, {kind, dim, dim});
      check(s, {kind, dim, dim, 5, 2, 17, 3});
    }
  }
}

void part_of_the_head(Subject& s) {
  for (const uint32_t kind : kKinds) {
    for (const auto& [dim, rotated] : std::vector<Range>{{64, 32}, {80, 20}, {96, 48}, {100, 2}, {128, 64}, {128, 126}}) {
      check(s, {kind, dim, rotated, 3, 2, 5});
    }
  }
}

void positions(Subject& s) {
  for (const uint32_t kind : kKinds) {
    for (const uint32_t pos0 : {0u, 1u, 127u, 128u, 4000u}) check(s, {kind, 128, 128, 2, 9, pos0});
  }
}

void magnitudes(Subject& s) {
  for (const uint32_t kind : kKinds) {
    for (const float size : {0.0f, -0.0f, 1e-44f, 1e-38f, 1e30f}) check(s, {kind, 100, 100, 2, 5, 7}, size);
  }
}

}  // namespace

Tests rope_tests() {
  Tests tests = {{"rope.head_dims", kDefinition, head_dims},
                 {"rope.part_of_the_head", kDefinition, part_of_the_head},
                 {"rope.positions", kDefinition, positions},
                 {"rope.magnitudes", kDefinition, magnitudes}};
  add_common_tests(tests, "rope", typical);
  return tests;
}

}  // namespace bitnet::conformance
