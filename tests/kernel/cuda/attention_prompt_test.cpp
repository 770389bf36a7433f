// kernel/cuda/attention_prompt_test.cpp - attention of many tokens, emulated, against the kit: the same bits.
#include "attention_case.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kF16 = BN_DT_F16, kF32 = BN_DT_F32;

constexpr AttentionUnderTest kPrompt = {"prompt", attention_prompt_kernel, attention_prompt_shape};
void check(const AttentionCase& c) { kPrompt.check(c); }

TEST(CudaAttentionPrompt, EveryPosition) {
  for (const uint32_t position : {0u, 1u, 127u, 128u, 129u, 300u, 600u}) check({kF16, 4, 1, 64, position, 17, 0, 0});
}

TEST(CudaAttentionPrompt, EveryLength) {
  for (const uint32_t tokens : {1u, 3u, 31u, 32u, 33u, 130u}) {
    check({kF16, 1, 1, 64, 0, tokens, 0, 0});
    check({kF32, 2, 2, 32, 100, tokens, 0, 0});
  }
}

TEST(CudaAttentionPrompt, EveryHeadDim) {
  for (const uint32_t head_dim : kHeadDims) {
    check({kF16, 4, 1, head_dim, 120, 20, 0, 0});
    check({kF32, 5, 1, head_dim, 3, 9, 0, 0});
  }
}

TEST(CudaAttentionPrompt, Window) {
  for (const uint32_t position : {0u, 10u, 63u, 250u, 300u}) {
    for (const uint32_t window : {3u, 64u, 200u}) check({kF16, 2, 1, 64, position, 40, 0, window});
  }
  check({kF32, 2, 1, 256, 190, 70, 0, 130});
}

// Weights of positions that a query does not see are not multiplied with what is there.
TEST(CudaAttentionPrompt, InfiniteValuesOfLaterPositionsAreNotSeen) {
  AttentionMemory memory({kF16, 1, 1, 64, 0, 40, 0, 0});
  uint16_t* v = static_cast<uint16_t*>(memory.v());
  for (uint32_t i = 20 * 64; i < 40 * 64; ++i) v[i] = 0x7C00;
  kPrompt.launch(memory, kF16);
  memory.check("prompt");
}

TEST(CudaAttentionPrompt, AStoppedSequenceChangesNothing) { kPrompt.check_stopped({kF16, 4, 1, 64, 200, 20, 0, 0}); }

}  // namespace
}  // namespace bn_cuda
