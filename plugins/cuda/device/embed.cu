// device/embed.cu - rows of the embedding table, decoded to float: one thread per element, or per block of a block format.
#include "bitnet/kit/dense_rows.hpp"
#include "elementwise.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kThreads = 256;

BN_GLOBAL void embed(EmbedArgs a) {
  dependents_may_start();
  dependency_wait();
  if (a.state->stopped != 0) return;
  const uint32_t token = static_cast<uint32_t>(a.tokens[static_cast<uint32_t>(a.state->position) + block_y()]);
  const uint8_t* row = a.table + token * bn::kit::dense_row_bytes(a.dtype, a.cols);
  const float row_factor = a.dtype == BN_DT_I8_ROW ? a.row_scales[a.n_row_scales == 1 ? 0 : token] : 1.0f;
  const uint32_t n = bn::kit::dense_dtype(a.dtype).block;
  const uint32_t c = (block_x() * kThreads + thread_index()) * n;
  if (c >= a.cols) return;
  float* x = a.x + uint64_t{block_y()} * a.x_stride + c;
  bn::kit::decode_dense(a.dtype, row, c, n, x);
  for (uint32_t i = 0; i < n; ++i) {
    if (row_factor != 1.0f) x[i] = x[i] * row_factor;
    if (a.factor != 1.0f) x[i] = x[i] * a.factor;
  }
}

}  // namespace

const Kernel& embed_kernel() {
  static const Kernel kernel = KernelOf<EmbedArgs>::make<embed>("embed");
  return kernel;
}

Shape embed_shape(uint32_t n_tokens, uint32_t cols) { return {(cols + kThreads - 1) / kThreads, n_tokens, kThreads, 0}; }

}  // namespace bn_cuda
