// device/glu.cu - act(gate) * up, over the pair tiles of the fused gate/up matrix or over two parts of a row.
#include "bitnet/kit/ops.hpp"
#include "elementwise.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kThreads = 256;

BN_GLOBAL void glu(GluArgs a) {
  dependency_wait();
  const uint32_t i = block_x() * kThreads + thread_index();
  if (i >= a.n) return;
  const float* h = a.h + uint64_t{block_y()} * a.h_stride;
  const uint32_t gate = a.up_at == 0 ? i / 8 * 16 + i % 8 : i, up = a.up_at == 0 ? gate + 8 : a.up_at + i;
  a.y[uint64_t{block_y()} * a.y_stride + i] = bn::kit::glu_element(a.act, h[gate], h[up]);
}

}  // namespace

const Kernel& glu_kernel() {
  static const Kernel kernel = KernelOf<GluArgs>::make<glu>("glu");
  return kernel;
}

Shape glu_shape(uint32_t n_tokens, uint32_t n) { return {(n + kThreads - 1) / kThreads, n_tokens, kThreads, 0}; }

}  // namespace bn_cuda
