// device/elementwise.h - kernels that walk over vectors: embedding rows, norm and quantisation, RoPE into the cache,
// activation.
//
// Each gives the bits of the op of the same name in bitnet/kit/ops.hpp. T: tokens of the step. All pointers are device memory.
// embed and rope (and attention.h) do nothing while state->stopped is set.
// Use  `launch(kernel, shape, &args)`; the shape functions say how many blocks and threads a kernel wants.
#pragma once

#include "simt.h"
#include "step.h"

namespace bn_cuda {

// x[t] = row tokens[position + t] of the table, times factor when that is not 1. Rows of any dense dtype of
// bitnet/kit/dense_rows.hpp.
struct EmbedArgs {
  const uint8_t* table;
  const float* row_scales;  // BN_DT_I8_ROW: one per row or one in all
  const int32_t* tokens;    // of the sequence
  const StepState* state;
  float* x;  // [T][x_stride]
  uint32_t dtype, cols, n_row_scales, x_stride;
  float factor;
};
const Kernel& embed_kernel();
Shape embed_shape(uint32_t n_tokens, uint32_t cols);

// As bn_norm: y and/or (q, scale, sum) may be null; gain may be null; eps < 0: no norm.
struct NormArgs {
  const float* x;     // [vectors][x_stride]
  const float* gain;  // [n]
  float* y;           // [vectors][y_stride]; may be x
  int8_t* q;          // [vectors][q_stride], zeros behind n
  float* scale;       // [vectors]
  int32_t* sum;       // [vectors]
  uint32_t n, x_stride, y_stride, q_stride;
  float eps;
  bool free_order = false;  // of the sum of squares
};
const Kernel& norm_kernel();
Shape norm_shape(uint32_t n_vectors, uint32_t n);

// Of every token: norm per head where q_norm/k_norm is not null, RoPE on q (in place) and k, keys and values into the cache.
// qkv: one row per token, n_heads query heads, n_kv_heads key heads, n_kv_heads value heads, head_dim each.
// Cache: [kv_head][position][head_dim], kv_stride_head elements from head to head.
struct RopeArgs {
  float* qkv;                    // [T][qkv_stride]
  const float *q_norm, *k_norm;  // [head_dim]
  const float *cos, *sin;        // [n_ctx][rope_dim/2]
  void *k, *v;                   // of this layer
  const StepState* state;
  uint64_t kv_stride_head;
  uint32_t qkv_stride, n_heads, n_kv_heads, head_dim, rope_dim, rope_kind, kv_dtype;  // BN_ROPE_*, BN_DT_F32 or BN_DT_F16
  float eps;
};
const Kernel& rope_kernel();
Shape rope_shape(const RopeArgs& a, uint32_t n_tokens);

// h with up_at 0: tiles of 16: gate rows 8i..8i+7, then up rows 8i..8i+7 (the row order of the fused matrix, t2.h). Else all
// gate rows, and the up rows from h[up_at] on. y[i] = act(gate[i])*up[i].
struct GluArgs {
  const float* h;                       // [T][h_stride]
  float* y;                             // [T][y_stride]
  uint32_t n, h_stride, y_stride, act;  // n: n_ff; BN_ACT_*
  uint32_t up_at;
};
const Kernel& glu_kernel();
Shape glu_shape(uint32_t n_tokens, uint32_t n);

// x = x + y, n values of each token.
struct AddArgs {
  float* x;        // [T][x_stride]
  const float* y;  // [T][y_stride]
  uint32_t n, x_stride, y_stride;
};
const Kernel& add_kernel();
Shape add_shape(uint32_t n_tokens, uint32_t n);

// *state = value: where the next step begins.
struct SetStateArgs {
  StepState* state;
  StepState value;
};
const Kernel& set_state_kernel();
Shape set_state_shape();

}  // namespace bn_cuda
