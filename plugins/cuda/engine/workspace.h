// engine/workspace.h - what the steps of a model share: activations, the head's lists, counters. One stream, so one of each.
#pragma once

#include "../device/attention.h"
#include "../device/head.h"
#include "bitnet/model.h"
#include "memory.h"

namespace bn_cuda {

constexpr uint32_t kFewTokens = 8;    // so many share one reading of the weights; attention of decode
constexpr uint32_t kLogitRows = 8;    // rows of logits that are made at once
constexpr uint32_t kHiddenRows = 64;  // rows of hidden states that are made at once

struct Workspace {
  uint32_t n_batch;  // tokens of a step at most
  // Strides, floats or codes per token.
  uint32_t x_stride, qkv_stride, attn_stride, gate_up_stride, ffn_stride, wide_stride, q_stride;
  float* x;        // [n_batch] residual stream
  float* normed;   // [n_batch] of wide_stride: the widest of D, H*d, F
  float* qkv;      // [n_batch]
  float* attn;     // [n_batch]
  float* gate_up;  // [n_batch]
  float* ffn;      // [n_batch]
  float* out;      // [n_batch] of x_stride: results that get a norm before they are added
  int8_t* q;       // [n_batch] codes
  float* q_scale;  // [n_batch]
  int32_t* q_sum;  // [n_batch]
  float* partial;  // of attention
  uint32_t* arrived;
  float* hidden;         // [kHiddenRows][D]
  float* logits;         // [kLogitRows][V]
  uint32_t* not_finite;  // [kLogitRows]
  // The list to draw from.
  int32_t* top_id;   // [kMaxCandidates]
  float* top_logit;  // [kMaxCandidates]
};

// n_ctx: positions of a session at most.
Workspace lay_out_workspace(const bn_arch& arch, uint32_t n_ctx, uint32_t n_batch, Carver& carver);

}  // namespace bn_cuda
