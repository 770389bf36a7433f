// engine/workspace.cpp - sizes of the workspace.
#include "workspace.h"

#include <algorithm>

namespace bn_cuda {
namespace {

uint32_t round_up(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

}  // namespace

Workspace lay_out_workspace(const bn_arch& a, uint32_t n_ctx, uint32_t n_batch, Carver& c) {
  const uint32_t D = a.n_embd, HD = a.n_heads * a.head_dim, GD = a.n_kv_heads * a.head_dim, F = a.n_ff;
  const uint32_t widest = std::max({D, HD, F});
  const bool has_head = (a.must & BN_M_NO_HEAD) == 0;
  const uint64_t T = n_batch;
  Workspace w{};
  w.n_batch = n_batch;
  w.x_stride = round_up(D, 32);
  w.qkv_stride = round_up(HD + 2 * GD, 32);
  w.attn_stride = round_up(HD, 32);
  w.gate_up_stride = round_up(2 * round_up(F, 8), 32);
  w.ffn_stride = round_up(F, 32);
  w.wide_stride = round_up(widest, 32);
  w.q_stride = round_up(widest, 128);
  w.x = c.take<float>(T * w.x_stride);
  w.normed = c.take<float>(T * w.wide_stride);
  w.qkv = c.take<float>(T * w.qkv_stride);
  w.attn = c.take<float>(T * w.attn_stride);
  w.gate_up = c.take<float>(T * w.gate_up_stride);
  w.ffn = c.take<float>(T * w.ffn_stride);
  w.out = c.take<float>(T * w.x_stride);
  w.q = c.take<int8_t>(T * w.q_stride);
  w.q_scale = c.take<float>(T);
  w.q_sum = c.take<int32_t>(T);
  w.partial = c.take<float>(attention_partial_floats(kFewTokens, a.n_heads, a.head_dim, n_ctx));
  w.arrived = c.take<uint32_t>(uint64_t{kFewTokens} * a.n_heads);
  w.hidden = c.take<float>(uint64_t{kHiddenRows} * D);
  w.logits = c.take<float>(has_head ? uint64_t{kLogitRows} * a.n_vocab : 0);
  w.not_finite = c.take<uint32_t>(kLogitRows);
  w.top_id = c.take<int32_t>(kMaxCandidates);
  w.top_logit = c.take<float>(kMaxCandidates);
  return w;
}

}  // namespace bn_cuda
