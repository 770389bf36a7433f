// kernel/cuda/attention_free_test.cpp - attention of few tokens in free order, emulated, against the kit: near, for every way
// to share the positions out; and what is stored in the cache, bit for bit.
#include "attention_case.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kF16 = BN_DT_F16, kF32 = BN_DT_F32;
constexpr double kNear = 2e-6;  // relative L2 error of all results: sums of up to 600 floats in another order

void expect_near(AttentionMemory& memory, const AttentionCase& c, const char* what) {
  const std::vector<float> want = memory.expected();
  double error = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = static_cast<double>(want[i]) - static_cast<double>(memory.y[i]);
    error += difference * difference;
    size += static_cast<double>(want[i]) * static_cast<double>(want[i]);
  }
  EXPECT_LT(std::sqrt(error / size), kNear) << what << " " << c.name();  // false for NaN
  for (const uint32_t n : memory.arrived) EXPECT_EQ(n, 0u) << what << " " << c.name() << ": a counter is left";
}

void check(const AttentionCase& c) {
  AttentionMemory memory(c);
  const AttentionArgs args = memory.args();
  emulation::launch(attention_free_kernel(c.dtype), attention_decode_shape(args), &args);
  expect_near(memory, c, "free");
}

TEST(CudaAttentionFree, EveryPosition) {
  for (const uint32_t position : {0u, 1u, 31u, 32u, 63u, 127u, 128u, 129u, 300u, 600u}) {
    for (const uint32_t splits : {1u, 3u, 27u}) check({kF16, 4, 1, 64, position, 1, splits, 0});
  }
}

TEST(CudaAttentionFree, EveryHeadDim) {
  for (const uint32_t head_dim : {4u, 8u, 64u, 80u, 96u, 100u, 128u, 192u, 256u}) {
    check({kF16, 4, 1, head_dim, 200, 1, 2, 0});
    check({kF32, 3, 1, head_dim, 200, 1, 2, 0});
    check({kF32, 2, 2, head_dim, 140, 1, 1, 0});
  }
}

TEST(CudaAttentionFree, GroupsOfHeads) {
  for (const uint32_t group : {1u, 2u, 3u, 4u, 5u, 8u, 9u}) check({kF16, 2 * group, 2, 32, 300, 1, 5, 0});
}

TEST(CudaAttentionFree, Window) {
  for (const uint32_t position : {10u, 63u, 64u, 255u, 256u, 300u, 600u}) {
    for (const uint32_t window : {64u, 200u}) check({kF16, 4, 1, 64, position, 1, 4, window});
  }
  check({kF32, 2, 1, 256, 600, 1, 2, 200});
}

TEST(CudaAttentionFree, Guesses) {
  check({kF16, 4, 1, 64, 120, 8, 6, 0});
  check({kF32, 2, 2, 64, 0, 3, 2, 0});
  check({kF16, 4, 1, 64, 250, 8, 3, 64});
}

TEST(CudaAttentionFree, AStoppedSequenceChangesNothing) {
  AttentionMemory memory({kF16, 4, 1, 64, 200, 1, 2, 0});
  memory.state.stopped = 1;
  const AttentionArgs args = memory.args();
  emulation::launch(attention_free_kernel(kF16), attention_decode_shape(args), &args);
  for (const float y : memory.y) ASSERT_EQ(y, -1.0f);
}

// One launch against rope_kernel() and then attention_free: all bits.
void check_fused(AttentionCase c, bool norms) {
  AttentionMemory two(c), one(c);
  const uint32_t D = c.head_dim;
  bitnet::kernel_test::Random random(D);
  const std::vector<float> cosine = random.normals(size_t{c.position + 1} * D / 2), sine = random.normals(cosine.size());
  const std::vector<float> norm = random.normals(D);
  const auto fused_args = [&](AttentionMemory& m) {
    RopeArgs rope{};
    rope.qkv = m.q.data();
    rope.q_norm = rope.k_norm = norms ? norm.data() : nullptr;
    rope.cos = cosine.data(), rope.sin = sine.data();
    rope.k = m.k(), rope.v = m.v();
    rope.state = &m.state;
    rope.kv_stride_head = m.stride();
    rope.qkv_stride = m.q_stride();
    rope.n_heads = c.n_heads, rope.n_kv_heads = c.n_kv_heads, rope.head_dim = D, rope.rope_dim = D;
    rope.rope_kind = BN_ROPE_HALVES, rope.kv_dtype = c.dtype;
    rope.eps = 1e-5f;
    return FusedAttentionArgs{rope, m.args()};
  };
  FusedAttentionArgs args = fused_args(one);
  args.attention.q = nullptr;
  emulation::launch(fused_attention_free_kernel(c.dtype), attention_decode_shape(args.attention), &args);
  args = fused_args(two);
  emulation::launch(rope_kernel(), rope_shape(args.rope, 1), &args.rope);
  emulation::launch(attention_free_kernel(c.dtype), attention_decode_shape(args.attention), &args.attention);
  expect_near(two, c, "two launches");
  EXPECT_TRUE(bitnet::kernel_test::same_bits(two.y.data(), one.y.data(), two.y.size())) << "fused " << c.name();
  const size_t bytes = c.n_kv_heads * two.stride() * two.element();
  EXPECT_EQ(std::memcmp(one.k(), two.k(), bytes), 0) << "keys, " << c.name();
  EXPECT_EQ(std::memcmp(one.v(), two.v(), bytes), 0) << "values, " << c.name();
}

TEST(CudaAttentionFree, FusedWithRope) {
  for (const uint32_t position : {0u, 1u, 31u, 32u, 128u, 300u}) {
    for (const uint32_t splits : {1u, 3u, 20u}) check_fused({kF16, 8, 2, 64, position, 1, splits, 0}, position % 2 == 1);
  }
  check_fused({kF32, 9, 1, 100, 200, 1, 2, 64}, true);
  check_fused({kF32, 2, 1, 256, 161, 1, 2, 0}, false);
}

// As few blocks as fill the GPU, and no more than the context has shares of 32 positions.
TEST(CudaAttentionFree, SplitsFillTheGpu) {
  EXPECT_EQ(attention_free_splits(20, 5, 4096, 132), 27u);
  EXPECT_EQ(attention_free_splits(20, 5, 100, 132), 4u);
  EXPECT_EQ(attention_free_splits(32, 32, 2048, 132), 5u);
  EXPECT_EQ(attention_free_splits(4, 1, 1 << 20, 132), kFreeShares);
}

}  // namespace
}  // namespace bn_cuda
