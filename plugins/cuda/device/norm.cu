// device/norm.cu - RMSNorm and/or int8 codes of vectors: a block for each.
#include "block_norm.h"
#include "elementwise.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kThreads = 256;

BN_GLOBAL void norm(NormArgs a) {
  dependents_may_start();
  dependency_wait();
  const uint32_t vector = block_x();
  const float* x = a.x + uint64_t{vector} * a.x_stride;
  float* scratch = shared_memory<float>();
  const VectorNumbers numbers = measure_vector(x, a.gain, a.n, a.eps, a.free_order, scratch);
  if (a.q != nullptr) {
    int32_t* sums = reinterpret_cast<int32_t*>(scratch) + measure_bytes(a.n) / 4;
    int8_t* q = a.q + uint64_t{vector} * a.q_stride;
    const int32_t sum = sum_of_warp(quantise_vector(x, a.gain, a.n, a.q_stride, numbers.largest, q));
    if (lane_index() == 0) sums[warp_index()] = sum;
    sync_block();
    if (thread_index() == 0) {
      int32_t total = 0;
      for (uint32_t w = 0; w < n_threads() / 32; ++w) total += sums[w];
      a.scale[vector] = scale_of(numbers);
      a.sum[vector] = total;
    }
  }
  if (a.y == nullptr) return;
  float* y = a.y + uint64_t{vector} * a.y_stride;  // may be x: a thread reads only what it then writes
  for (uint32_t i = thread_index(); i < (a.n + 3) / 4; i += n_threads()) {
    const Quad u = load_product(x, a.gain, i, a.n);
    for (uint32_t j = 0; j < 4 && 4 * i + j < a.n; ++j) y[4 * i + j] = u.v[j] * numbers.r;
  }
}

}  // namespace

const Kernel& norm_kernel() {
  static const Kernel kernel = KernelOf<NormArgs>::make<norm>("norm");
  return kernel;
}

Shape norm_shape(uint32_t n_vectors, uint32_t n) { return {n_vectors, 1, kThreads, measure_bytes(n) + kThreads / 32 * 4}; }

}  // namespace bn_cuda
