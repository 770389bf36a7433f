// device/gemm.cu - ternary matrix times many tokens: blocks of 128 rows x 64, 96 or 128 tokens, 128 columns a step.
//
// A step's weights (8 tiles of T2) and activations come into shared memory by asynchronous copies, kStages - 1 steps ahead.
// Four warps make 64 rows x half of the tokens each. A lane's word of a tile holds 16 columns of one row; field m of its four
// bytes against bytes 4m.. of the activations is a quarter of that: one int8 mma takes two such quarters of two rows.
// A row of activations is 8 pieces of 16 bytes; in odd rows the halves change places, so 8 lanes that read two rows never meet
// in a bank.
//
// Per step and 128 tokens a warp issues 128 mma (m16n8k32), 20 loads of 16 bytes a lane, and unpacks 4 tiles in 144 operations.
// Per processor: 512 mma of 4096 products, 40 KB of shared memory read and 20 KB written (480 clocks at 128 bytes), 576 integer
// operations of a warp (288 clocks at 64 lanes). An A100 makes 2048 products a clock: 1024 clocks, so the mma bound it. An H100
// makes about 2600 by this instruction (65 % of its peak): 806 clocks, 25 bytes a clock from the L2 that gives about 24.
// 512 tokens of the 2B model are 1.07e12 products: 1.8 ms on an H100 at that rate with every processor busy; as its matrices
// divide into tiles 2.1 ms; at three quarters of the rate, expected, 2.8 ms. None of this has been measured.
#include <cstdint>

#include "dots.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kBlockRows = 128, kThreads = 128, kStages = 3;
constexpr uint32_t kBlockTiles = kBlockRows / kTileRows, kWarpTiles = kBlockTiles / 2;
constexpr uint32_t kWeightBytes = kBlockTiles * kTileBytes;

BN_BOTH constexpr uint32_t stage_bytes(uint32_t block_tokens) { return kWeightBytes + block_tokens * kTileCols; }

// Beyond the last row tile or token the last one stands in: computed, not stored.
BN_DEVICE uint32_t at_most(uint32_t i, uint32_t last) { return i < last ? i : last; }

BN_DEVICE void copy_weights(const MatmulArgs& a, uint32_t step, uint8_t* stage) {
  const uint32_t steps = col_tiles(a.cols), last = row_tiles(a.rows) - 1;
  BN_UNROLL
  for (uint32_t i = 0; i < kWeightBytes / 16 / kThreads; ++i) {
    const uint32_t piece = thread_index() + kThreads * i;
    const uint32_t tile = at_most(block_x() * kBlockTiles + piece / 32, last);
    copy_async(stage + 16 * piece, a.w + (uint64_t{tile} * steps + step) * kTileBytes + piece % 32 * 16);
  }
}

// Piece c of the activations of a token of the block.
BN_DEVICE uint32_t place_of(uint32_t token, uint32_t c) { return token * kTileCols + 16 * (c ^ (token % 2 * 4)); }

template <uint32_t kTokens>
BN_DEVICE void copy_activations(const MatmulArgs& a, uint32_t step, uint8_t* stage) {
  BN_UNROLL
  for (uint32_t i = 0; i < kTokens * 8 / kThreads; ++i) {
    const uint32_t piece = thread_index() + kThreads * i;
    const uint32_t token = at_most(block_y() * kTokens + piece / 8, a.n_tokens - 1);
    copy_async(stage + kWeightBytes + place_of(piece / 8, piece % 8),
               a.q + uint64_t{token} * a.q_stride + step * kTileCols + piece % 8 * 16);
  }
}

template <uint32_t kTokens>
struct WarpSums {
  static constexpr uint32_t kColumns = kTokens / 16;  // of 8 tokens
  int32_t of[kWarpTiles][kColumns][4] = {};
};

// One step: the warp's 64 rows x 128 columns against its half of the tokens.
template <uint32_t kTokens>
BN_DEVICE void multiply(const uint8_t* stage, WarpSums<kTokens>& sums) {
  const uint32_t g = lane_index() / 4, t = lane_index() % 4;
  const uint8_t* weights = stage + warp_index() / 2 * kWarpTiles * kTileBytes + 16 * lane_index();
  const uint8_t* x = stage + kWeightBytes;
  const uint32_t first = warp_index() % 2 * (kTokens / 2);
  Words4 words[kWarpTiles];
  BN_UNROLL
  for (uint32_t i = 0; i < kWarpTiles; ++i) words[i] = *reinterpret_cast<const Words4*>(weights + i * kTileBytes);
  BN_UNROLL
  for (uint32_t h = 0; h < 2; ++h) {
    uint32_t c[kWarpTiles][2][4];  // [tile][row g or g+8][m]: w+1 of 4 columns
    BN_UNROLL
    for (uint32_t i = 0; i < 2 * kWarpTiles; ++i) {
      const uint32_t counts = counts_of(words[i / 2].w[2 * h + i % 2]);
      BN_UNROLL
      for (uint32_t m = 0; m < 4; ++m) c[i / 2][i % 2][m] = counts >> 2 * m & 0x03030303u;
    }
    BN_UNROLL
    for (uint32_t n = 0; n < sums.kColumns; ++n) {
      const Words4 b = *reinterpret_cast<const Words4*>(x + place_of(first + 8 * n + g, 4 * h + t));
      BN_UNROLL
      for (uint32_t m = 0; m < 4; m += 2) {
        const uint32_t two[2] = {b.w[m], b.w[m + 1]};
        BN_UNROLL
        for (uint32_t i = 0; i < kWarpTiles; ++i) {
          const uint32_t four[4] = {c[i][0][m], c[i][1][m], c[i][0][m + 1], c[i][1][m + 1]};
          mma_u8s8(sums.of[i][n], four, two);
        }
      }
    }
  }
}

// Dots go through shared memory, half of the tokens at a time, so that a thread finishes one row and a warp writes 32 rows at once.
// Tokens lie kPitch apart: a warp's 8 rows x 4 tokens meet in no bank.
constexpr uint32_t kPitch = kBlockRows + 4;

template <uint32_t kTokens>
BN_DEVICE void store(const MatmulArgs& a, const WarpSums<kTokens>& sums, int32_t* dots) {
  const uint32_t g = lane_index() / 4, t = lane_index() % 4;
  const uint32_t row = block_x() * kBlockRows + thread_index();
  const float w_scale = row < a.rows ? a.w_scale[row] : 0.0f, bias = row < a.rows ? bias_of(a, row) : 0.0f;
  int32_t* of_lane = dots + 2 * t * kPitch + warp_index() / 2 * (kBlockRows / 2) + g;
  for (uint32_t half = 0; half < 2; ++half) {
    sync_block();  // all are done with what lies there
    if (warp_index() % 2 == half) {
      BN_UNROLL
      for (uint32_t i = 0; i < kWarpTiles; ++i) {
        BN_UNROLL
        for (uint32_t n = 0; n < 4 * sums.kColumns; ++n) {
          const uint32_t token = n / 4 * 8 + n % 2, row_of_tile = n % 4 / 2 * 8;
          of_lane[token * kPitch + kTileRows * i + row_of_tile] = sums.of[i][n / 4][n % 4];
        }
      }
    }
    sync_block();
    const uint32_t first = block_y() * kTokens + half * (kTokens / 2);
    for (uint32_t k = 0; k < kTokens / 2 && first + k < a.n_tokens && row < a.rows; ++k) {
      const int32_t dot = dots[k * kPitch + thread_index()] - a.x_sum[first + k];
      store_output(a, first + k, row, dot, a.x_scale[first + k], w_scale, bias);
    }
  }
}

template <uint32_t kTokens>
BN_GLOBAL void gemm(MatmulArgs a) {
  dependents_may_start();
  uint8_t* stages = shared_memory<uint8_t>();
  const uint32_t steps = col_tiles(a.cols);
  for (uint32_t s = 0; s < kStages - 1 && s < steps; ++s) copy_weights(a, s, stages + s * stage_bytes(kTokens));
  dependency_wait();
  for (uint32_t s = 0; s < kStages - 1; ++s) {
    if (s < steps) copy_activations<kTokens>(a, s, stages + s * stage_bytes(kTokens));
    copy_commit();
  }
  WarpSums<kTokens> sums;
  for (uint32_t s = 0; s < steps; ++s) {
    copy_wait<kStages - 2>();
    sync_block();  // step s is there for all, and all are done with step s - 1, whose place is filled next
    const uint32_t ahead = s + kStages - 1;
    if (ahead < steps) {
      uint8_t* stage = stages + ahead % kStages * stage_bytes(kTokens);
      copy_weights(a, ahead, stage);
      copy_activations<kTokens>(a, ahead, stage);
    }
    copy_commit();
    multiply<kTokens>(stages + s % kStages * stage_bytes(kTokens), sums);
  }
  store<kTokens>(a, sums, reinterpret_cast<int32_t*>(stages));
}

uint32_t blocks(uint32_t n, uint32_t size) { return (n + size - 1) / size; }

// The width whose last wave of blocks ends first. Every step also unpacks its weights and meets: that is as long as 16 tokens.
uint32_t block_tokens(const MatmulArgs& a, uint32_t n_processors) {
  uint32_t best = 0, best_time = UINT32_MAX;
  constexpr uint32_t kWidths[] = {128, 96, 64};
  for (const uint32_t width : kWidths) {
    const uint32_t time = blocks(blocks(a.rows, kBlockRows) * blocks(a.n_tokens, width), n_processors) * (width + 16);
    if (time < best_time) {
      best = width;
      best_time = time;
    }
  }
  return best;
}

}  // namespace

const Kernel& gemm_kernel(const MatmulArgs& a, uint32_t n_processors) {
  static const Kernel wide = KernelOf<MatmulArgs>::make<gemm<128>>("gemm 128");
  static const Kernel middle = KernelOf<MatmulArgs>::make<gemm<96>>("gemm 96");
  static const Kernel narrow = KernelOf<MatmulArgs>::make<gemm<64>>("gemm 64");
  const uint32_t width = block_tokens(a, n_processors);
  return width == 128 ? wide : width == 96 ? middle : narrow;
}

Shape gemm_shape(const MatmulArgs& a, uint32_t n_processors) {
  const uint32_t width = block_tokens(a, n_processors);
  return {blocks(a.rows, kBlockRows), blocks(a.n_tokens, width), kThreads, kStages * stage_bytes(width)};
}

}  // namespace bn_cuda
