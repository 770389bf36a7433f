// device/matmul.h - kernels that multiply int8 activations with ternary matrices in T2 (t2.h).
//
// y[t][r] = (float)dot * (x_scale[t] * w_scale[r]), then + bias[r], then added to what y holds where `add` is set: each
// rounded, in this order, as the host's graph does it. dot is an exact integer, so every path gives the same bits.
#pragma once

#include "simt.h"

namespace bn_cuda {

struct MatmulArgs {
  const uint8_t* w;      // T2 tiles
  const float* w_scale;  // [rows]
  const float* bias;     // [rows] or null
  const int8_t* q;       // [T][q_stride], zeros behind cols up to the next multiple of 128
  const float* x_scale;  // [T]
  const int32_t* x_sum;  // [T] sum of q
  float* y;              // [T][y_stride]
  uint32_t rows, cols, q_stride, y_stride, n_tokens, add;
};

// How one token's dot products are made; chosen per device by a short timing at load.
enum class DotPath : uint32_t { kDot4 = 0, kBits = 1, kBytes = 2 };  // dp4a, binary mma, int8 mma
constexpr uint32_t kDotPaths = 3;
const char* name_of(DotPath path);

// One token per block column (grid y): kDot4 and kBits; kBytes takes up to 8 tokens per grid y.
const Kernel& gemv_kernel(DotPath path);
Shape gemv_shape(const MatmulArgs& a, DotPath path);
// Many tokens: tiles of rows x tokens, weights unpacked once per tile. The width of the tiles, and so the kernel, is chosen for
// the number of processors: both functions want the same arguments.
const Kernel& gemm_kernel(const MatmulArgs& a, uint32_t n_processors = 132);
Shape gemm_shape(const MatmulArgs& a, uint32_t n_processors = 132);

// Decode of one token, fused: norm and quantisation of x in the prologue (every block for itself, the same bits), the matrix,
// and an epilogue: y = r; y += r; y[8i+j] = act(gate)*up of the pair tiles.
enum class Epilogue : uint32_t { kStore = 0, kAdd = 1, kGlu = 2 };
struct FusedPart {  // a matrix, as MatmulArgs has them
  const uint8_t* w;
  const float *w_scale, *bias;
  const float* gain;  // [cols] or null, of the norm of x
  float* y;
  uint32_t rows;
  float eps;  // of that norm; < 0: none
};
struct FusedArgs {
  FusedPart part[3];  // more than one where each has a norm of its own: with kStore; with kGlu gate and up apart, y of gate
  const float* x;     // [cols]
  uint32_t n_parts, cols;
  uint32_t act;  // BN_ACT_*, with kGlu
  // What some families do with x before, in this order; null: not done.
  float norm_eps;
  const float *branch, *branch_gain;  // x is a.x + RMSNorm(branch)*branch_gain,
  float* x_next;                      // and is stored here, which is neither of the two
  const float* block_gain;            // x becomes RMSNorm(x)*block_gain
  bool free_order;                    // of all sums of squares: not the bits of the kit, but near
};
const Kernel& fused_kernel(DotPath path, Epilogue epilogue);
Shape fused_shape(const FusedArgs& a, DotPath path, Epilogue epilogue, uint32_t n_processors = 132);

}  // namespace bn_cuda
