/* bitnet/engine.h - tier 2: the plugin owns weights, KV cache and the decode loop.
 *
 * The state of a session is its list of tokens. Whether the last of them has gone through the layers yet is the engine's
 * affair: append() with an output needs it, decode() samples from it. A session starts empty; decode() of an empty one is
 * BN_E_INVALID, as are more tokens than n_ctx and an append of none; a token outside the vocabulary is BN_E_DATA.
 * After BN_OK, BN_E_CANCELLED and BN_E_TIMEOUT the session is consistent: append() has taken all its tokens or none,
 * decode() those it reports as committed. Threads: rule 9 of plugin.h. The runtime calls every function of a model and its
 * sessions from one thread at a time, not always the same one.
 */
#ifndef BITNET_ENGINE_H
#define BITNET_ENGINE_H
#include "bitnet/model.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct bn_model bn_model;
typedef struct bn_session bn_session;
typedef struct bn_plan { /* what the runtime intends: sizes of pools and buffers */
  uint32_t struct_size, n_ctx, n_sessions, n_batch_tokens, kv_dtype, reserved;
} bn_plan;
typedef struct bn_fit {
  uint32_t struct_size, n_ctx_fits; /* 0: not at all */
  uint64_t bytes_weights, bytes_per_token;
  float est_decode_tps, est_prefill_tps; /* 0: unknown */
} bn_fit;
typedef struct bn_call { /* how to stop a call, and to see that it lives */
  uint32_t struct_size, reserved;
  uint64_t budget_ns;              /* from entry; 0: none */
  const volatile uint32_t* cancel; /* non-zero: stop with BN_E_CANCELLED */
  volatile uint64_t* heartbeat;    /* plugin stores a growing number: relaxed, aligned */
} bn_call;
enum { BN_OUT_LOGITS = 1, BN_OUT_TOPK = 2, BN_OUT_Z = 4, BN_OUT_HIDDEN = 8 };
#define BN_TOPK_MAX 1024u
typedef struct bn_output {          /* one row per position; every buffer is the caller's */
  uint32_t struct_size, want;       /* BN_OUT_* */
  uint32_t first;                   /* append: rows for tokens [first, n) of this call */
  uint32_t top_k, n_rows, reserved; /* n_rows is written by the plugin */
  float* logits;                    /* [rows][n_vocab] */
  int32_t* top_id;                  /* [rows][top_k], by falling logit, ties by rising id: exact */
  float* top_logit;
  float* z;      /* [rows][2]: max logit, sum of exp(logit - max) */
  float* hidden; /* after the last norm: [rows][n_embd]; with bn_arch.pooling one row of all of them */
} bn_output;
typedef struct bn_sampler {                  /* a pure function of (logits, history, seed, position) */
  uint32_t struct_size, top_k;               /* candidates, <= BN_TOPK_MAX; 0: all */
  float temperature, top_p, min_p, reserved; /* temperature 0: best logit, lowest id wins ties */
  uint64_t seed, must;                       /* must: sampler features newer than 1.0 */
  const int32_t* stop;
  uint64_t n_stop;
} bn_sampler;
typedef struct bn_decode {
  uint32_t struct_size, max_steps;
  const bn_sampler* sampler;
  int32_t* tokens;               /* room for max_steps */
  uint32_t n_committed, stopped; /* out, valid also on failure; stopped: last one is a stop token */
  bn_output* out;                /* optional: row i is of the logits that tokens[i] was drawn from */
} bn_decode;
typedef struct bn_engine_v1 {
  uint32_t struct_size, numerics;
  float tolerance; /* approx-1: relative L2 error of the logits */
  uint32_t reserved;
  int32_t(BN_CALL* accepts)(bn_device*, const bn_tensor* w); /* BN_PACK: through read_t2 */
  bn_status(BN_CALL* fit)(bn_device*, const bn_model_desc*, const bn_plan*, bn_fit*, bn_error*);
  bn_status(BN_CALL* load)(bn_device*, const bn_model_desc*, const bn_plan*, const bn_call*, bn_model**, bn_error*);
  void(BN_CALL* unload)(bn_model*);
  bn_status(BN_CALL* session_create)(bn_model*, uint32_t n_ctx, bn_session**, bn_error*);
  void(BN_CALL* session_destroy)(bn_session*);
  /* n more tokens; out (may be NULL) says what to return about them */
  bn_status(BN_CALL* append)(bn_session*, const int32_t* tokens, uint32_t n, bn_output* out, const bn_call*, bn_error*);
  /* up to max_steps times: sample, append what was sampled */
  bn_status(BN_CALL* decode)(bn_session*, bn_decode*, const bn_call*, bn_error*);
  bn_status(BN_CALL* truncate)(bn_session*, uint32_t n_tokens, bn_error*);
} bn_engine_v1;

/* --------------------------------------------------------------------------------- optional interfaces, drafts:
 * asked for by id through bn_plugin.get_interface; an id with "-draft.N" promises nothing and must match exactly. */
#define BN_BATCH_ID "bn.batch/1-draft.1"
typedef struct bn_batch_item { /* one sequence of a step of several */
  uint32_t struct_size;
  bn_status status; /* out, of this sequence */
  bn_session* session;
  const int32_t* tokens; /* appended first; n_tokens may be 0 */
  uint32_t n_tokens, reserved;
  bn_output* out;
  bn_decode* decode; /* NULL: append only */
} bn_batch_item;
typedef struct bn_batch_v1 {
  uint32_t struct_size, max_items;
  /* items: array of pointers, so that bn_batch_item may grow. What one sequence gets does not depend on the others. */
  bn_status(BN_CALL* step)(bn_model*, bn_batch_item* const* items, uint32_t n, const bn_call*, bn_error*);
} bn_batch_v1;

/* Keys and values out and in, to shorten a replay. Interchange order: [layer][k, v][position][kv_head][head_dim], k after
 * RoPE, f32 or f16 as the plan's kv_dtype says; bytes must be exactly that many. */
#define BN_KV_ID "bn.kv/1-draft.1"
typedef struct bn_kv_v1 {
  uint32_t struct_size, reserved;
  bn_status(BN_CALL* read)(bn_session*, uint32_t pos0, uint32_t pos1, void* dst, uint64_t bytes, bn_error*);
  /* appends n tokens whose keys and values are given instead of computing them */
  bn_status(BN_CALL* write)(bn_session*, const int32_t* tokens, uint32_t n, const void* src, uint64_t bytes, bn_error*);
} bn_kv_v1;

#ifdef __cplusplus
}
#endif
#endif
