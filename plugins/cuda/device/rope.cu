// device/rope.cu - queries rotated in place, keys and values into the cache: one warp per head of a token.
#include "rotate_head.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kWarps = 4;

BN_GLOBAL void rope(RopeArgs a) {
  dependents_may_start();
  dependency_wait();
  if (a.state->stopped != 0) return;
  const uint32_t head = block_x() * kWarps + warp_index();
  if (head >= a.n_heads + 2 * a.n_kv_heads) return;
  const uint32_t position = static_cast<uint32_t>(a.state->position) + block_y();
  float* x = a.qkv + uint64_t{block_y()} * a.qkv_stride + uint64_t{head} * a.head_dim;
  if (head < a.n_heads) {
    rotate_head(a, x, a.q_norm, position, [&](uint32_t d, float value) { x[d] = value; });
    return;
  }
  const bool is_key = head < a.n_heads + a.n_kv_heads;
  const uint32_t kv_head = head - a.n_heads - (is_key ? 0 : a.n_kv_heads);
  const uint64_t row = kv_head * a.kv_stride_head + uint64_t{position} * a.head_dim;
  if (is_key) {
    rotate_head(a, x, a.k_norm, position, [&](uint32_t d, float value) { store_kv(a.k, a.kv_dtype, row + d, value); });
  } else {
    for (uint32_t d = lane_index(); d < a.head_dim; d += 32) store_kv(a.v, a.kv_dtype, row + d, x[d]);
  }
}

}  // namespace

const Kernel& rope_kernel() {
  static const Kernel kernel = KernelOf<RopeArgs>::make<rope>("rope");
  return kernel;
}

Shape rope_shape(const RopeArgs& a, uint32_t n_tokens) {
  return {(a.n_heads + 2 * a.n_kv_heads + kWarps - 1) / kWarps, n_tokens, 32 * kWarps, 0};
}

}  // namespace bn_cuda
