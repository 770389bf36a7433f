// device/fused_input.h - the prologue of a fused kernel: from x, through the norms of its family, to codes in shared memory.
//
// Every block does it for itself. Usual families take one turn of take_input(): the norm of the matrix, and codes. A norm of a
// block's result before the residual add, or of x before the norms of the single matrices, is a turn before, in shared memory.
#pragma once

#include "block_norm.h"
#include "dots.h"

namespace bn_cuda {

constexpr uint32_t kFusedWarps = 16, kFusedThreads = 32 * kFusedWarps;

// Where things lie in shared memory. kept_bytes: of one tile of columns.
struct Places {
  uint32_t tiles;             // of columns
  uint32_t kept, scratch, x;  // the codes are at 0; for two vectors: those of the other behind them, and so in kept
  uint32_t sums, numbers, partial, end;
};
BN_BOTH Places places_of(uint32_t cols, uint32_t kept_bytes, bool two_vectors, bool keeps_x) {
  Places p = {};
  p.tiles = (cols + kTileCols - 1) / kTileCols;
  const uint32_t n = two_vectors ? 2 : 1;
  p.kept = n * p.tiles * kTileCols;
  p.scratch = p.kept + n * p.tiles * kept_bytes;
  p.x = p.scratch + measure_bytes(cols);
  p.sums = p.x + (keeps_x ? p.tiles * kTileCols * 4 : 0);
  p.numbers = p.sums + n * kFusedWarps * 4;
  p.partial = p.numbers + 16;
  p.end = p.partial + 2 * kFusedWarps * 16 * 4;
  return p;
}
BN_BOTH bool has_own_x(const FusedArgs& a) { return a.branch != nullptr || a.block_gain != nullptr; }

// Of the codes of one vector.
struct CodesOf {
  int32_t sum;
  float scale;
};

// own[i] = RMSNorm(u)*gain, behind `before` added where that is not null; also to `copy`.
BN_DEVICE void store_norm(const float* u, const float* gain, uint32_t n, float r, const float* before, float* own,
                          float* copy) {
  for (uint32_t i = thread_index(); i < (n + 3) / 4; i += n_threads()) {
    const Quad product = load_product(u, gain, i, n);
    for (uint32_t j = 0; j < 4 && 4 * i + j < n; ++j) {
      const float v = product.v[j] * r;
      own[4 * i + j] = before != nullptr ? before[4 * i + j] + v : v;
      if (copy != nullptr) copy[4 * i + j] = own[4 * i + j];
    }
  }
}

// Codes of the vector of matrix a.part[first]; with two_vectors also of that of the next. They are seen by all threads at the
// end, what is at p.numbers from the next sync_block() on: CodesOf of both.
BN_DEVICE void take_input(const FusedArgs& a, uint32_t first, bool two_vectors, const Places& p, uint8_t* shared) {
  enum Turn : uint32_t { kResidual, kBlockNorm, kCodes, kOtherCodes };
  const uint32_t cols = a.cols, last = two_vectors ? kOtherCodes : kCodes;
  float *scratch = reinterpret_cast<float*>(shared + p.scratch), *own = reinterpret_cast<float*>(shared + p.x);
  int32_t* sums_of_warps = reinterpret_cast<int32_t*>(shared + p.sums);
  CodesOf* numbers_of = reinterpret_cast<CodesOf*>(shared + p.numbers);
  BN_ROLLED
  for (uint32_t turn = a.branch != nullptr ? kResidual : kBlockNorm; turn <= last; ++turn) {
    if (turn == kBlockNorm && a.block_gain == nullptr) continue;
    const bool in_own = (turn > kResidual && a.branch != nullptr) || (turn > kBlockNorm && a.block_gain != nullptr);
    const float* x = in_own ? own : a.x;
    const float* from = turn == kResidual ? a.branch : x;
    const FusedPart& m = a.part[first + (turn == kOtherCodes ? 1 : 0)];
    const float* gain = turn == kResidual ? a.branch_gain : turn == kBlockNorm ? a.block_gain : m.gain;
    const float eps = turn < kCodes ? a.norm_eps : m.eps;
    const VectorNumbers numbers = measure_vector(from, gain, cols, eps, a.free_order, scratch);
    if (turn < kCodes) {
      const bool copies = turn == kResidual && block_x() == 0 && block_y() == 0;
      store_norm(from, gain, cols, numbers.r, turn == kResidual ? a.x : nullptr, own, copies ? a.x_next : nullptr);
    } else {
      const uint32_t which = turn - kCodes;
      int8_t* q = reinterpret_cast<int8_t*>(shared) + which * p.tiles * kTileCols;
      const int32_t sum = sum_of_warp(quantise_vector(x, gain, cols, p.tiles * kTileCols, numbers.largest, q));
      if (lane_index() == 0) sums_of_warps[which * kFusedWarps + warp_index()] = sum;
      if (thread_index() == 0) numbers_of[which].scale = scale_of(numbers);
    }
    sync_block();
  }
  if (thread_index() < (two_vectors ? 2u : 1u)) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < kFusedWarps; ++i) sum += sums_of_warps[thread_index() * kFusedWarps + i];
    numbers_of[thread_index()].sum = sum;
  }
}

}  // namespace bn_cuda
