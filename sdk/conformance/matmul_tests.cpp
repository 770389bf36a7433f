// conformance/matmul_tests.cpp - the required op: the ternary product against the reference body.
#include "operation.h"
#include "ternary_matrix.h"

namespace bitnet::conformance {
namespace {

constexpr char kDefinition[] =
    "exact-1, ternary matmul: y[t][r] = float(dot) * (x_scale[t] * w_scale[r]), dot exact in int32; two roundings, no FMA";

struct Case {
  Layout layout = Layout::kT2;
  uint32_t rows = 1, cols = 1, m = 1;
  bool scale_per_row = false;
  Trits trits = Trits::kRandom;
  Codes codes = Codes::kRandom;
  uint32_t gap = 0;  // floats between rows of y, bytes between rows of x

  std::string text() const {
    return say("%s matrix of %u x %u, m %u, %s, y_stride rows + %u, seed %llu", layout == Layout::kT2 ? "bn.t2" : "bn.i2s128",
               rows, cols, m, scale_per_row ? "a scale per row" : "one scale", gap, static_cast<unsigned long long>(base_seed));
  }
};

class Matmul : public OperationOf<bn_matmul> {
 public:
  Matmul(Subject& s, const Case& c, Edge edge)
      : a_(c.m, c.cols, s.kernels().k_align, c.gap, c.codes, c.cols * 1000 + c.m),
        w_(c.layout, c.rows, c.cols, c.trits, c.scale_per_row ? c.rows : 1, c.rows + c.cols, edge),
        prepared_(s.device(), s.kernels(), w_, edge),
        x_("x", a_.x, edge),
        x_scale_("x_scale", a_.scale, edge),
        x_sum_("x_sum", a_.sum, edge),
        y_("y", untouched<float>(static_cast<size_t>(c.m - 1) * (c.rows + c.gap) + c.rows), c.rows + c.gap, false, edge),
        scratch_(reference().scratch_bytes) {
    n_a = c.rows;
    granule_a = s.kernels().row_granule;
    reference_ = {sizeof(bn_matmul), c.m,           &w_.tensor, w_.tensor.data, a_.x.data(),
                  a_.scale.data(),   a_.sum.data(), nullptr,    a_.stride,      c.rows + c.gap};
    args_ = {sizeof(bn_matmul), c.m,           &prepared_.tensor, prepared_.packed, x_.data(),
             x_scale_.data(),   x_sum_.data(), y_.found(),        a_.stride,        c.rows + c.gap};
  }
  bool accepted() const { return prepared_.answer != BN_NO; }

  const char* name() const override { return "matmul"; }
  void reset() override { y_.reset(); }
  // Rows do not depend on each other, so all are computed once.
  void run_reference(Range rows, Range) override {
    if (all_.empty()) {
      all_ = y_.expected;
      reference_.y = all_.data();
      reference().matmul(nullptr, &reference_, 0, n_a, scratch_.data());
    }
    for (size_t row = 0; row < all_.size(); row += reference_.y_stride) {
      std::copy(all_.begin() + static_cast<std::ptrdiff_t>(row + rows.first),
                all_.begin() + static_cast<std::ptrdiff_t>(row + rows.second),
                y_.expected.begin() + static_cast<std::ptrdiff_t>(row + rows.first));
    }
  }
  bn_status call(const bn_kernels_v1& k, bn_device* d, const void* a, Range rows, Range, void* scratch) const override {
    return k.matmul(d, static_cast<const bn_matmul*>(a), rows.first, rows.second, scratch);
  }
  void check(const Accuracy& accuracy) const override { y_.check(accuracy); }

 private:
  Activations a_;
  TernaryMatrix w_;
  PreparedMatrix prepared_;
  Input<int8_t> x_;
  Input<float> x_scale_;
  Input<int32_t> x_sum_;
  Output<float> y_;
  std::vector<float> all_;
  std::vector<uint8_t> scratch_;
};

// Both placements of the guard pages. A layout other than bn.t2 may be refused: the runtime converts.
void check(Subject& s, const Case& c) {
  const Where where(c.text());
  for (const Edge edge : kBothEdges) {
    const Where at(name_of(edge));
    Matmul op(s, c, edge);
    if (!op.accepted()) {
      if (c.layout == Layout::kT2) fail("accepts() answered BN_NO", rule::kAnyShape);
      return;
    }
    check_all_ways(s, op, edge);
  }
}

// All rows at once, one placement: for matrices that take long to make.
void check_large(Subject& s, const Case& c) {
  const Where where(c.text());
  Matmul op(s, c, Edge::kEnd);
  if (op.accepted()) check_ranges(s, op, {{0, c.rows}}, {{0, 1}}, *s.scratch(Edge::kEnd));
}

constexpr Layout kLayouts[] = {Layout::kT2, Layout::kI2s128};

std::vector<std::unique_ptr<Operation>> typical(Subject& s, Edge edge) {
  std::vector<std::unique_ptr<Operation>> operations;
  for (const Layout layout : kLayouts) {
    for (const uint32_t m : {1u, 5u}) {
      auto op = std::make_unique<Matmul>(s, Case{layout, 96, 640, m, true, Trits::kRandom, Codes::kRandom, 3}, edge);
      if (op->accepted()) operations.push_back(std::move(op));
    }
  }
  expect(!operations.empty(), "accepts() answered BN_NO for bn.t2", rule::kAnyShape);
  return operations;
}

void token_counts(Subject& s) {
  for (const uint32_t m : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 16u, 17u, 33u, 64u, 130u}) {
    for (const uint32_t cols : {128u, 384u, 2560u}) check(s, {Layout::kI2s128, 33, cols, m});
    for (const uint32_t cols : {100u, 320u, 2560u}) check(s, {Layout::kT2, 19, cols, m});
  }
}

void odd_shapes(Subject& s) {
  for (const uint32_t cols :
       {1u, 2u, 3u, 4u, 5u, 7u, 31u, 33u, 63u, 100u, 127u, 128u, 129u, 255u, 257u, 320u, 480u, 3200u, 6912u, 8640u}) {
    for (const uint32_t rows : {1u, 3u, 5u, 7u, 16u, 37u}) {
      check(s, {Layout::kT2, rows, cols, 1});
      check(s, {Layout::kT2, rows, cols, 3, true, Trits::kRandom, Codes::kRandom, 7});
    }
  }
}

void group_shapes(Subject& s) {
  for (const uint32_t cols : {128u, 256u, 384u, 512u, 640u, 896u, 1024u, 2560u, 4096u, 6912u}) {
    for (const uint32_t rows : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 15u, 16u, 31u, 70u}) {
      check(s, {Layout::kI2s128, rows, cols, 1});
      check(s, {Layout::kI2s128, rows, cols, 5, true, Trits::kRandom, Codes::kRandom, 3});
    }
  }
}

// rows x cols of published models: 2B-4T in full, of 3B, large, xl, Llama3-8B and Falcon3 every K and some rows.
void model_shapes(Subject& s) {
  static constexpr Range kShapes[] = {{2560, 2560}, {640, 2560}, {6912, 2560}, {2560, 6912}, {512, 3200},
                                      {512, 8640},  {512, 1536}, {512, 4096},  {512, 2048},  {512, 5460},
                                      {512, 14336}, {512, 3072}, {512, 9216},  {512, 23040}};
  for (const auto& [rows, cols] : kShapes) check_large(s, {Layout::kT2, rows, cols, 1});
  check_large(s, {Layout::kT2, 2560, 2560, 4});
  check_large(s, {Layout::kI2s128, 2560, 2560, 1});
  check_large(s, {Layout::kI2s128, 2560, 6912, 2});
}

void scale_per_row(Subject& s) {
  for (const Layout layout : kLayouts) {
    for (const uint32_t m : {1u, 4u, 17u}) check(s, {layout, 41, 640, m, true});
  }
}

void many_rows(Subject& s) {
  check(s, {Layout::kI2s128, 1283, 256, 1});
  check(s, {Layout::kI2s128, 515, 384, 6, true});
  check(s, {Layout::kT2, 1283, 200, 2});
}

// Kernels that work in blocks of rows and tokens, and prepare something for all rows of a call.
void blocks(Subject& s) {
  check(s, {Layout::kI2s128, 515, 640, 13, true});
  check(s, {Layout::kT2, 300, 200, 131, false, Trits::kRandom, Codes::kRandom, 3});
  check_large(s, {Layout::kI2s128, 2183, 384, 33});
  check_large(s, {Layout::kI2s128, 391, 256, 387, true});
  for (const Trits trits : {Trits::kAllPlus, Trits::kAllMinus}) {
    for (const Codes codes : {Codes::kAll127, Codes::kAllMinus127, Codes::kAlternating}) {
      check_large(s, {Layout::kI2s128, 256, 2560, 16, false, trits, codes});
    }
  }
}

void extremes(Subject& s) {
  for (const Trits trits : {Trits::kAllPlus, Trits::kAllMinus, Trits::kAllZero, Trits::kRandom}) {
    for (const Codes codes : {Codes::kAll127, Codes::kAllMinus127, Codes::kAlternating}) {
      for (const Layout layout : kLayouts) {
        for (const uint32_t m : {1u, 3u, 8u}) {
          check(s, {layout, 5, 8192, m, false, trits, codes});
          check(s, {layout, 3, 65536, m, false, trits, codes});
        }
      }
    }
  }
}

void largest_k(Subject& s) {
  for (const Trits trits : {Trits::kAllPlus, Trits::kRandom}) {
    check(s, {Layout::kT2, 2, BN_K_MAX, 2, false, trits, Codes::kAll127});
    check(s, {Layout::kI2s128, 2, BN_K_MAX, 2, false, trits, Codes::kAll127});
    check(s, {Layout::kT2, 2, BN_K_MAX - 1, 1, false, trits, Codes::kAll127});
  }
}

// One weight against one activation: every column must meet its own partner.
void every_column(Subject& s) {
  constexpr uint32_t kRows = 16, kCols = 384;
  const uint32_t k_align = s.kernels().k_align, stride = (kCols + k_align - 1) / k_align * k_align;
  const std::vector<float> one = {1.0f};
  const std::vector<int32_t> sum = {1};
  const auto scratch = s.scratch(Edge::kEnd);
  for (const Layout layout : kLayouts) {
    const TernaryMatrix w(layout, kRows, kCols, Trits::kRandom, 1, 5, Edge::kEnd);
    const PreparedMatrix prepared(s.device(), s.kernels(), w, Edge::kEnd);
    if (prepared.answer == BN_NO) continue;
    std::vector<int8_t> trits(kCols);
    for (uint32_t column = 0; column < kCols; ++column) {
      const Where where(say("%s, x is 1 at column %u and 0 elsewhere", layout == Layout::kT2 ? "bn.t2" : "bn.i2s128", column));
      std::vector<int8_t> x(stride);
      x[column] = 1;
      Output<float> y("y", untouched<float>(kRows), kRows, false, Edge::kEnd);
      const bn_matmul op = {sizeof(bn_matmul), 1,          &prepared.tensor, prepared.packed, x.data(),
                            one.data(),        sum.data(), y.found(),        stride,          kRows};
      for (uint32_t r = 0; r < kRows; ++r) {
        const auto* data = static_cast<const uint8_t*>(w.tensor.data) + r * bn::kit::row_bytes(layout, kCols);
        bn::kit::read_row(layout, data, kCols, trits.data());
        y.expected[r] = static_cast<float>(trits[column]) * (1.0f * w.tensor.scales[0]);
      }
      expect_ok(s.kernels().matmul(s.device(), &op, 0, kRows, scratch->data()), "matmul");
      y.check(accuracy_of(s.kernels()));
    }
  }
}

}  // namespace

Tests matmul_tests() {
  Tests tests = {{"matmul.every_column", kDefinition, every_column}, {"matmul.token_counts", kDefinition, token_counts},
                 {"matmul.odd_shapes", kDefinition, odd_shapes},     {"matmul.group_shapes", kDefinition, group_shapes},
                 {"matmul.model_shapes", kDefinition, model_shapes}, {"matmul.scale_per_row", kDefinition, scale_per_row},
                 {"matmul.many_rows", kDefinition, many_rows},       {"matmul.extremes", kDefinition, extremes},
                 {"matmul.largest_k", kDefinition, largest_k},       {"matmul.blocks", kDefinition, blocks}};
  add_common_tests(tests, "matmul", typical);
  return tests;
}

}  // namespace bitnet::conformance
