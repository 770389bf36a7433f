// device/add.cu - the residual add of families with a norm before it, and where a step begins.
#include "elementwise.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kThreads = 256;

BN_GLOBAL void add(AddArgs a) {
  dependents_may_start();
  dependency_wait();
  const uint32_t i = block_x() * kThreads + thread_index();
  if (i >= a.n) return;
  float* x = a.x + uint64_t{block_y()} * a.x_stride + i;
  *x = *x + a.y[uint64_t{block_y()} * a.y_stride + i];
}

BN_GLOBAL void set_state(SetStateArgs a) {
  dependency_wait();
  if (thread_index() == 0) *a.state = a.value;
}

}  // namespace

const Kernel& add_kernel() {
  static const Kernel kernel = KernelOf<AddArgs>::make<add>("add");
  return kernel;
}
Shape add_shape(uint32_t n_tokens, uint32_t n) { return {(n + kThreads - 1) / kThreads, n_tokens, kThreads, 0}; }

const Kernel& set_state_kernel() {
  static const Kernel kernel = KernelOf<SetStateArgs>::make<set_state>("set_state");
  return kernel;
}
Shape set_state_shape() { return {1, 1, 32, 0}; }

}  // namespace bn_cuda
