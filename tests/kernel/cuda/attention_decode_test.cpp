// kernel/cuda/attention_decode_test.cpp - attention of few tokens, emulated, against the kit: the same bits for every way to
// deal the chunks to blocks.
#include "attention_case.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kF16 = BN_DT_F16, kF32 = BN_DT_F32;

constexpr AttentionUnderTest kDecode = {"decode", attention_decode_kernel, attention_decode_shape};
void check(const AttentionCase& c) { kDecode.check(c); }

TEST(CudaAttentionDecode, EveryPosition) {
  for (const uint32_t position : {0u, 1u, 31u, 127u, 128u, 129u, 300u, 600u}) {
    for (const uint32_t splits : {1u, 3u}) check({kF16, 4, 1, 64, position, 1, splits, 0});
  }
}

TEST(CudaAttentionDecode, EverySplit) {
  for (uint32_t splits = 1; splits <= 5; ++splits) {
    check({kF16, 4, 2, 64, 600, 1, splits, 0});
    check({kF32, 5, 1, 64, 600, 1, splits, 0});
  }
  check({kF16, 4, 1, 64, 600, 1, 20, 0});  // a block for every head and chunk
  check({kF16, 4, 1, 64, 600, 1, 64, 0});
}

TEST(CudaAttentionDecode, EveryHeadDim) {
  for (const uint32_t head_dim : kHeadDims) {
    check({kF16, 4, 1, head_dim, 200, 1, 2, 0});
    check({kF32, 3, 1, head_dim, 200, 1, 2, 0});
    check({kF32, 2, 2, head_dim, 140, 1, 1, 0});
  }
}

TEST(CudaAttentionDecode, GroupsOfHeads) {
  for (const uint32_t group : {1u, 2u, 3u, 4u, 5u, 8u, 9u}) check({kF16, 2 * group, 2, 32, 300, 1, 2, 0});
}

TEST(CudaAttentionDecode, Window) {
  for (const uint32_t position : {10u, 63u, 64u, 255u, 256u, 300u, 600u}) {
    for (const uint32_t window : {64u, 200u}) check({kF16, 4, 1, 64, position, 1, 2, window});
  }
  check({kF32, 2, 1, 256, 600, 1, 2, 200});
}

TEST(CudaAttentionDecode, Guesses) {
  check({kF16, 4, 1, 64, 120, 16, 2, 0});
  check({kF32, 2, 2, 64, 0, 3, 2, 0});
  check({kF16, 4, 1, 64, 250, 9, 3, 64});
}

TEST(CudaAttentionDecode, ManyChunksAreJoinedInBatches) { check({kF16, 1, 1, 8, 128 * 70 + 5, 1, 7, 0}); }

TEST(CudaAttentionDecode, AStoppedSequenceChangesNothing) { kDecode.check_stopped({kF16, 4, 1, 64, 200, 1, 2, 0}); }

// One launch against two: the same result, and the same cache. The result of two is the kit's.
void check_fused(AttentionCase c, uint32_t rope_dim, bool norms) {
  AttentionMemory two(c), one(c);
  const uint32_t D = c.head_dim, half = rope_dim / 2;
  bitnet::kernel_test::Random random(D);
  const std::vector<float> cosine = random.normals(size_t{c.position + 1} * half), sine = random.normals(cosine.size());
  const std::vector<float> q_norm = random.normals(D), k_norm = random.normals(D);
  const auto fused_args = [&](AttentionMemory& m) {
    const RopeArgs rope{m.q.data(),
                        norms ? q_norm.data() : nullptr,
                        norms ? k_norm.data() : nullptr,
                        cosine.data(),
                        sine.data(),
                        m.k(),
                        m.v(),
                        &m.state,
                        m.stride(),
                        m.q_stride(),
                        c.n_heads,
                        c.n_kv_heads,
                        D,
                        rope_dim,
                        BN_ROPE_HALVES,
                        c.dtype,
                        1e-5f};
    return FusedAttentionArgs{rope, m.args()};
  };
  FusedAttentionArgs args = fused_args(one);
  args.attention.q = nullptr;
  emulation::launch(fused_attention_kernel(c.dtype), attention_decode_shape(args.attention), &args);
  args = fused_args(two);
  emulation::launch(rope_kernel(), rope_shape(args.rope, 1), &args.rope);
  emulation::launch(attention_decode_kernel(c.dtype), attention_decode_shape(args.attention), &args.attention);
  two.check("two launches");
  EXPECT_TRUE(bitnet::kernel_test::same_bits(two.y.data(), one.y.data(), two.y.size())) << "fused " << c.name();
  const size_t bytes = c.n_kv_heads * two.stride() * two.element();
  EXPECT_EQ(std::memcmp(one.k(), two.k(), bytes), 0) << "keys, " << c.name();
  EXPECT_EQ(std::memcmp(one.v(), two.v(), bytes), 0) << "values, " << c.name();
  for (const uint32_t n : one.arrived) EXPECT_EQ(n, 0u);
}

TEST(CudaAttentionDecode, FusedWithRope) {
  for (const uint32_t position : {0u, 1u, 31u, 127u, 128u, 129u, 300u, 600u}) {
    for (const uint32_t splits : {1u, 3u, 20u}) check_fused({kF16, 8, 2, 64, position, 1, splits, 0}, 64, position % 2 == 1);
  }
  check_fused({kF32, 5, 1, 100, 200, 1, 2, 64}, 60, true);
  check_fused({kF32, 2, 1, 256, 161, 1, 2, 0}, 256, false);
  check_fused({kF16, 4, 4, 100, 130, 1, 5, 0}, 100, false);
}

TEST(CudaAttentionDecode, SplitsFillTheGpu) {
  EXPECT_EQ(attention_decode_splits(20, 5, 4096, 132), 27u);
  EXPECT_EQ(attention_decode_splits(20, 5, 100, 132), 4u);  // one chunk, four heads
  EXPECT_EQ(attention_decode_splits(32, 32, 2048, 132), 5u);
}

}  // namespace
}  // namespace bn_cuda
