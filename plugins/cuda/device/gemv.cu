// device/gemv.cu - ternary matrix times one token, or up to 8: a block makes 16 rows, its warps share the columns.
//
// Memory bound: a lane asks for the first kBatch * 16 bytes of its weights before it waits for the activations, which come from
// the L2 as they are (every warp needs only its own columns). Partial sums are integers, so the split does not show.
#include "dots.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kBatch = 8;  // loads in flight

template <class Path>
BN_GLOBAL void gemv(MatmulArgs a) {
  dependents_may_start();
  constexpr uint32_t kOutputs = 16 * Path::kTokens;
  const uint32_t warps = n_threads() / 32, tiles = col_tiles(a.cols);
  const uint8_t* w = a.w + uint64_t{block_x()} * tiles * kTileBytes + 16 * lane_index();
  Words4 batch[kBatch];
  BN_UNROLL
  for (uint32_t i = 0; i < kBatch; ++i) {
    const uint32_t tile = warp_index() + i * warps;
    if (tile < tiles) batch[i] = load_stream(w + tile * kTileBytes);
  }
  dependency_wait();
  const uint32_t first_token = block_y() * Path::kTokens;
  uint32_t token = first_token + (Path::kTokens == 1 ? 0 : lane_index() / 4);
  if (token >= a.n_tokens) token = a.n_tokens - 1;  // computed, not stored
  const int8_t* x = a.q + uint64_t{token} * a.q_stride;
  typename Path::Sums sums;
  for (uint32_t begin = warp_index(); begin < tiles; begin += kBatch * warps) {
    BN_UNROLL
    for (uint32_t i = 0; i < kBatch; ++i) {
      const uint32_t tile = begin + i * warps;
      if (tile < tiles) Path::add(sums, batch[i], Path::prepare(x + tile * kTileCols));
    }
    BN_UNROLL
    for (uint32_t i = 0; i < kBatch; ++i) {
      const uint32_t tile = begin + (kBatch + i) * warps;
      if (tile < tiles) batch[i] = load_stream(w + tile * kTileBytes);
    }
  }
  int32_t* partial = shared_memory<int32_t>();  // [warps][kOutputs]
  Path::publish(sums, partial + kOutputs * warp_index());
  sync_block();
  for (uint32_t i = thread_index(); i < kOutputs; i += n_threads()) {
    const uint32_t t = first_token + i / 16, row = block_x() * kTileRows + i % 16;
    if (t >= a.n_tokens || row >= a.rows) continue;
    int32_t dot = -a.x_sum[t];
    for (uint32_t k = 0; k < warps; ++k) dot += partial[kOutputs * k + i];
    store_output(a, t, row, dot, a.x_scale[t], a.w_scale[row], bias_of(a, row));
  }
}

uint32_t tokens_at_once(DotPath path) { return path == DotPath::kBytes ? Bytes::kTokens : 1; }

}  // namespace

const char* name_of(DotPath path) {
  switch (path) {
    case DotPath::kDot4:
      return "dp4a";
    case DotPath::kBits:
      return "b1 mma";
    default:
      return "int8 mma";
  }
}

const Kernel& gemv_kernel(DotPath path) {
  static const Kernel kernels[kDotPaths] = {KernelOf<MatmulArgs>::make<gemv<Dot4>>("gemv dp4a"),
                                            KernelOf<MatmulArgs>::make<gemv<Bits>>("gemv b1"),
                                            KernelOf<MatmulArgs>::make<gemv<Bytes>>("gemv int8")};
  return kernels[static_cast<uint32_t>(path)];
}

Shape gemv_shape(const MatmulArgs& a, DotPath path) {
  const uint32_t tokens = tokens_at_once(path), tiles = t2_col_tiles(a.cols);
  const uint32_t warps = tiles > 4 * kBatch ? 8 : 4;
  return {(a.rows + kTileRows - 1) / kTileRows, (a.n_tokens + tokens - 1) / tokens, 32 * warps, warps * 16 * tokens * 4};
}

}  // namespace bn_cuda
