/* bitnet/model.h - the model as data: what an engine must know, and what the runtime's own graph runs from. */
#ifndef BITNET_MODEL_H
#define BITNET_MODEL_H
#include "bitnet/formats.h"
#include "bitnet/kernels.h"
#include "bitnet/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define BN_M_ATTN_SUB_NORM 0x001u /* norm over the joined heads, before O */
#define BN_M_FFN_SUB_NORM 0x002u  /* norm over n_ff, before DOWN */
#define BN_M_IN_NORMS 0x004u      /* each of the seven projections has an input norm of its own */
#define BN_M_QK_NORM 0x008u       /* norm per head on q and k, before RoPE */
#define BN_M_POST_NORMS 0x010u    /* norm of each block's output, before the residual add */
#define BN_M_TIED_HEAD 0x020u     /* logits use TOKEN_EMBD */
#define BN_M_NO_HEAD 0x040u       /* embedding model: hidden state out, no logits */
#define BN_M_L2_POOLED 0x080u     /* pooled vector scaled to length 1 */
#define BN_M_BIASES 0x100u        /* a vector added to the result of some of the seven projections: those that have one */
enum { BN_POOL_NONE = 0, BN_POOL_LAST = 1, BN_POOL_MEAN = 2, BN_POOL_FIRST = 3 };
enum { BN_AQ_TOKEN_I8 = 1 }; /* activations: int8, one scale per token, absmax / 127 */
typedef struct bn_arch {
  uint32_t struct_size;
  uint32_t n_layers, n_embd, n_ff, n_vocab, n_ctx_max;
  uint32_t n_heads, n_kv_heads, head_dim; /* n_heads * head_dim need not be n_embd */
  uint32_t act, act_quant;
  uint32_t rope_kind, rope_dim;
  uint32_t window, pooling;
  float norm_eps, attn_scale, embd_scale;
  double rope_base; /* information: the tables of bn_model_desc are what counts */
  uint64_t must;    /* BN_M_*: rule 4 */
  char family[32];  /* for messages, never for decisions */
} bn_arch;
typedef struct bn_model_desc {
  uint32_t struct_size, tensor_stride;
  const bn_arch* arch;
  const bn_tensor* tensors; /* index with BN_AT(bn_tensor, tensors, tensor_stride, i) */
  uint64_t n_tensors;
  const float *rope_cos, *rope_sin; /* [bn_plan.n_ctx][rope_dim / 2], made by the runtime */
  uint8_t model_id[32];             /* SHA-256 of the file: key for caches */
  void* read_ctx;                   /* rows of a BN_DT_TERNARY tensor as bn.t2; any thread */
  bn_status(BN_CALL* read_t2)(void* read_ctx, uint64_t tensor, uint32_t row0, uint32_t row1, void* dst, uint64_t bytes);
} bn_model_desc;

#ifdef __cplusplus
}
#endif
#endif
