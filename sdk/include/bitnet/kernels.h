/* bitnet/kernels.h - tier 1: the plugin computes ops on ranges; the runtime owns graph, KV cache, threads and memory.
 *
 * Every op gets a range and `scratch`: scratch_bytes of the table, 64-byte aligned, the caller's own for this call,
 * contents undefined. Ops never see threads: calls on disjoint ranges run concurrently. Inputs are readable exactly as
 * far as sizes and strides say; nothing outside the given range of the outputs may be written. Any head_dim, any number of
 * rows, K up to 131072.
 */
#ifndef BITNET_KERNELS_H
#define BITNET_KERNELS_H
#include "bitnet/formats.h"
#include "bitnet/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { BN_NO = 0, BN_PACK = 1, BN_NATIVE = 2 }; /* answers of accepts() */
enum { BN_EXACT_1 = 1, BN_APPROX_1 = 2 };       /* numerics profile */
enum { BN_ACT_RELU2 = 1, BN_ACT_SILU = 2, BN_ACT_GELU_TANH = 3 };
enum { BN_ROPE_NONE = 0, BN_ROPE_HALVES = 1 /* (i, i+d/2) */, BN_ROPE_PAIRS = 2 /* (2i, 2i+1) */ };
#define BN_KV_PAGE 128u  /* positions per KV page and softmax chunk */
#define BN_K_MAX 131072u /* largest cols of a ternary matrix */

typedef struct bn_matmul { /* y[t][r] = (float)dot(w[r], x[t]) * (x_scale[t] * w_scale[r]) */
  uint32_t struct_size, m; /* m tokens */
  const bn_tensor* w;
  const void* packed;          /* what pack() wrote, or w->data when native */
  const int8_t* x;             /* [m][x_stride], in -127..127, zero padded to a multiple of k_align */
  const float* x_scale;        /* [m] */
  const int32_t* x_sum;        /* [m] sum of the row, for layouts that store w+1 */
  float* y;                    /* [m][y_stride] */
  uint32_t x_stride, y_stride; /* elements */
} bn_matmul;

typedef struct bn_dense { /* y[t][r] = dot(w[r], x[t]): embedding and output head */
  uint32_t struct_size, m;
  const bn_tensor* w;
  const float* x; /* [m][x_stride] */
  float* y;       /* [m][y_stride] */
  uint32_t x_stride, y_stride;
} bn_dense;

typedef struct bn_norm { /* RMS norm and/or int8 quantisation of vectors of length n */
  uint32_t struct_size, n;
  float eps; /* < 0: no norm, quantise x as it is */
  uint32_t x_stride, y_stride, q_stride;
  const float *x, *gain; /* x [vectors][x_stride]; gain [n], NULL: ones */
  float* y;              /* f32 result, or NULL; may be x when y_stride is x_stride */
  int8_t* q;             /* int8 result, or NULL; zero padded to q_stride */
  float* q_scale;        /* [vectors] */
  int32_t* q_sum;        /* [vectors] sum of q */
} bn_norm;

typedef struct bn_rope { /* in place; token t sits at position pos0 + t */
  uint32_t struct_size, kind, n_heads, head_dim, rope_dim, pos0;
  uint32_t x_stride, reserved; /* x_stride: floats per token; heads lie head_dim apart */
  float* x;
  const float *cos, *sin; /* [position][rope_dim / 2] */
} bn_rope;

typedef struct bn_attn { /* token t sees positions (pos0+t-window, pos0+t] */
  uint32_t struct_size, n_heads, n_kv_heads, head_dim, pos0;
  uint32_t window;                        /* 0: all earlier positions */
  uint32_t kv_dtype;                      /* BN_DT_F16 or BN_DT_F32 */
  uint32_t kv_stride_pos, kv_stride_head; /* elements, inside a page */
  uint32_t q_stride, y_stride;            /* floats per token */
  float scale;
  const float* q;                  /* [m][n_heads][head_dim] */
  const void *const *k, *const *v; /* one pointer per page of BN_KV_PAGE positions; positions not seen are not read */
  float* y;                        /* [m][n_heads][head_dim]; query head h uses KV head h / (n_heads / n_kv_heads) */
} bn_attn;

/* What attention to single pages leaves, to be merged later: so that members of a team share a KV head with a long past. */
typedef struct bn_attn_parts {
  uint32_t struct_size;
  uint32_t page0, n_pages; /* pages there is room for */
  uint32_t stride;         /* floats of a part, at least head_dim + 2 */
  float* part; /* [m][n_heads][n_pages][stride]: head_dim sums of EXP(score - top) * value, top: the largest score of the
                  page, and the sum of EXP(score - top). The part of a page without a visible position is never touched. */
} bn_attn_parts;

typedef struct bn_glu { /* y = act(gate) * up; y may be gate */
  uint32_t struct_size, act, gate_stride, up_stride, y_stride, reserved;
  const float *gate, *up;
  float* y;
} bn_glu;

typedef struct bn_kernels_v1 { /* smallest legal struct_size: 56 (ends after matmul) */
  uint32_t struct_size;
  uint32_t numerics;      /* BN_EXACT_1 or BN_APPROX_1 */
  float tolerance;        /* approx-1: relative L2 error of one op's output */
  uint32_t row_granule;   /* row ranges start at multiples of this */
  uint32_t k_align;       /* x rows are zero padded to a multiple of k_align bytes, 1..256 */
  uint32_t scratch_bytes; /* private memory each op call gets; 0: none */
  /* Required: ternary matmul. accepts() sees format and shape; everybody answers at least BN_PACK for bn.t2 of any
   * shape. pack() may be called concurrently on disjoint row ranges; dst is the start of the whole buffer of pack_size()
   * bytes, 64-byte aligned. */
  int32_t(BN_CALL* accepts)(bn_device*, const bn_tensor* w);
  bn_status(BN_CALL* pack_size)(bn_device*, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error*);
  bn_status(BN_CALL* pack)(bn_device*, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error*);
  bn_status(BN_CALL* matmul)(bn_device*, const bn_matmul*, uint32_t row0, uint32_t row1, void* scratch);
  /* Optional: NULL, or past struct_size, means the runtime's own portable op. */
  uint64_t dense_dtypes; /* bit d set: dense() knows dtype d */
  bn_status(BN_CALL* dense)(bn_device*, const bn_dense*, uint32_t row0, uint32_t row1, void* scratch);
  bn_status(BN_CALL* norm)(bn_device*, const bn_norm*, uint32_t vec0, uint32_t vec1, void* scratch);
  bn_status(BN_CALL* rope)(bn_device*, const bn_rope*, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1,
                           void* scratch);
  bn_status(BN_CALL* attention)(bn_device*, const bn_attn*, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1,
                                void* scratch);
  bn_status(BN_CALL* glu)(bn_device*, const bn_glu*, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1, void* scratch);
  /* Both or neither; without them attention is split by heads only. attention_parts: parts of pages [page0, page1), which
   * are among those there is room for; y is not used. merge_parts: y from the parts of all pages with visible
   * positions, the bits of attention; q, k and v are not used. */
  bn_status(BN_CALL* attention_parts)(bn_device*, const bn_attn*, const bn_attn_parts*, uint32_t tok0, uint32_t tok1,
                                      uint32_t head0, uint32_t head1, uint32_t page0, uint32_t page1, void* scratch);
  bn_status(BN_CALL* merge_parts)(bn_device*, const bn_attn*, const bn_attn_parts*, uint32_t tok0, uint32_t tok1,
                                  uint32_t head0, uint32_t head1, void* scratch);
} bn_kernels_v1;

#ifdef __cplusplus
}
#endif
#endif
