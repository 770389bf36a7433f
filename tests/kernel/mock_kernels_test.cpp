// kernel/mock_kernels_test.cpp - the mock's faithful kernels: the reference bits without faults, and exactly one fault where
// the script says.
#include <cmath>
#include <cstring>
#include <vector>

#include "bitnet/kit/portable.h"
#include "bitnet/kit/rope_tables.hpp"
#include "kernel/compare.h"
#include "kernel/mock_plugin.h"
#include "kernel/ternary_matrix.h"

namespace bitnet::mock_test {
namespace {

using kernel_test::Activations;
using kernel_test::Codes;
using kernel_test::Edge;
using kernel_test::Layout;
using kernel_test::Random;
using kernel_test::same_bits;
using kernel_test::TernaryMatrix;
using kernel_test::Trits;

// One call of each op on fixed small inputs, for any kernels table.
class Ops {
 public:
  Ops(const bn_kernels_v1* table, bn_device* device) : table_(*table), device_(device), scratch_(table->scratch_bytes) {
    bn::kit::fill_rope_tables(0, 64, kDim, 1e4, 1.0, nullptr, cosine_.data(), sine_.data());
  }

  bn_status matmul(uint32_t m = 2) {
    const Activations a(m, 128, table_.k_align, 0, Codes::kRandom, 1);
    y.assign(m * 8, 0.0f);
    const bn_matmul op = {sizeof(bn_matmul), m,        &w_.tensor, w_.tensor.data, a.x.data(), a.scale.data(), a.sum.data(),
                          y.data(),          a.stride, 8};
    return table_.matmul(device_, &op, 0, 8, scratch_.data());
  }
  bn_status dense() {
    bn_tensor w = {};
    w.struct_size = sizeof w;
    w.dtype = BN_DT_F32;
    w.rows = 4;
    w.cols = 32;
    w.data = data_.data();
    y.assign(4, 0.0f);
    const bn_dense op = {sizeof(bn_dense), 1, &w, &data_[200], y.data(), 32, 4};
    return table_.dense(device_, &op, 0, 4, scratch_.data());
  }
  bn_status norm(bool wants_y = true) {
    y.assign(64, 0.0f);
    q.assign(64, 0);
    q_scale.assign(2, 0.0f);
    int32_t sum[2];
    const bn_norm op = {sizeof(bn_norm), 32, 1e-5f, 32, 32, 32, data_.data(), nullptr, wants_y ? y.data() : nullptr, q.data(),
                        q_scale.data(),  sum};
    return table_.norm(device_, &op, 0, 2, scratch_.data());
  }
  bn_status rope(uint32_t pos0 = 3) {
    y.assign(data_.begin(), data_.begin() + kDim);
    const bn_rope op = {sizeof(bn_rope), BN_ROPE_HALVES, 1, kDim, kDim, pos0, kDim, 0, y.data(), cosine_.data(), sine_.data()};
    return table_.rope(device_, &op, 0, 1, 0, 1, scratch_.data());
  }
  bn_status attention(uint32_t pos0 = 3, uint32_t m = 1) {
    const void* k[] = {data_.data()};
    const void* v[] = {&data_[BN_KV_PAGE * kDim]};
    y.assign(m * kDim, 0.0f);
    const bn_attn op = {sizeof(bn_attn), 1, 1, kDim,    pos0, 0, BN_DT_F32, kDim, kDim, kDim, kDim, 0.25f,
                        data_.data(),    k, v, y.data()};
    return table_.attention(device_, &op, 0, m, 0, 1, scratch_.data());
  }
  bn_status glu() {
    y.assign(32, 0.0f);
    const bn_glu op = {sizeof(bn_glu), BN_ACT_SILU, 32, 32, 32, 0, data_.data(), &data_[32], y.data()};
    return table_.glu(device_, &op, 0, 1, 0, 32, scratch_.data());
  }
  // What the runtime does for one step of m tokens: here two layers of one matmul and two attention ranges each.
  bn_status step(uint32_t pos0, uint32_t m) {
    for (int layer = 0; layer < 2; ++layer) {
      if (const bn_status status = matmul(m); status != BN_OK) return status;
      for (int range = 0; range < 2; ++range) {
        if (const bn_status status = attention(pos0, m); status != BN_OK) return status;
      }
    }
    return BN_OK;
  }

  std::vector<float> y, q_scale;
  std::vector<int8_t> q;

 private:
  static constexpr uint32_t kDim = 16;
  bn_kernels_v1 table_;
  bn_device* device_;
  std::vector<uint8_t> scratch_;
  TernaryMatrix w_{Layout::kI2s128, 8, 128, Trits::kRandom, 1, 5, Edge::kEnd};
  std::vector<float> data_ = Random(1).normals(2 * BN_KV_PAGE * kDim);
  std::vector<float> cosine_ = std::vector<float>(64 * kDim / 2), sine_ = cosine_;
};

// The faithful mock with a script.
struct Mock {
  explicit Mock(const std::string& script)
      : device(open_mock(with_faults("faithful", script))),
        table(static_cast<const bn_kernels_v1*>(mock().get_interface(device.get(), BN_KERNELS_ID))),
        ops(table, device.get()) {}
  Device device;
  const bn_kernels_v1* table;
  Ops ops;
};

using Op = bn_status (*)(Ops&);
struct NamedOp {
  const char* name;
  Op run;
};
constexpr NamedOp kOps[] = {{"matmul", [](Ops& o) { return o.matmul(); }},       {"dense", [](Ops& o) { return o.dense(); }},
                            {"norm", [](Ops& o) { return o.norm(); }},           {"rope", [](Ops& o) { return o.rope(); }},
                            {"attention", [](Ops& o) { return o.attention(); }}, {"glu", [](Ops& o) { return o.glu(); }}};

std::vector<float> reference(const NamedOp& op) {
  Ops ops(bn_portable_kernels(), nullptr);
  EXPECT_EQ(op.run(ops), BN_OK);
  return ops.y;
}

TEST(MockKernels, WithoutFaultsTheBitsAreTheReferences) {
  Mock m("");
  EXPECT_EQ(m.table->numerics, static_cast<uint32_t>(BN_EXACT_1));
  EXPECT_EQ(m.table->dense_dtypes, bn_portable_kernels()->dense_dtypes);
  for (const NamedOp& op : kOps) {
    const std::vector<float> expected = reference(op);
    ASSERT_EQ(op.run(m.ops), BN_OK) << op.name;
    EXPECT_TRUE(same_bits(expected.data(), m.ops.y.data(), expected.size())) << op.name;
  }
}

TEST(MockKernels, WrongDamagesTheFirstNumberOfOneCall) {
  for (const NamedOp& op : kOps) {
    const std::vector<float> expected = reference(op);
    Mock m(std::string(op.name) + "@2=wrong");
    for (int call = 1; call <= 3; ++call) {
      ASSERT_EQ(op.run(m.ops), BN_OK) << op.name;
      EXPECT_EQ(m.ops.y[0] != expected[0], call == 2) << op.name << " call " << call;
      EXPECT_TRUE(same_bits(&expected[1], &m.ops.y[1], expected.size() - 1)) << op.name;
    }
  }
}

TEST(MockKernels, NanDamagesTheFirstNumberOfOneCall) {
  for (const NamedOp& op : kOps) {
    Mock m(std::string(op.name) + "@1=nan");
    ASSERT_EQ(op.run(m.ops), BN_OK);
    EXPECT_TRUE(std::isnan(m.ops.y[0])) << op.name;
    EXPECT_FALSE(std::isnan(m.ops.y[1])) << op.name;
    ASSERT_EQ(op.run(m.ops), BN_OK);
    EXPECT_FALSE(std::isnan(m.ops.y[0])) << op.name;
  }
}

// Ops here are asked for all of their output, so the number behind it is nobody's: room for it is made.
TEST(MockKernels, OobWritesOneNumberBehindTheRange) {
  for (const NamedOp& op : kOps) {
    const std::vector<float> expected = reference(op);
    Mock m(std::string(op.name) + "@1=oob");
    m.ops.y.assign(1000, 0.0f);  // the memory stays
    ASSERT_EQ(op.run(m.ops), BN_OK) << op.name;
    // The first token's range ends inside the buffer when there are two of them, else behind it.
    size_t changed = 0;
    for (size_t i = 0; i < expected.size(); ++i) changed += m.ops.y[i] != expected[i];
    const bool behind = *(m.ops.y.data() + expected.size()) == 1.0f;
    EXPECT_EQ(changed + (behind ? 1 : 0), 1u) << op.name;
  }
}

TEST(MockKernels, WrappedPluginComputesBehindTheFaults) {
  const std::string wrap =
      R"({"mode": "faithful", "wrap": ")" BITNET_PLUGIN_DIR R"(/bn_cpu_portable.so", "faults": "glu@2=oom"})";
  const Device device = open_mock(wrap);
  const auto* table = static_cast<const bn_kernels_v1*>(mock().get_interface(device.get(), BN_KERNELS_ID));
  ASSERT_NE(table, nullptr);
  Ops ops(table, device.get());
  for (const NamedOp& op : kOps) {
    const std::vector<float> expected = reference(op);
    ASSERT_EQ(op.run(ops), BN_OK) << op.name;
    EXPECT_TRUE(same_bits(expected.data(), ops.y.data(), expected.size())) << op.name;
  }
  EXPECT_EQ(ops.glu(), BN_E_NO_MEMORY);
  EXPECT_NE(refusal(R"({"mode": "faithful", "wrap": ")" BITNET_PLUGIN_DIR R"(/bn_mock.so"})").find("no bn.kernels/1"),
            std::string::npos)
      << "an inner mock is canned unless wrap_options says otherwise";
  const std::string twice = R"({"mode": "faithful", "wrap": ")" BITNET_PLUGIN_DIR
                            R"(/bn_mock.so", "wrap_options": {"mode": "faithful", "faults": "rope@1=error:data"}})";
  const Device outer = open_mock(twice);
  Ops through(static_cast<const bn_kernels_v1*>(mock().get_interface(outer.get(), BN_KERNELS_ID)), outer.get());
  EXPECT_EQ(through.rope(), BN_E_DATA);
  EXPECT_EQ(through.rope(), BN_OK);
}

TEST(MockKernels, NormWithoutFloatResultDamagesTheScale) {
  Mock m("norm=nan");
  ASSERT_EQ(m.ops.norm(false), BN_OK);
  EXPECT_TRUE(std::isnan(m.ops.q_scale[0]));
  EXPECT_FALSE(std::isnan(m.ops.q_scale[1]));
}

TEST(MockKernels, ErrorsComeFromTheNamedOpOnly) {
  for (const NamedOp& failing : kOps) {
    Mock m(std::string(failing.name) + "@2=throw;" + failing.name + "@3=oom;" + failing.name + "@4=error:data");
    const bn_status expected[] = {BN_OK, BN_E_INTERNAL, BN_E_NO_MEMORY, BN_E_DATA, BN_OK};
    for (const bn_status status : expected) {
      EXPECT_EQ(failing.run(m.ops), status) << failing.name;
      for (const NamedOp& other : kOps) {
        if (other.name != failing.name) {
          EXPECT_EQ(other.run(m.ops), BN_OK) << other.name;
        }
      }
    }
  }
}

TEST(MockKernels, LostEndsEverything) {
  Mock m("glu@1=lost");
  EXPECT_EQ(m.ops.matmul(), BN_OK);
  EXPECT_EQ(m.ops.glu(), BN_E_DEVICE_LOST);
  for (const NamedOp& op : kOps) EXPECT_EQ(op.run(m.ops), BN_E_DEVICE_LOST) << op.name;
}

TEST(MockKernels, TokenFailsInTheStepThatWouldGiveIt) {
  for (const uint32_t token : {2u, 3u, 17u}) {
    Mock m("token@" + std::to_string(token) + "=lost");
    ASSERT_EQ(m.ops.step(0, 5), BN_OK);  // gives token 1
    for (uint32_t given = 2; given < token; ++given) ASSERT_EQ(m.ops.step(5 + given - 2, 1), BN_OK) << given;
    EXPECT_EQ(m.ops.step(5 + token - 2, 1), BN_E_DEVICE_LOST) << token;
  }
  EXPECT_EQ(Mock("token@1=lost").ops.step(0, 5), BN_E_DEVICE_LOST);
}

TEST(MockKernels, TokenIsCountedFromTheEndOfASplitPrompt) {
  Mock m("token@2=oom");
  ASSERT_EQ(m.ops.step(0, 4), BN_OK);
  ASSERT_EQ(m.ops.step(4, 3), BN_OK);
  EXPECT_EQ(m.ops.step(7, 1), BN_E_NO_MEMORY);
}

TEST(MockKernels, PrefillIsCountedInSteps) {
  Mock m("prefill@2=oom");
  ASSERT_EQ(m.ops.step(0, 4), BN_OK);
  ASSERT_EQ(m.ops.step(4, 1), BN_OK);
  EXPECT_EQ(m.ops.step(5, 3), BN_E_NO_MEMORY);
  EXPECT_EQ(m.ops.step(5, 3), BN_OK);
}

TEST(MockKernels, EveryPrefillFailsWithoutWhen) {
  Mock m("prefill=error:busy");
  for (int attempt = 0; attempt < 3; ++attempt) EXPECT_EQ(m.ops.step(0, 4), BN_E_BUSY) << attempt;
}

TEST(MockKernels, TheHeadEndsAStep) {
  Mock m("prefill@2=oom");
  ASSERT_EQ(m.ops.step(0, 4), BN_OK);
  ASSERT_EQ(m.ops.dense(), BN_OK);
  EXPECT_EQ(m.ops.step(0, 4), BN_E_NO_MEMORY) << "the same prompt again";
}

TEST(MockKernels, StepFaultsHitOneCallOfTheStep) {
  Mock m("token@2=nan");
  ASSERT_EQ(m.ops.step(0, 5), BN_OK);
  ASSERT_EQ(m.ops.matmul(1), BN_OK);
  ASSERT_EQ(m.ops.attention(5, 1), BN_OK);
  EXPECT_TRUE(std::isnan(m.ops.y[0]));
  ASSERT_EQ(m.ops.attention(5, 1), BN_OK);
  EXPECT_FALSE(std::isnan(m.ops.y[0]));
}

TEST(MockKernels, PacksOnlyIfARuleWaitsForIt) {
  const TernaryMatrix w(Layout::kI2s128, 8, 128, Trits::kRandom, 1, 5, Edge::kEnd);
  Mock native("matmul@9=lost");
  EXPECT_EQ(native.table->accepts(native.device.get(), &w.tensor), BN_NATIVE);
  Mock packing("pack@2=oom");
  ASSERT_EQ(packing.table->accepts(packing.device.get(), &w.tensor), BN_PACK);
  bn_format layout = {};
  layout.struct_size = sizeof layout;
  uint64_t bytes = 0;
  bn_error error = empty_error();
  ASSERT_EQ(packing.table->pack_size(packing.device.get(), &w.tensor, &bytes, &layout, &error), BN_OK);
  ASSERT_EQ(bytes, w.tensor.bytes);
  std::vector<uint8_t> packed(bytes);
  EXPECT_EQ(packing.table->pack(packing.device.get(), &w.tensor, 0, 8, packed.data(), &error), BN_OK);
  EXPECT_EQ(std::memcmp(packed.data(), w.tensor.data, bytes), 0);
  EXPECT_EQ(packing.table->pack(packing.device.get(), &w.tensor, 0, 8, packed.data(), &error), BN_E_NO_MEMORY);
  EXPECT_NE(std::string(error.message).find("pack@2=oom"), std::string::npos);
}

TEST(MockKernels, AcceptsCanBeTakenAway) {
  const TernaryMatrix w(Layout::kT2, 8, 100, Trits::kRandom, 1, 5, Edge::kEnd);
  Mock m("accepts@1=throw;accepts@2=error:unsupported");
  EXPECT_EQ(m.table->accepts(m.device.get(), &w.tensor), BN_NO);
  EXPECT_EQ(m.table->accepts(m.device.get(), &w.tensor), BN_NO);
  EXPECT_EQ(m.table->accepts(m.device.get(), &w.tensor), BN_NATIVE);
}

}  // namespace
}  // namespace bitnet::mock_test
