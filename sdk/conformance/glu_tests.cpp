// conformance/glu_tests.cpp - gated activations against the reference body.
#include <limits>

#include "operation.h"

namespace bitnet::conformance {
namespace {

constexpr char kDefinition[] =
    "exact-1, glu: relu2 (m*m)*up with m = max(g,0); silu (g/(1+EXP(-g)))*up; gelu_tanh as sdk/README.md writes it";

struct Case {
  uint32_t act, tokens = 1, cols = 1;
  bool in_place = false;
  uint32_t gap = 0;
  std::string text() const {
    return say("activation %u, %u tokens of %u columns%s, strides + %u, seed %llu", act, tokens, cols,
               in_place ? ", y is gate" : "", gap, static_cast<unsigned long long>(base_seed));
  }
};

constexpr uint32_t kActs[] = {BN_ACT_RELU2, BN_ACT_SILU, BN_ACT_GELU_TANH};

class Glu : public OperationOf<bn_glu> {
 public:
  // gate and up: [tokens][cols + gap], the last row without its gap.
  Glu(const Case& c, Edge edge, const std::vector<float>& gate, const std::vector<float>& up)
      : in_place_(c.in_place),
        gate_("gate", gate, edge),
        up_("up", up, edge),
        y_("y", c.in_place ? gate : untouched<float>(gate.size()), c.cols + c.gap, c.in_place, edge) {
    n_a = c.tokens;
    n_b = c.cols;
    granule_b = c.cols / 5 + 1;
    const uint32_t stride = c.cols + c.gap;
    args_ = {sizeof(bn_glu), c.act, stride, stride, stride, 0, in_place_ ? y_.found() : gate_.data(), up_.data(), y_.found()};
    reference_ = args_;
  }
  static std::vector<float> random(const Case& c, uint64_t salt, float size) {
    return Random(salt).normals(static_cast<size_t>(c.tokens - 1) * (c.cols + c.gap) + c.cols, size);
  }

  const char* name() const override { return "glu"; }
  void reset() override { y_.reset(); }
  void run_reference(Range tokens, Range cols) override {
    reference_.y = y_.expected.data();
    if (in_place_) reference_.gate = reference_.y;
    reference().glu(nullptr, &reference_, tokens.first, tokens.second, cols.first, cols.second, nullptr);
  }
  bn_status call(const bn_kernels_v1& k, bn_device* d, const void* a, Range tokens, Range cols, void* scratch) const override {
    return k.glu(d, static_cast<const bn_glu*>(a), tokens.first, tokens.second, cols.first, cols.second, scratch);
  }
  void check(const Accuracy& accuracy) const override { y_.check(accuracy); }

 private:
  bool in_place_;
  Input<float> gate_, up_;
  Output<float> y_;
};

void check(Subject& s, const Case& c, const std::vector<float>& gate, const std::vector<float>& up) {
  BN_NEEDS_OP(s, glu);
  const Where where(c.text());
  for (const Edge edge : kBothEdges) {
    const Where at(name_of(edge));
    Glu op(c, edge, gate, up);
    check_all_ways(s, op, edge);
  }
}
void check(Subject& s, const Case& c) { check(s, c, Glu::random(c, 1, 3.0f), Glu::random(c, 2, 1.0f)); }

// Every activation on one row of gates.
void check_gates(Subject& s, const std::vector<float>& gate) {
  const std::vector<float> up = Random(5).normals(gate.size());
  for (const uint32_t act : kActs) check(s, {act, 1, static_cast<uint32_t>(gate.size())}, gate, up);
}

std::vector<std::unique_ptr<Operation>> typical(Subject& s, Edge edge) {
  BN_NEEDS_OP(s, glu);
  std::vector<std::unique_ptr<Operation>> operations;
  for (const uint32_t act : kActs) {
    for (const bool in_place : {false, true}) {
      const Case c = {act, 8, 999, in_place, 5};
      operations.push_back(std::make_unique<Glu>(c, edge, Glu::random(c, 1, 3.0f), Glu::random(c, 2, 1.0f)));
    }
  }
  return operations;
}

void widths(Subject& s) {
  for (const uint32_t act : kActs) {
    for (const uint32_t cols : {1u, 3u, 7u, 8u, 9u, 15u, 16u, 17u, 31u, 33u, 100u, 257u, 6912u}) {
      check(s, {act, 1, cols});
      check(s, {act, 3, cols, true, 2});
    }
  }
}

void special_values(Subject& s) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  check_gates(
      s, {0.0f,   -0.0f,  1e-44f, -1e-44f, 1e-38f, -1e-38f, 86.9f, 87.0f,  87.1f,    -86.9f,    -87.0f, -87.1f, 88.0f, 88.1f,
          -88.0f, -88.1f, 100.0f, -100.0f, 1e10f,  -1e10f,  3e38f, -3e38f, infinity, -infinity, nan,    -nan,   1.0f,  -1.0f});
}

void sweep(Subject& s) {
  std::vector<float> gate;
  for (float g = -100.0f; g <= 100.0f; g += 0.0137f) gate.push_back(g);
  check_gates(s, gate);
  gate.clear();
  Random random(9);
  for (int i = 0; i < 20000; ++i) {  // any finite bits
    const float g = bn::kit::float_of(random.bits());
    if (g - g == 0.0f) gate.push_back(g);
  }
  check_gates(s, gate);
}

}  // namespace

Tests glu_tests() {
  Tests tests = {{"glu.widths", kDefinition, widths},
                 {"glu.special_values", kDefinition, special_values},
                 {"glu.sweep", kDefinition, sweep}};
  add_common_tests(tests, "glu", typical);
  return tests;
}

}  // namespace bitnet::conformance
