// device/attention.h - attention over the cache, with the bits of kit attention(): chunks of 128 positions, rising.
#pragma once

#include "elementwise.h"
#include "simt.h"
#include "step.h"

namespace bn_cuda {

struct AttentionArgs {
  const float* q;     // [T][q_stride], query heads after RoPE
  const void *k, *v;  // [kv_head][position][head_dim] of this layer
  float* y;           // [T][y_stride]
  float* partial;     // workspace of attention_partial_floats() floats
  uint32_t* arrived;  // [T*n_heads] counters, zero before the first launch; the kernel leaves them zero
  const StepState* state;
  uint64_t kv_stride_head;
  uint32_t q_stride, y_stride, n_heads, n_kv_heads, head_dim, window, kv_dtype, n_tokens;
  uint32_t n_splits;  // decode: blocks that share the chunks of one head
  float scale;
};
// head_dim: a multiple of 4, at most 256. k, v: 16-byte aligned, and so are the heads in them.

// Few tokens (decode, guesses): chunks are dealt to n_splits blocks per KV head; the last to arrive joins them in order. When
// they are few, every query head and chunk has a block of its own; blocks with nothing to do leave at once.
const Kernel& attention_decode_kernel(uint32_t kv_dtype);
Shape attention_decode_shape(const AttentionArgs& a);
// n_splits that fills a GPU of n_sms multiprocessors with one token, for contexts up to n_ctx.
uint32_t attention_decode_splits(uint32_t n_heads, uint32_t n_kv_heads, uint32_t n_ctx, uint32_t n_sms);

// One token: rope_kernel() and attention_decode_kernel() in one launch, same shape function. rope.qkv keeps its unrotated q;
// attention.q is not read.
struct FusedAttentionArgs {
  RopeArgs rope;
  AttentionArgs attention;
};
const Kernel& fused_attention_kernel(uint32_t kv_dtype);
// The same with sums in another order, for fast numerics: not the bits of the kit, but near. n_splits by
// attention_free_splits(); shapes, workspace and counters as for the two above.
const Kernel& attention_free_kernel(uint32_t kv_dtype);
const Kernel& fused_attention_free_kernel(uint32_t kv_dtype);
uint32_t attention_free_splits(uint32_t n_heads, uint32_t n_kv_heads, uint32_t n_ctx, uint32_t n_sms);
constexpr uint32_t kFreeShares = 64;  // at most
uint64_t attention_partial_floats(uint32_t n_tokens, uint32_t n_heads, uint32_t head_dim, uint32_t n_ctx);
// A prompt: blocks of queries against blocks of keys in shared memory. q_stride and y_stride: multiples of 4; q, y 16-byte
// aligned.
const Kernel& attention_prompt_kernel(uint32_t kv_dtype);
Shape attention_prompt_shape(const AttentionArgs& a);

}  // namespace bn_cuda
