// device/head_full.cu - all logits: two threads a row, up to 8 vectors for one reading of the table.
//
// One load of a warp takes 32 successive bytes of each of 16 rows (f16), whole sectors, four such loads in flight per thread:
// at 1024 threads a processor that is 64 KB, more than twice what hides the latency of an H200. The vectors lie in shared
// memory, in pieces. Predicted for 128256 x 2560 on an H200: f16 656.7 MB, 160 us; int8 rows 328.8 MB, 80 us. Eight tokens take
// 90 us of multiplications, and twice that in shared memory if a load that lanes share takes two turns: 160 to 200 us.
#include "dense_lanes.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kThreads = 128, kRows = kThreads / 2;
constexpr uint32_t kManyTokens = 8;

// Columns of the vectors in shared memory at a time: 16 KB for one vector, 32 KB for eight.
template <uint32_t T>
constexpr uint32_t kPieceCols = T == 1 ? 4096 : 1024;

// Columns [c0, c0+n) of T vectors from t0 on, zeros up to the next multiple of 256 and for vectors that are not there.
template <uint32_t T>
BN_DEVICE void stage(const HeadArgs& a, uint32_t t0, uint32_t c0, uint32_t n, float* x) {
  for (uint32_t t = 0; t < T; ++t) {
    const bool there = t0 + t < a.n_tokens;
    const float* from = a.x + uint64_t{there ? t0 + t : t0} * a.n_embd + c0;
    for (uint32_t c = thread_index(); c < (n + 255) / 256 * 256; c += kThreads) {
      x[t * kPieceCols<T> + c] = there && c < n ? from[c] : 0.0f;
    }
  }
}

template <class Lanes, uint32_t T>
BN_GLOBAL void head(HeadArgs a) {
  constexpr uint32_t kPiece = kPieceCols<T>;
  const uint32_t part = thread_index() % 2, r = block_x() * kRows + thread_index() / 2, t0 = block_y() * T;
  const uint64_t row_bytes = bn::kit::dense_row_bytes(a.dtype, a.n_embd);
  const uint8_t* row = a.table + (r < a.n_vocab ? r : a.n_vocab - 1) * row_bytes;
  if (row_bytes >= 256) prefetch_l2(row + 128 * part);
  dependency_wait();
  dependents_may_start();
  float* x = shared_memory<float>();
  float total[T][8] = {};
  for (uint32_t piece = 0; piece < a.n_embd; piece += kPiece) {
    const uint32_t n = a.n_embd - piece < kPiece ? a.n_embd - piece : kPiece;
    sync_block();
    stage<T>(a, t0, piece, n, x);
    sync_block();
    for (uint32_t c = 0; c < n; c += 256) {
      float lane[T][8] = {};
      add_half_chunk<Lanes, T, 4>(a, row, piece + c, part, x + c, kPiece, lane);
      BN_UNROLL
      for (uint32_t t = 0; t < T; ++t) {
        BN_UNROLL
        for (uint32_t j = 0; j < 8; ++j) total[t][j] += lane[t][j];
      }
    }
  }
  BN_UNROLL
  for (uint32_t t = 0; t < T; ++t) {
    float y = fold_pair(total[t]);
    if (part != 0 || r >= a.n_vocab || t0 + t >= a.n_tokens) continue;
    if (a.dtype == BN_DT_I8_ROW) y = y * a.row_scales[a.n_row_scales == 1 ? 0 : r];
    a.logits[uint64_t{t0 + t} * a.n_vocab + r] = y;
    if (a.not_finite != nullptr && !is_finite(y)) a.not_finite[t0 + t] = 1;
  }
}

template <class Lanes>
const Kernel& kernel_of(const char* one, const char* many, bool is_one) {
  static const Kernel kernels[2] = {KernelOf<HeadArgs>::make<head<Lanes, kManyTokens>>(many),
                                    KernelOf<HeadArgs>::make<head<Lanes, 1>>(one)};
  return kernels[is_one];
}

}  // namespace

const Kernel& head_kernel(const HeadArgs& a) {
  const bool one = a.n_tokens == 1, whole = a.n_embd % 8 == 0;
  if (whole && a.dtype == BN_DT_F16) return kernel_of<F16Lanes>("head_f16", "head_f16_many", one);
  if (whole && a.dtype == BN_DT_F32) return kernel_of<F32Lanes>("head_f32", "head_f32_many", one);
  if (whole && a.dtype == BN_DT_BF16) return kernel_of<Bf16Lanes>("head_bf16", "head_bf16_many", one);
  if (whole && a.dtype == BN_DT_I8_ROW) return kernel_of<I8Lanes>("head_i8", "head_i8_many", one);
  return kernel_of<AnyLanes>("head_any", "head_any_many", one);
}

Shape head_shape(const HeadArgs& a) {
  const uint32_t grid_x = (a.n_vocab + kRows - 1) / kRows;
  if (a.n_tokens == 1) return {grid_x, 1, kThreads, 4 * kPieceCols<1>};
  return {grid_x, (a.n_tokens + kManyTokens - 1) / kManyTokens, kThreads, 4 * kManyTokens * kPieceCols<kManyTokens>};
}

}  // namespace bn_cuda
