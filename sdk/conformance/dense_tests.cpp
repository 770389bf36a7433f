// conformance/dense_tests.cpp - embedding and output head: every dtype the plugin offers against the reference body.
#include "bitnet/kit/dense_rows.hpp"
#include "operation.h"

namespace bitnet::conformance {
namespace {

constexpr char kDefinition[] =
    "exact-1, dense: each weight to f32 by its dtype's formula, y[t][r] = S16(w[r], x[t]); int8 rows times their scale last";

struct Case {
  uint32_t dtype, rows, cols, m, gap = 0;
  std::string text() const {
    return say("dtype %u, matrix of %u x %u, m %u, strides + %u, seed %llu", dtype, rows, cols, m, gap,
               static_cast<unsigned long long>(base_seed));
  }
};

void put_f16(uint8_t* at, float x) {
  const uint16_t h = bn::kit::f32_to_f16(x);
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

size_t align_of(uint32_t dtype) { return dtype == BN_DT_F32 ? 4 : dtype == BN_DT_I8_ROW ? 1 : 2; }

class Dense : public OperationOf<bn_dense> {
 public:
  Dense(Subject& s, const Case& c, Edge edge, const std::vector<float>& x)
      : data_("w.data", random_rows(c), edge, align_of(c.dtype)),
        scales_("w.scales", Random(c.m + 1).normals(c.dtype == BN_DT_I8_ROW ? c.rows : 0, 0.02f), edge),
        x_("x", x, edge),
        y_("y", untouched<float>(static_cast<size_t>(c.m - 1) * (c.rows + c.gap) + c.rows), c.rows + c.gap, false, edge) {
    n_a = c.rows;
    granule_a = s.kernels().row_granule;
    w_.struct_size = sizeof w_;
    w_.role = BN_T_OUTPUT;
    w_.layer = BN_NO_LAYER;
    w_.dtype = c.dtype;
    w_.rows = c.rows;
    w_.cols = c.cols;
    w_.n_scales = static_cast<uint32_t>(scales_.size());
    w_.scales = scales_.size() == 0 ? nullptr : scales_.data();
    w_.data = data_.data();
    w_.bytes = data_.size();
    args_ = {sizeof(bn_dense), c.m, &w_, x_.data(), y_.found(), c.cols + c.gap, c.rows + c.gap};
    reference_ = args_;
  }
  static std::vector<float> random_x(const Case& c) {
    return Random(c.m).normals(static_cast<size_t>(c.m - 1) * (c.cols + c.gap) + c.cols);
  }

  const char* name() const override { return "dense"; }
  void reset() override { y_.reset(); }
  // Rows do not depend on each other, so all are computed once.
  void run_reference(Range rows, Range) override {
    if (all_.empty()) {
      all_ = y_.expected;
      reference_.y = all_.data();
      reference().dense(nullptr, &reference_, 0, n_a, nullptr);
    }
    for (size_t row = 0; row < all_.size(); row += reference_.y_stride) {
      std::copy(all_.begin() + static_cast<std::ptrdiff_t>(row + rows.first),
                all_.begin() + static_cast<std::ptrdiff_t>(row + rows.second),
                y_.expected.begin() + static_cast<std::ptrdiff_t>(row + rows.first));
    }
  }
  bn_status call(const bn_kernels_v1& k, bn_device* d, const void* a, Range rows, Range, void* scratch) const override {
    return k.dense(d, static_cast<const bn_dense*>(a), rows.first, rows.second, scratch);
  }
  void check(const Accuracy& accuracy) const override { y_.check(accuracy); }

 private:
  Input<uint8_t> data_;
  Input<float> scales_, x_;
  Output<float> y_;
  bn_tensor w_ = {};
  std::vector<float> all_;
};

void check(Subject& s, const Case& c, const std::vector<float>& x) {
  const Where where(c.text());
  for (const Edge edge : kBothEdges) {
    const Where at(name_of(edge));
    Dense op(s, c, edge, x);
    check_all_ways(s, op, edge);
  }
}
void check(Subject& s, const Case& c) { check(s, c, Dense::random_x(c)); }

// Those on offer whose blocks have so many elements.
std::vector<uint32_t> dtypes(Subject& s, uint32_t block) {
  BN_NEEDS_OP(s, dense);
  std::vector<uint32_t> result;
  for (uint32_t d = 0; d < 64; ++d) {
    if ((s.kernels().dense_dtypes >> d & 1) != 0 && bn::kit::dense_dtype(d).block == block) result.push_back(d);
  }
  return result;
}

std::vector<std::unique_ptr<Operation>> typical(Subject& s, Edge edge) {
  std::vector<std::unique_ptr<Operation>> operations;
  for (const uint32_t block : {1u, 32u, 256u}) {
    for (const uint32_t dtype : dtypes(s, block)) {
      const Case c = {dtype, 48, block == 1 ? 600u : 512u, 3, 5};
      operations.push_back(std::make_unique<Dense>(s, c, edge, Dense::random_x(c)));
    }
  }
  if (operations.empty()) throw NotApplicable{"dense_dtypes names no dtype of formats.h"};
  return operations;
}

void plain_rows(Subject& s) {
  for (const uint32_t dtype : dtypes(s, 1)) {
    for (const uint32_t cols : {1u,   7u,   8u,   15u,  16u,  17u,  31u,  32u,  100u, 127u,  128u, 240u,
                                255u, 256u, 257u, 271u, 272u, 320u, 511u, 512u, 513u, 1000u, 2560u}) {
      check(s, {dtype, 9, cols, 1});
      check(s, {dtype, 5, cols, 3, 5});
    }
  }
}

void blocks_of_32(Subject& s) {
  for (const uint32_t dtype : dtypes(s, 32)) {
    for (const uint32_t cols : {32u, 64u, 96u, 224u, 256u, 288u, 320u, 512u, 544u, 2560u}) {
      check(s, {dtype, 9, cols, 1});
      check(s, {dtype, 5, cols, 3, 5});
    }
  }
}

void blocks_of_256(Subject& s) {
  for (const uint32_t dtype : dtypes(s, 256)) {
    for (const uint32_t cols : {256u, 512u, 768u, 2560u}) {
      check(s, {dtype, 9, cols, 1});
      check(s, {dtype, 5, cols, 3, 5});
    }
  }
}

void token_and_row_counts(Subject& s) {
  for (const uint32_t block : {1u, 32u, 256u}) {
    for (const uint32_t dtype : dtypes(s, block)) {
      for (const uint32_t m : {1u, 2u, 4u, 5u, 6u, 7u, 8u, 17u, 33u}) check(s, {dtype, 6, 512, m});
      for (const uint32_t rows : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 13u, 67u}) check(s, {dtype, rows, 256, 2});
    }
  }
}

void many_rows(Subject& s) {
  for (const uint32_t dtype : dtypes(s, 1)) {
    for (const uint32_t cols : {256u, 2560u}) check(s, {dtype, 64, cols, 2});
  }
}

// Sums that run through subnormals, both zeros and the largest numbers.
void special_values(Subject& s) {
  for (const uint32_t block : {1u, 32u, 256u}) {
    for (const uint32_t dtype : dtypes(s, block)) {
      for (const float size : {0.0f, 1e-44f, 1e-38f, 1e-30f, 1e30f}) {
        const Where where(say("x of size %g, with -0 in between", static_cast<double>(size)));
        std::vector<float> x = Random(3).normals(512, size);
        for (size_t i = 0; i < x.size(); i += 5) x[i] = -0.0f;
        check(s, {dtype, 4, 512, 1}, x);
      }
    }
  }
}

}  // namespace

Tests dense_tests() {
  Tests tests = {
      {"dense.plain_rows", kDefinition, plain_rows},       {"dense.blocks_of_32", kDefinition, blocks_of_32},
      {"dense.blocks_of_256", kDefinition, blocks_of_256}, {"dense.token_and_row_counts", kDefinition, token_and_row_counts},
      {"dense.many_rows", kDefinition, many_rows},         {"dense.special_values", kDefinition, special_values}};
  add_common_tests(tests, "dense", typical);
  return tests;
}

}  // namespace bitnet::conformance
