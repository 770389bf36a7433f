// model/graph.cpp - one step of the decoder: tokens in, logits out.
#include "model/graph.h"

#include <algorithm>

namespace bitnet::model {

void Graph::forward(uint32_t m, const Step& step) {  // m: the member of the team; everyone runs the same lines
  const bn_arch& arch = config_.arch;
  const uint32_t D = arch.n_embd, F = arch.n_ff, H = arch.n_heads, G = arch.n_kv_heads, d = arch.head_dim;
  const float eps = arch.norm_eps;
  bn_rope rope{};
  rope.kind = arch.rope_kind, rope.head_dim = arch.head_dim, rope.rope_dim = arch.rope_dim;
  rope.cos = rope_.cosine(), rope.sin = rope_.sine();

  const bn_attn attn = attention_arguments(*step.parts.front().kv);
  op_.embed(m, "embd", x_, weights_.token_embd, tokens_.data(), arch.embd_scale);  // x[T,D]
  for (uint32_t n = 0; n < arch.n_layers; ++n) {
    const Layer& w = weights_.layers[n];
    const LinearLayer& l = linears_.layers[n];

    project(m, {"attn_norm", qd_, x_, w.attn_norm, h_},  // q[T,H*d] k,v[T,G*d]
            {{w.attn_q, {&l.attn_q, q_}}, {w.attn_k, {&l.attn_k, k_}}, {w.attn_v, {&l.attn_v, v_}}});
    if (!w.attn_q_norm.empty()) op_.rms_norms(m, "attn_q_norm", q_, q_, w.attn_q_norm.data(), H, d, eps);
    if (!w.attn_k_norm.empty()) op_.rms_norms(m, "attn_k_norm", k_, k_, w.attn_k_norm.data(), G, d, eps);
    rope.n_heads = H, op_.rope(m, "attn_q_rope", q_, rope, runs_);
    rope.n_heads = G, op_.rope(m, "attn_k_rope", k_, rope, runs_);
    op_.each_token(m, "kv_store", [&](uint32_t t) {
      const uint32_t p = part_of_[t], position = runs_[p].position + t - runs_[p].row;
      step.parts[p].kv->store(n, position, k_.data + static_cast<uint64_t>(t) * k_.stride,
                              v_.data + static_cast<uint64_t>(t) * v_.stride);
    });
    op_.attention(m, "attn", attn, runs_, pages_.data() + n * runs_.size());                               // a[T,H*d]
    project(m, {"attn_sub_norm", qh_, a_, w.attn_sub_norm, a_}, {{w.attn_output, {&l.attn_output, h_}}});  // h[T,D]
    if (!w.post_attn_norm.empty()) op_.rms_norms(m, "post_attention_norm", h_, h_, w.post_attn_norm.data(), 1, D, eps);
    op_.add(m, "attn_residual", x_, h_, D);

    project(m, {"ffn_norm", qd_, x_, w.ffn_norm, h_},  // gate,up[T,F]
            {{w.ffn_gate, {&l.ffn_gate, gate_}}, {w.ffn_up, {&l.ffn_up, up_}}});
    op_.glu(m, "ffn_act", gate_, gate_, up_, arch.act, F);
    project(m, {"ffn_sub_norm", qf_, gate_, w.ffn_sub_norm, gate_}, {{w.ffn_down, {&l.ffn_down, h_}}});
    if (!w.post_ffn_norm.empty()) op_.rms_norms(m, "post_ffw_norm", h_, h_, w.post_ffn_norm.data(), 1, D, eps);
    op_.add(m, "ffn_residual", x_, h_, D);
  }
  if (wanted_.empty()) return;
  const backend::Activations h = step.hidden != nullptr ? backend::Activations{step.hidden, D} : h_;
  op_.rms_norm(m, "output_norm", h, x_, weights_.output_norm.data(), D, eps, wanted_);  // h[rows,D]
  if (step.logits != nullptr) head(m, step, h);                                         // logits[rows,vocab]
}

// Projections of one input share its int8 codes. Where each has a norm of its own, that norm reads the normed input.
void Graph::project(uint32_t m, const Input& in, std::initializer_list<Projection> projections) {
  const uint32_t width = projections.begin()->matrix.tensor.cols;
  const float eps = config_.arch.norm_eps;
  const float* norm = in.norm.empty() ? nullptr : in.norm.data();  // null: quantize without a norm
  if (config_.arch.must & BN_M_IN_NORMS) {
    if (norm != nullptr) op_.rms_norms(m, in.name, in.normed, in.x, norm, 1, width, eps);
    const backend::Activations x = norm != nullptr ? in.normed : in.x;
    for (const Projection& p : projections) {
      op_.quantize(m, p.call.linear->name, in.codes, x, p.matrix.norm_in.data(), width, eps);
      op_.bit_linear(m, in.codes, {&p.call, 1});
    }
  } else {
    backend::Ops::LinearCall calls[3];
    size_t n = 0;
    for (const Projection& p : projections) calls[n++] = p.call;
    op_.quantize(m, in.name, in.codes, in.x, norm, width, eps);
    op_.bit_linear(m, in.codes, {calls, n});
  }
  for (const Projection& p : projections) {
    const Gain& bias = p.matrix.bias;
    if (!bias.empty()) op_.add_bias(m, p.call.linear->name, p.call.y, bias.data(), static_cast<uint32_t>(bias.size()));
  }
}

// The layout of keys and values is the same for all parts.
bn_attn Graph::attention_arguments(const KvCache& any) const {
  const bn_arch& arch = config_.arch;
  bn_attn attn{};
  attn.struct_size = sizeof attn, attn.n_heads = arch.n_heads, attn.n_kv_heads = arch.n_kv_heads;
  attn.head_dim = arch.head_dim, attn.window = arch.window, attn.scale = arch.attn_scale, attn.kv_dtype = any.dtype();
  attn.kv_stride_pos = any.stride_position(), attn.kv_stride_head = any.stride_head();
  attn.q_stride = q_.stride, attn.y_stride = a_.stride, attn.q = q_.data, attn.y = a_.data;
  return attn;
}

void Graph::head(uint32_t m, const Step& step, backend::Activations h) {
  const uint32_t rows = static_cast<uint32_t>(wanted_.size());
  if (searched_) return search_->run(m, h, step.logits);
  if (search_ != nullptr) return search_->run_full(m, h, step.logits, rows);
  op_.dense(m, "output", {step.logits, config_.arch.n_vocab}, weights_.output, h, rows);
}

Graph::Graph(const Config& config, const Weights& weights, const BackendWeights& linears, backend::Ops& ops, uint32_t n_ctx,
             uint32_t max_batch, const ScreenedHead* head)
    : config_(config),
      weights_(weights),
      linears_(linears),
      op_(ops),
      max_batch_(std::min(max_batch, n_ctx)),
      rope_(config, weights.rope_factors.empty() ? nullptr : weights.rope_factors.data(), n_ctx),
      search_(head != nullptr ? std::make_unique<BestRows>(*head, ops) : nullptr) {
  const bn_arch& arch = config.arch;
  const uint32_t q_width = arch.n_heads * arch.head_dim, kv_width = arch.n_kv_heads * arch.head_dim;
  x_ = activations(arch.n_embd);
  h_ = activations(arch.n_embd);
  q_ = activations(q_width);
  k_ = activations(kv_width);
  v_ = activations(kv_width);
  a_ = activations(q_width);
  gate_ = activations(arch.n_ff);
  up_ = activations(arch.n_ff);
  const uint32_t align = std::max(64u, ops.table().k_align);
  const auto padded = [&](uint32_t n) { return (n + align - 1) / align * align; };
  const uint32_t widest = padded(std::max({arch.n_embd, q_width, arch.n_ff}));
  int8_t* codes = memory_.emplace_back(static_cast<uint64_t>(max_batch_) * widest).as<int8_t>();
  float* scale = memory_.emplace_back(4ull * max_batch_).as<float>();
  int32_t* sum = memory_.emplace_back(4ull * max_batch_).as<int32_t>();
  qd_ = {codes, scale, sum, padded(arch.n_embd)};
  qh_ = {codes, scale, sum, padded(q_width)};
  qf_ = {codes, scale, sum, padded(arch.n_ff)};
}

backend::Activations Graph::activations(uint32_t width) {
  const uint32_t stride = (width + 15) / 16 * 16;
  return {memory_.emplace_back(4ull * max_batch_ * stride).as<float>(), stride};
}

// Where the parts' tokens lie in the step, and room for their keys and values.
void Graph::lay_out(std::span<const Part> parts) {
  tokens_.clear(), part_of_.clear(), wanted_.clear(), runs_.clear(), pages_.clear();
  for (uint32_t p = 0; p < parts.size(); ++p) {
    const Part& part = parts[p];
    const uint32_t row = static_cast<uint32_t>(tokens_.size());
    runs_.push_back({row, part.n, part.position});
    tokens_.insert(tokens_.end(), part.tokens, part.tokens + part.n);
    part_of_.resize(tokens_.size(), p);
    for (uint32_t t = part.first_row; t < part.n; ++t) wanted_.push_back(row + t);
    part.kv->reserve(part.position + part.n);
    rope_.reserve(part.position + part.n);
  }
  for (uint32_t n = 0; n < config_.arch.n_layers; ++n) {
    for (const Part& part : parts) pages_.push_back({part.kv->k_pages(n), part.kv->v_pages(n)});
  }
}

bn_status Graph::step(const Step& step, backend::Pulse* pulse) {
  lay_out(step.parts);
  op_.begin(static_cast<uint32_t>(tokens_.size()), pulse);
  op_.plan_attention(attention_arguments(*step.parts.front().kv), runs_);
  const uint32_t rows = static_cast<uint32_t>(wanted_.size());
  searched_ = rows != 0 && step.logits != nullptr && step.best_k != 0 && searches(rows, step.best_k);
  if (searched_) search_->begin(rows, step.best_k);
  if (search_ != nullptr && !searched_ && rows != 0 && step.logits != nullptr) search_->begin_full();
  op_.team().run([&](uint32_t member) { forward(member, step); });
  if (searched_ && op_.status() == BN_OK) search_->end();
  return op_.status();
}

}  // namespace bitnet::model
