// kernel/cuda/elementwise_test.cpp - the kernels of device/elementwise.h, emulated, against the kit: the same bits.
#include "device/elementwise.h"

#include <gtest/gtest.h>

#include <vector>

#include "bitnet/kit/ops.hpp"
#include "emulation/block.h"

namespace bn_cuda {
namespace {

TEST(CudaGlu, EveryActivation) {
  for (const uint32_t act : {BN_ACT_RELU2, BN_ACT_SILU, BN_ACT_GELU_TANH}) {
    const uint32_t n = 328, tokens = 3;
    std::vector<float> h(tokens * 2 * n), y(tokens * n, -1.0f);
    for (size_t i = 0; i < h.size(); ++i)
      h[i] = static_cast<float>(static_cast<int>(i * 2654435761u >> 16) % 4001 - 2000) / 300.0f;
    const GluArgs args{h.data(), y.data(), n, 2 * n, n, act};
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
