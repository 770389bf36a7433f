// model/graph.cpp - one step of the decoder: tokens in, logits out.
#include "model/graph.h"

#include <algorithm>

namespace bitnet::model {

void Graph::forward(uint32_t m, const Step& step) {  // m: the member of the team; everyone runs the same lines
  const bn_arch& arch = config_.arch;
  const uint32_t D = arch.n_embd, F = arch.n_ff, HD = arch.n_heads * arch.head_dim, T = step.n;
  const float eps = arch.norm_eps;
  const auto gain = [](const Gain& g) { return g.empty() ? nullptr : g.data(); };  // null: quantize without a norm
  bn_rope rope{};
  rope.kind = arch.rope_kind, rope.head_dim = arch.head_dim, rope.rope_dim = arch.rope_dim, rope.pos0 = step.position;
  rope.cos = rope_.cosine(), rope.sin = rope_.sine();

  op_.embed(m, "embd", x_, weights_.token_embd, step.tokens, arch.embd_scale);  // x[T,D]
  for (uint32_t n = 0; n < arch.n_layers; ++n) {
    const Layer& w = weights_.layers[n];
    const LinearLayer& l = linears_.layers[n];

    op_.quantize(m, "attn_norm", qd_, x_, w.attn_norm.data(), D, eps);            // int8[T,D]
    op_.bit_linear(m, qd_, {{&l.attn_q, q_}, {&l.attn_k, k_}, {&l.attn_v, v_}});  // q[T,H*d] k,v[T,G*d]
    rope.n_heads = arch.n_heads, op_.rope(m, "attn_q_rope", q_, rope);
    rope.n_heads = arch.n_kv_heads, op_.rope(m, "attn_k_rope", k_, rope);
    op_.each_token(m, "kv_store", [&](uint32_t t) {
      kv_.store(n, step.position + t, k_.data + static_cast<uint64_t>(t) * k_.stride,
                v_.data + static_cast<uint64_t>(t) * v_.stride);
    });
    const bn_attn attn{sizeof(bn_attn), arch.n_heads,          arch.n_kv_heads,   arch.head_dim, step.position, arch.window,
                       kv_.dtype(),     kv_.stride_position(), kv_.stride_head(), q_.stride,     a_.stride,     arch.attn_scale,
                       q_.data,         kv_.k_pages(n),        kv_.v_pages(n),    a_.data};
    op_.attention(m, "attn", attn);  // a[T,H*d]
    op_.quantize(m, "attn_sub_norm", qh_, a_, gain(w.attn_sub_norm), HD, eps);
    op_.bit_linear(m, qh_, {{&l.attn_output, h_}});  // h[T,D]
    op_.add(m, "attn_residual", x_, h_, D);

    op_.quantize(m, "ffn_norm", qd_, x_, w.ffn_norm.data(), D, eps);
    op_.bit_linear(m, qd_, {{&l.ffn_gate, gate_}, {&l.ffn_up, up_}});  // gate,up[T,F]
    op_.glu(m, "ffn_act", gate_, gate_, up_, arch.act, F);
    op_.quantize(m, "ffn_sub_norm", qf_, gate_, gain(w.ffn_sub_norm), F, eps);
    op_.bit_linear(m, qf_, {{&l.ffn_down, h_}});
    op_.add(m, "ffn_residual", x_, h_, D);
  }
  if (step.first_row == T) return;
  op_.rms_norm(m, "output_norm", h_, x_, weights_.output_norm.data(), D, eps, step.first_row);  // h[rows,D]
  head(m, step);                                                                                // logits[rows,vocab]
}

void Graph::head(uint32_t m, const Step& step) {
  const uint32_t rows = step.n - step.first_row;
  if (searched_) return search_->run(m, h_, step.logits);
  if (search_ != nullptr) return search_->run_full(m, h_, step.logits, rows);
  op_.dense(m, "output", {step.logits, config_.arch.n_vocab}, weights_.output, h_, rows);
}

Graph::Graph(const Config& config, const Weights& weights, const BackendWeights& linears, backend::Ops& ops, uint32_t n_ctx,
             uint32_t max_batch, uint32_t kv_dtype, const ScreenedHead* head)
    : config_(config),
      weights_(weights),
      linears_(linears),
      op_(ops),
      max_batch_(std::min(max_batch, n_ctx)),
      kv_(config.arch, kv_dtype),
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

bn_status Graph::step(const Step& step, backend::Pulse* pulse) {
  kv_.reserve(step.position + step.n);
  rope_.reserve(step.position + step.n);
  op_.begin(step.n, pulse);
  const uint32_t rows = step.n - step.first_row;
  searched_ = rows != 0 && step.best_k != 0 && searches(rows, step.best_k);
  if (searched_) search_->begin(rows, step.best_k);
  if (search_ != nullptr && !searched_ && rows != 0) search_->begin_full();
  op_.team().run([&](uint32_t member) { forward(member, step); });
  if (searched_ && op_.status() == BN_OK) search_->end();
  return op_.status();
}

}  // namespace bitnet::model
