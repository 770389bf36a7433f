// engine/step.cpp - a step, plain: every op of the family a kernel.
#include "step.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace bn_cuda {

Step::Step(const bn_arch& arch, uint32_t n_ctx, uint32_t kv_dtype, const Weights& weights, const Workspace& workspace,
           DotPath path, bool fast, const DeviceFacts& facts, Stream& stream)
    : arch_(arch),
      kv_dtype_(kv_dtype),
      w_(weights),
      b_(workspace),
      path_(path),
      fast_(fast),
      n_processors_(facts.n_processors),
      max_shared_bytes_(facts.max_shared_bytes),
      n_splits_(
          (fast ? attention_free_splits : attention_decode_splits)(arch.n_heads, arch.n_kv_heads, n_ctx, facts.n_processors)),
      stream_(stream) {}

void Step::plain(const Sequence& s, uint32_t n) {
  embed(s, b_.x, n);
  for (uint32_t i = 0; i < arch_.n_layers; ++i) {
    const DeviceLayer& l = w_.layers[i];
    project(b_.x, b_.x_stride, l.attn_norm, l.qkv, b_.qkv, b_.qkv_stride, false, n);
    const RopeArgs rope = rope_args(s, i);
    launch(rope_kernel(), rope_shape(rope, n), rope);
    attention(s, i, n);
    close_block(b_.attn, b_.attn_stride, l.attn_sub_norm, l.output, l.post_attn_norm, n);

    project(b_.x, b_.x_stride, l.ffn_norm, l.gate_up, b_.gate_up, b_.gate_up_stride, false, n);
    glu(n);
    close_block(b_.ffn, b_.ffn_stride, l.ffn_sub_norm, l.down, l.post_ffn_norm, n);
  }
}

void Step::one(const Sequence& s, Stage stage) {
  if (stage >= Stage::kFused && can_fuse()) {
    fused(s);
  } else {
    plain(s, 1);
  }
}

void Step::embed(const Sequence& s, float* x, uint32_t n) {
  const DeviceTable& t = w_.token_embd;
  const EmbedArgs args{t.rows,  t.row_scales, s.tokens,       s.state,     x,
                       t.dtype, arch_.n_embd, t.n_row_scales, b_.x_stride, arch_.embd_scale};
  launch(embed_kernel(), embed_shape(n, arch_.n_embd), args);
}

RopeArgs Step::rope_args(const Sequence& s, uint32_t layer) const {
  const DeviceLayer& l = w_.layers[layer];
  RopeArgs a{};
  a.qkv = b_.qkv;
  a.q_norm = l.q_norm, a.k_norm = l.k_norm;
  a.cos = w_.rope_cos, a.sin = w_.rope_sin;
  a.k = s.k + layer * s.layer_bytes, a.v = s.v + layer * s.layer_bytes;
  a.state = s.state;
  a.kv_stride_head = s.kv_stride_head;
  a.qkv_stride = b_.qkv_stride;
  a.n_heads = arch_.n_heads, a.n_kv_heads = arch_.n_kv_heads, a.head_dim = arch_.head_dim;
  a.rope_dim = arch_.rope_dim, a.rope_kind = arch_.rope_kind, a.kv_dtype = kv_dtype_;
  a.eps = arch_.norm_eps;
  return a;
}

AttentionArgs Step::attention_args(const Sequence& s, uint32_t layer, uint32_t n) const {
  AttentionArgs a{};
  a.q = b_.qkv;
  a.k = s.k + layer * s.layer_bytes, a.v = s.v + layer * s.layer_bytes;
  a.y = b_.attn;
  a.partial = b_.partial;
  a.arrived = b_.arrived;
  a.state = s.state;
  a.kv_stride_head = s.kv_stride_head;
  a.q_stride = b_.qkv_stride, a.y_stride = b_.attn_stride;
  a.n_heads = arch_.n_heads, a.n_kv_heads = arch_.n_kv_heads, a.head_dim = arch_.head_dim;
  a.window = arch_.window, a.kv_dtype = kv_dtype_, a.n_tokens = n;
  a.n_splits = n_splits_;
  a.scale = arch_.attn_scale;
  return a;
}

void Step::attention(const Sequence& s, uint32_t layer, uint32_t n) {
  const AttentionArgs a = attention_args(s, layer, n);
  if (n <= kFewTokens) {
    launch(fast_ ? attention_free_kernel(kv_dtype_) : attention_decode_kernel(kv_dtype_), attention_decode_shape(a), a);
  } else {
    launch(attention_prompt_kernel(kv_dtype_), attention_prompt_shape(a), a);
  }
}

void Step::norm(const float* x, uint32_t x_stride, uint32_t width, const float* gain, float* y, uint32_t y_stride, uint32_t n) {
  const NormArgs args{x, gain, y, nullptr, nullptr, nullptr, width, x_stride, y_stride, 0, arch_.norm_eps, fast_};
  launch(norm_kernel(), norm_shape(n, width), args);
}

// Codes of RMSNorm(x)*gain, or of x itself without a gain.
void Step::quantize(const float* x, uint32_t x_stride, uint32_t width, const float* gain, uint32_t n) {
  const float eps = gain != nullptr ? arch_.norm_eps : -1.0f;
  const NormArgs args{x, gain, nullptr, b_.q, b_.q_scale, b_.q_sum, width, x_stride, 0, b_.q_stride, eps, fast_};
  launch(norm_kernel(), norm_shape(n, width), args);
}

void Step::matmul(const DeviceLinear& w, float* y, uint32_t y_stride, bool add, uint32_t n) {
  const MatmulArgs a{w.w,    w.scale, w.bias,      b_.q,     b_.q_scale, b_.q_sum, y + w.y_at,
                     w.rows, w.cols,  b_.q_stride, y_stride, n,          add};
  const DotPath path = n == 1 ? path_ : DotPath::kBytes;
  if (n <= kFewTokens) {
    launch(gemv_kernel(path), gemv_shape(a, path), a);
  } else {
    launch(gemm_kernel(a, n_processors_), gemm_shape(a, n_processors_), a);
  }
}

// The projections of one input, behind its norm if it has one. Those with norms of their own read its float result.
void Step::project(const float* x, uint32_t x_stride, const float* gain, const std::vector<DeviceLinear>& parts, float* y,
                   uint32_t y_stride, bool add, uint32_t n) {
  const uint32_t width = parts[0].cols;
  const bool own_norms = has(BN_M_IN_NORMS);
  if (own_norms && gain != nullptr) {
    norm(x, x_stride, width, gain, b_.normed, b_.wide_stride, n);
    x = b_.normed, x_stride = b_.wide_stride;
  }
  if (!own_norms) quantize(x, x_stride, width, gain, n);
  for (const DeviceLinear& w : parts) {
    if (own_norms) quantize(x, x_stride, width, w.norm_in, n);
    matmul(w, y, y_stride, add, n);
  }
}

void Step::close_block(const float* x, uint32_t x_stride, const float* gain, const std::vector<DeviceLinear>& parts,
                       const float* post_norm, uint32_t n) {
  if (post_norm == nullptr) return project(x, x_stride, gain, parts, b_.x, b_.x_stride, true, n);
  project(x, x_stride, gain, parts, b_.out, b_.x_stride, false, n);
  add_norm(post_norm, n);
}

// x += RMSNorm(out)*gain.
void Step::add_norm(const float* gain, uint32_t n) {
  norm(b_.out, b_.x_stride, arch_.n_embd, gain, b_.out, b_.x_stride, n);
  const AddArgs add{b_.x, b_.out, arch_.n_embd, b_.x_stride, b_.x_stride};
  launch(add_kernel(), add_shape(n, arch_.n_embd), add);
}

void Step::glu(uint32_t n) {
  const uint32_t up_at = has(BN_M_IN_NORMS) ? w_.layers[0].gate_up[1].y_at : 0;
  const GluArgs args{b_.gate_up, b_.ffn, arch_.n_ff, b_.gate_up_stride, b_.ffn_stride, arch_.act, up_at};
  launch(glu_kernel(), glu_shape(n, arch_.n_ff), args);
}

// ------------------------------------------------------------------------------------------------ one token, fused

// Of matrices with this input: a.x, and a.branch where a residual add is still to be done.
FusedArgs Step::fused_args(const std::vector<DeviceLinear>& parts, const float* gain, float* y) const {
  const bool own_norms = has(BN_M_IN_NORMS);
  FusedArgs a{};
  for (const DeviceLinear& w : parts) {
    const float* const last_gain = own_norms ? w.norm_in : gain;
    a.part[a.n_parts++] = {w.w, w.scale, w.bias, last_gain, y + w.y_at, w.rows, last_gain != nullptr ? arch_.norm_eps : -1.0f};
  }
  a.cols = parts[0].cols;
  a.act = arch_.act;
  a.norm_eps = arch_.norm_eps;
  a.free_order = fast_;
  a.block_gain = own_norms ? gain : nullptr;
  return a;
}

void Step::fused_linear(const FusedArgs& a, Epilogue epilogue) {
  launch(fused_kernel(path_, epilogue), fused_shape(a, path_, epilogue, n_processors_), a);
}

// The next reader of x: it also does a residual add that is behind a norm, and so waits in `out`.
FusedArgs Step::from_residual(FusedArgs a, Residual& r) const {
  a.x = r.x;
  if (r.branch_gain == nullptr) return a;
  a.branch = b_.out, a.branch_gain = r.branch_gain, a.x_next = r.spare;
  std::swap(r.x, r.spare);
  r.branch_gain = nullptr;
  return a;
}

// The end of a block.
void Step::fused_close(const float* x, const std::vector<DeviceLinear>& parts, const float* gain, const float* post_norm,
                       Residual& r) {
  FusedArgs a = fused_args(parts, gain, post_norm != nullptr ? b_.out : r.x);
  a.x = x;
  fused_linear(a, post_norm != nullptr ? Epilogue::kStore : Epilogue::kAdd);
  r.branch_gain = post_norm;
}

void Step::fused(const Sequence& s) {
  // With post norms x goes to and fro 2*n_layers - 1 times before the last add, which is done in b_.x.
  const bool post_norms = has(BN_M_POST_NORMS);
  Residual r{post_norms ? b_.normed : b_.x, post_norms ? b_.x : nullptr, nullptr};
  embed(s, r.x, 1);
  for (uint32_t i = 0; i < arch_.n_layers; ++i) {
    const DeviceLayer& l = w_.layers[i];
    fused_linear(from_residual(fused_args(l.qkv, l.attn_norm, b_.qkv), r), Epilogue::kStore);
    const FusedAttentionArgs attend{rope_args(s, i), attention_args(s, i, 1)};
    launch(fast_ ? fused_attention_free_kernel(kv_dtype_) : fused_attention_kernel(kv_dtype_),
           attention_decode_shape(attend.attention), attend);
    fused_close(b_.attn, l.output, l.attn_sub_norm, l.post_attn_norm, r);
    fused_linear(from_residual(fused_args(l.gate_up, l.ffn_norm, b_.ffn), r), Epilogue::kGlu);
    fused_close(b_.ffn, l.down, l.ffn_sub_norm, l.post_ffn_norm, r);
  }
  if (r.branch_gain != nullptr) add_norm(r.branch_gain, 1);
}

bool Step::can_fuse() const {
  const DeviceLayer& l = w_.layers[0];
  const std::tuple<const std::vector<DeviceLinear>&, const float*, float*> matrices[] = {{l.qkv, l.attn_norm, b_.qkv},
                                                                                         {l.output, l.attn_sub_norm, b_.out},
                                                                                         {l.gate_up, l.ffn_norm, b_.gate_up},
                                                                                         {l.down, l.ffn_sub_norm, b_.out}};
  uint32_t most = 0;
  for (const auto& [parts, gain, y] : matrices) {
    FusedArgs a = fused_args(parts, gain, y);
    if (has(BN_M_POST_NORMS)) a.branch = b_.out;
    const Epilogue epilogue = &parts == &l.gate_up ? Epilogue::kGlu : Epilogue::kStore;
    most = std::max(most, fused_shape(a, path_, epilogue, n_processors_).shared_bytes);
  }
  return most <= max_shared_bytes_;
}

}  // namespace bn_cuda
