// kernel/threads_test.cpp - four threads on disjoint ranges of one op give the bits of one thread.
#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "bitnet/kit/rope_tables.hpp"
#include "kernel/compare.h"
#include "kernel/plugin_under_test.h"
#include "kernel/ternary_matrix.h"

namespace bitnet::kernel_test {
namespace {

constexpr uint32_t kThreads = 4;
constexpr int kRounds = 3;
constexpr int kRepeats = 300;  // long enough for the threads to meet even on two busy cores

class ThreadsTest : public KernelTest {
 protected:
  // Cuts [0, n) into pieces of `granule` that the threads take alternately, each with scratch of its own.
  // Calls op(begin, end, scratch) for each, `repeats` times over; all threads start together.
  void in_parallel(uint32_t n, uint32_t granule, const std::function<bn_status(uint32_t, uint32_t, void*)>& op,
                   int repeats = kRepeats) const {
    std::atomic<uint32_t> waiting = kThreads;
    std::atomic<int> failures = 0;
    std::vector<std::thread> threads;
    for (uint32_t k = 0; k < kThreads; ++k) {
      threads.emplace_back([&, k] {
        const auto memory = scratch(Edge::kEnd);
        --waiting;
        while (waiting > 0) std::this_thread::yield();
        for (int i = 0; i < repeats; ++i) {
          for (uint32_t begin = k * granule; begin < n; begin += kThreads * granule) {
            if (op(begin, std::min(n, begin + granule), memory->data()) != BN_OK) ++failures;
          }
        }
      });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(failures, 0);
  }
};

TEST_P(ThreadsTest, Matmul) {
  for (const Layout layout : {Layout::kI2s128, Layout::kT2}) {
    constexpr uint32_t kRows = 96, kCols = 640, kTokens = 5;
    const TernaryMatrix w(layout, kRows, kCols, Trits::kRandom, kRows, 3, Edge::kEnd);
    const PreparedMatrix prepared(device(), plugin(), w, Edge::kEnd);
    if (prepared.answer == BN_NO) continue;
    const Activations a(kTokens, kCols, plugin().k_align, 0, Codes::kRandom, 4);
    std::vector<float> expected(kTokens * kRows);
    std::vector<uint8_t> memory = reference_scratch();
    bn_matmul op = {sizeof(bn_matmul), kTokens,      &w.tensor,       w.tensor.data, a.x.data(),
                    a.scale.data(),    a.sum.data(), expected.data(), a.stride,      kRows};
    reference().matmul(nullptr, &op, 0, kRows, memory.data());
    op.w = &prepared.tensor;
    op.packed = prepared.packed;
    for (int round = 0; round < kRounds; ++round) {
      const Guarded<float> y(untouched<float>(expected.size()), Edge::kEnd);
      op.y = y.data();
      in_parallel(kRows, plugin().row_granule,
                  [&](uint32_t r0, uint32_t r1, void* s) { return plugin().matmul(device(), &op, r0, r1, s); });
      ASSERT_TRUE(same_bits(expected, y));
    }
  }
}

TEST_P(ThreadsTest, Pack) {
  constexpr uint32_t kRows = 96;
  const TernaryMatrix w(Layout::kT2, kRows, 640, Trits::kRandom, 1, 3, Edge::kEnd);
  if (plugin().accepts(device(), &w.tensor) != BN_PACK) GTEST_SKIP() << "the plugin reads bn.t2 in place";
  uint64_t bytes = 0;
  bn_format layout = {};
  layout.struct_size = sizeof layout;
  ASSERT_EQ(plugin().pack_size(device(), &w.tensor, &bytes, &layout, nullptr), BN_OK);
  GuardedBytes whole(bytes, Edge::kEnd, 64), parts(bytes, Edge::kEnd, 64);
  ASSERT_EQ(plugin().pack(device(), &w.tensor, 0, kRows, whole.data(), nullptr), BN_OK);
  for (int round = 0; round < kRounds; ++round) {
    std::memset(parts.data(), round, bytes);
    in_parallel(kRows, plugin().row_granule, [&](uint32_t r0, uint32_t r1, void*) {
      return plugin().pack(device(), &w.tensor, r0, r1, parts.data(), nullptr);
    });
    ASSERT_TRUE(same_bits(whole.data(), parts.data(), bytes));
  }
}

TEST_P(ThreadsTest, Dense) {
  BITNET_NEEDS_OP(dense);
  if ((plugin().dense_dtypes >> BN_DT_F16 & 1) == 0) GTEST_SKIP() << "the plugin has no f16 rows";
  constexpr uint32_t kRows = 96, kCols = 600, kTokens = 3;
  Random random(1);
  std::vector<uint16_t> data(kRows * kCols);
  for (uint16_t& h : data) h = bn::kit::f32_to_f16(random.normal());
  const std::vector<float> x = random.normals(kTokens * kCols);
  bn_tensor w = {};
  w.struct_size = sizeof w;
  w.dtype = BN_DT_F16;
  w.rows = kRows;
  w.cols = kCols;
  w.data = data.data();
  w.bytes = data.size() * 2;
  std::vector<float> expected(kTokens * kRows);
  bn_dense op = {sizeof(bn_dense), kTokens, &w, x.data(), expected.data(), kCols, kRows};
  reference().dense(nullptr, &op, 0, kRows, nullptr);
  for (int round = 0; round < kRounds; ++round) {
    const Guarded<float> y(untouched<float>(expected.size()), Edge::kEnd);
    op.y = y.data();
    in_parallel(kRows, plugin().row_granule,
                [&](uint32_t r0, uint32_t r1, void* s) { return plugin().dense(device(), &op, r0, r1, s); });
    ASSERT_TRUE(same_bits(expected, y));
  }
}

TEST_P(ThreadsTest, Norm) {
  BITNET_NEEDS_OP(norm);
  constexpr uint32_t kVectors = 32, kN = 600;
  Random random(1);
  const std::vector<float> x = random.normals(kVectors * kN), gain = random.normals(kN);
  std::vector<float> y(x.size()), q_scale(kVectors);
  std::vector<int8_t> q(x.size());
  std::vector<int32_t> q_sum(kVectors);
  bn_norm op = {sizeof(bn_norm), kN,       1e-5f,          kN,          kN, kN, x.data(), gain.data(),
                y.data(),        q.data(), q_scale.data(), q_sum.data()};
  reference().norm(nullptr, &op, 0, kVectors, nullptr);
  for (int round = 0; round < kRounds; ++round) {
    const Guarded<float> out_y(untouched<float>(y.size()), Edge::kEnd), out_scale(untouched<float>(kVectors), Edge::kEnd);
    const Guarded<int8_t> out_q(untouched<int8_t>(q.size()), Edge::kEnd);
    const Guarded<int32_t> out_sum(untouched<int32_t>(kVectors), Edge::kEnd);
    op.y = out_y.data();
    op.q = out_q.data();
    op.q_scale = out_scale.data();
    op.q_sum = out_sum.data();
    in_parallel(kVectors, 1, [&](uint32_t v0, uint32_t v1, void* s) { return plugin().norm(device(), &op, v0, v1, s); });
    ASSERT_TRUE(same_bits(y, out_y));
    ASSERT_TRUE(same_bits(q, out_q));
    ASSERT_TRUE(same_bits(q_scale, out_scale));
    ASSERT_TRUE(same_bits(q_sum, out_sum));
  }
}

TEST_P(ThreadsTest, Rope) {
  BITNET_NEEDS_OP(rope);
  constexpr uint32_t kTokens = 256, kHeads = 8, kDim = 128;
  std::vector<float> cosine(kTokens * kDim / 2), sine(cosine.size());
  bn::kit::fill_rope_tables(0, kTokens, kDim, 5e5, 1.0, nullptr, cosine.data(), sine.data());
  const std::vector<float> before = Random(1).normals(kTokens * kHeads * kDim);
  std::vector<float> expected = before;
  bn_rope op = {sizeof(bn_rope), BN_ROPE_HALVES, kHeads,     kDim, kDim, 0, kHeads * kDim, 0,
                expected.data(), cosine.data(),  sine.data()};
  reference().rope(nullptr, &op, 0, kTokens, 0, kHeads, nullptr);
  for (int round = 0; round < 10 * kRounds; ++round) {
    const Guarded<float> x(before, Edge::kEnd);
    op.x = x.data();
    in_parallel(
        kHeads, 1, [&](uint32_t h0, uint32_t h1, void* s) { return plugin().rope(device(), &op, 0, kTokens, h0, h1, s); }, 1);
    ASSERT_TRUE(same_bits(expected, x));
  }
}

TEST_P(ThreadsTest, Attention) {
  BITNET_NEEDS_OP(attention);
  constexpr uint32_t kTokens = 4, kHeads = 8, kDim = 128, kPos0 = 200;
  Random random(1);
  const std::vector<float> q = random.normals(kTokens * kHeads * kDim);
  const std::vector<float> k = random.normals(2 * BN_KV_PAGE * kDim), v = random.normals(2 * BN_KV_PAGE * kDim);
  const void* k_pages[] = {&k[0], &k[BN_KV_PAGE * kDim]};
  const void* v_pages[] = {&v[0], &v[BN_KV_PAGE * kDim]};
  std::vector<float> expected(q.size());
  bn_attn op = {sizeof(bn_attn), kHeads,        1,     kDim,     kPos0,   0,       BN_DT_F32,      kDim, kDim,
                kHeads * kDim,   kHeads * kDim, 0.09f, q.data(), k_pages, v_pages, expected.data()};
  reference().attention(nullptr, &op, 0, kTokens, 0, kHeads, nullptr);
  for (int round = 0; round < kRounds; ++round) {
    const Guarded<float> y(untouched<float>(expected.size()), Edge::kEnd);
    op.y = y.data();
    in_parallel(kHeads, 1,
                [&](uint32_t h0, uint32_t h1, void* s) { return plugin().attention(device(), &op, 0, kTokens, h0, h1, s); });
    ASSERT_TRUE(same_bits(expected, y));
  }
}

TEST_P(ThreadsTest, Glu) {
  BITNET_NEEDS_OP(glu);
  constexpr uint32_t kTokens = 3, kCols = 999;
  const std::vector<float> gate = Random(1).normals(kTokens * kCols), up = Random(2).normals(kTokens * kCols);
  std::vector<float> expected(gate.size());
  bn_glu op = {sizeof(bn_glu), BN_ACT_SILU, kCols, kCols, kCols, 0, gate.data(), up.data(), expected.data()};
  reference().glu(nullptr, &op, 0, kTokens, 0, kCols, nullptr);
  for (int round = 0; round < kRounds; ++round) {
    const Guarded<float> y(untouched<float>(expected.size()), Edge::kEnd);
    op.y = y.data();
    in_parallel(kCols, 13,
                [&](uint32_t c0, uint32_t c1, void* s) { return plugin().glu(device(), &op, 0, kTokens, c0, c1, s); });
    ASSERT_TRUE(same_bits(expected, y));
  }
}

BITNET_FOR_EVERY_PLUGIN(ThreadsTest);

}  // namespace
}  // namespace bitnet::kernel_test
