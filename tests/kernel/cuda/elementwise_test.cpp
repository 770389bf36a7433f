// kernel/cuda/elementwise_test.cpp - the kernels of device/elementwise.h, emulated, against the kit: the same bits.
#include "device/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "bitnet/kit/ops.hpp"
#include "emulation/block.h"
#include "kernel/compare.h"
#include "kernel/random.h"

namespace bn_cuda {
namespace {

using bitnet::kernel_test::Random;
using bitnet::kernel_test::same_bits;

TEST(CudaEmbed, RowsOfEveryDtype) {
  Random random(1);
  const uint32_t cols = 512, tokens = 3, stride = 520, position = 2;
  const int32_t ids[] = {9, 9, 4, 0, 6};  // the step begins at the third
  for (const uint32_t dtype :
       {BN_DT_F32, BN_DT_F16, BN_DT_BF16, BN_DT_I8_ROW, BN_DT_Q8_0, BN_DT_Q4_0, BN_DT_Q4_K, BN_DT_Q5_K, BN_DT_Q6_K}) {
    const uint64_t row_bytes = bn::kit::dense_row_bytes(dtype, cols);
    std::vector<uint8_t> table(7 * row_bytes);
    for (uint8_t& b : table) b = static_cast<uint8_t>(random.below(dtype == BN_DT_F32 ? 120 : 60));  // no infinities
    const std::vector<float> scales = random.normals(7);
    for (const float factor : {1.0f, 3.7f}) {
      for (const uint32_t n_scales : {1u, 7u}) {
        std::vector<float> x(tokens * stride, -1.0f), want(tokens * stride, -1.0f);
        StepState state{position, 0, 0, 0};
        const EmbedArgs args{table.data(), scales.data(), ids, &state, x.data(), dtype, cols, n_scales, stride, factor};
        emulation::launch(embed_kernel(), embed_shape(tokens, cols), &args);
        for (uint32_t t = 0; t < tokens; ++t) {
          const uint32_t row = static_cast<uint32_t>(ids[position + t]);
          float* w = &want[t * stride];
          bn::kit::decode_dense(dtype, table.data() + row * row_bytes, 0, cols, w);
          for (uint32_t i = 0; i < cols; ++i) {
            if (dtype == BN_DT_I8_ROW) w[i] = w[i] * scales[n_scales == 1 ? 0 : row];
            if (factor != 1.0f) w[i] = w[i] * factor;
          }
        }
        EXPECT_TRUE(same_bits(want.data(), x.data(), x.size())) << "dtype " << dtype << " factor " << factor;
        state.stopped = 1;
        std::fill(x.begin(), x.end(), -2.0f);
        emulation::launch(embed_kernel(), embed_shape(tokens, cols), &args);
        EXPECT_EQ(x[0], -2.0f) << "a stopped sequence";
      }
    }
  }
}

struct RopeCase {
  uint32_t kind, head_dim, rope_dim, dtype;
  bool norms;
};

void check_rope(const RopeCase& c) {
  const uint32_t heads = 4, kv_heads = 3, tokens = 2, position = 5, n_ctx = 8, D = c.head_dim, half = c.rope_dim / 2;
  const uint32_t stride = (heads + 2 * kv_heads) * D + 8;
  Random random(D + c.rope_dim);
  std::vector<float> qkv = random.normals(tokens * stride), q_norm = random.normals(D), k_norm = random.normals(D);
  const std::vector<float> cosine = random.normals(n_ctx * half + 1), sine = random.normals(n_ctx * half + 1);
  std::vector<float> want = qkv;
  for (uint32_t t = 0; t < tokens && c.norms; ++t) {
    for (uint32_t h = 0; h < heads + kv_heads; ++h) {
      float* x = &want[t * stride + h * D];
      const bn_norm norm = {sizeof(bn_norm), D,       1e-5f,  D, D, 0, x, h < heads ? q_norm.data() : k_norm.data(), x,
                            nullptr,         nullptr, nullptr};
      bn::kit::norm(norm, 0, 1);
    }
  }
  const bn_rope rotation = {sizeof(bn_rope), c.kind,        heads + kv_heads, D, c.rope_dim, position, stride, 0,
                            want.data(),     cosine.data(), sine.data()};
  bn::kit::rope(rotation, 0, tokens, 0, heads + kv_heads);

  const uint64_t cache = uint64_t{kv_heads} * n_ctx * D;
  std::vector<float> k(cache, -1.0f), v(cache, -1.0f), want_k(cache, -1.0f), want_v(cache, -1.0f);
  std::vector<uint16_t> k16(cache, 7), v16(cache, 7), want_k16(cache, 7), want_v16(cache, 7);
  for (uint32_t t = 0; t < tokens; ++t) {
    for (uint32_t i = 0; i < kv_heads * D; ++i) {
      const uint64_t at = uint64_t{i / D} * n_ctx * D + (position + t) * D + i % D;
      want_k16[at] = bn::kit::f32_to_f16(want_k[at] = want[t * stride + heads * D + i]);
      want_v16[at] = bn::kit::f32_to_f16(want_v[at] = want[t * stride + (heads + kv_heads) * D + i]);
    }
  }
  const bool f16 = c.dtype == BN_DT_F16;
  const StepState state{position, 0, 0, 0};
  const RopeArgs args{qkv.data(),
                      c.norms ? q_norm.data() : nullptr,
                      c.norms ? k_norm.data() : nullptr,
                      cosine.data(),
                      sine.data(),
                      f16 ? static_cast<void*>(k16.data()) : k.data(),
                      f16 ? static_cast<void*>(v16.data()) : v.data(),
                      &state,
                      uint64_t{n_ctx} * D,
                      stride,
                      heads,
                      kv_heads,
                      D,
                      c.rope_dim,
                      c.kind,
                      c.dtype,
                      1e-5f};
  emulation::launch(rope_kernel(), rope_shape(args, tokens), &args);
  for (uint32_t t = 0; t < tokens; ++t) {
    EXPECT_TRUE(same_bits(&want[t * stride], &qkv[t * stride], heads * D)) << "q, head_dim " << D << " of token " << t;
  }
  if (f16) {
    EXPECT_TRUE(same_bits(want_k16.data(), k16.data(), cache)) << "k, head_dim " << D;
    EXPECT_TRUE(same_bits(want_v16.data(), v16.data(), cache)) << "v, head_dim " << D;
  } else {
    EXPECT_TRUE(same_bits(want_k.data(), k.data(), cache)) << "k, head_dim " << D;
    EXPECT_TRUE(same_bits(want_v.data(), v.data(), cache)) << "v, head_dim " << D;
  }
}

TEST(CudaRope, HalvesAndPairs) {
  for (const uint32_t kind : {BN_ROPE_HALVES, BN_ROPE_PAIRS}) {
    for (const bool norms : {false, true}) {
      check_rope({kind, 128, 128, BN_DT_F16, norms});
      check_rope({kind, 100, 64, BN_DT_F32, norms});   // the last 36 elements stay
      check_rope({kind, 320, 320, BN_DT_F32, norms});  // two chunks of S16
      check_rope({kind, 64, 0, BN_DT_F16, norms});
    }
  }
}

TEST(CudaGlu, EveryActivation) {
  for (const uint32_t act : {BN_ACT_RELU2, BN_ACT_SILU, BN_ACT_GELU_TANH}) {
    const uint32_t n = 328, tokens = 3;
    std::vector<float> h(tokens * 2 * n), y(tokens * n, -1.0f);
    for (size_t i = 0; i < h.size(); ++i)
      h[i] = static_cast<float>(static_cast<int>(i * 2654435761u >> 16) % 4001 - 2000) / 300.0f;
    const GluArgs args{h.data(), y.data(), n, 2 * n, n, act, 0};
    emulation::launch(glu_kernel(), glu_shape(tokens, n), &args);
    for (uint32_t t = 0; t < tokens; ++t) {
      for (uint32_t i = 0; i < n; ++i) {
        const float* pair = &h[t * 2 * n + i / 8 * 16 + i % 8];
        ASSERT_EQ(y[t * n + i], bn::kit::glu_element(act, pair[0], pair[8])) << "act " << act << " at " << t << "," << i;
      }
    }
  }
}

}  // namespace
}  // namespace bn_cuda
