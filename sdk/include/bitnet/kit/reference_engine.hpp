// bitnet/kit/reference_engine.hpp - the definition of an engine: a whole decoder of bn.engine/1, plain and single-threaded.
//
// ReferenceModel (reference_model.hpp) holds the weights, ReferenceSession one sequence. Its results are those of exact-1, bit
// for bit, and it checks its arguments the way engine.h asks. Its functions have the arguments of the engine table, so a plugin
// needs one line for each; wrap them in bn::kit::guard(), which turns std::bad_alloc into a status.
// Shapes  T tokens of a batch, D n_embd, F n_ff, V n_vocab, H*d query heads times head_dim, G*d key/value heads.
// Errors  a status and one sentence. After CANCELLED and TIMEOUT the session is as engine.h says; after a status of an op it is
//         consistent as well, though the device may not be.
// Threads one at a time per session; sessions share the model, which is constant.
#pragma once

#include "bitnet/kit/engine_arguments.hpp"
#include "bitnet/kit/pooling.hpp"
#include "bitnet/kit/reference_model.hpp"
#include "bitnet/kit/sampler.hpp"

namespace bn::kit {

// Keys and values of one sequence, in pages of BN_KV_PAGE positions. Page: [position][head][head_dim] of BN_DT_F32 or F16.
class ReferenceKv {
 public:
  ReferenceKv(uint32_t n_layers, uint32_t width, uint32_t dtype) : width_(width), dtype_(dtype), layers_(n_layers) {}

  // Makes room for positions [0, n) of every layer.
  void reserve(uint32_t n) {
    const uint64_t bytes = uint64_t{BN_KV_PAGE} * width_ * (dtype_ == BN_DT_F16 ? 2 : 4);
    for (Layer& layer : layers_) {
      while (layer.pages.size() < (n + BN_KV_PAGE - 1) / BN_KV_PAGE * 2) {
        layer.pages.push_back(std::make_unique<uint8_t[]>(bytes));
        (layer.k.size() == layer.v.size() ? layer.k : layer.v).push_back(layer.pages.back().get());
      }
    }
  }

  void store(uint32_t layer, uint32_t position, const float* k, const float* v) {
    const uint32_t page = position / BN_KV_PAGE;
    put(layers_[layer].k[page], position % BN_KV_PAGE, k);
    put(layers_[layer].v[page], position % BN_KV_PAGE, v);
  }

  const void* const* k(uint32_t layer) const { return layers_[layer].k.data(); }
  const void* const* v(uint32_t layer) const { return layers_[layer].v.data(); }

 private:
  struct Layer {
    std::vector<std::unique_ptr<uint8_t[]>> pages;
    std::vector<void*> k, v;  // one pointer per page
  };

  void put(void* page, uint32_t slot, const float* x) {
    const uint64_t first = uint64_t{slot} * width_;
    if (dtype_ == BN_DT_F32) {
      std::memcpy(static_cast<float*>(page) + first, x, 4ull * width_);
    } else {
      for (uint32_t i = 0; i < width_; ++i) static_cast<uint16_t*>(page)[first + i] = f32_to_f16(x[i]);
    }
  }

  uint32_t width_, dtype_;  // width: G*d
  std::vector<Layer> layers_;
};

class ReferenceSession {
 public:
  // session_create(). The model must outlive the session.
  static bn_status create(const ReferenceModel& model, uint32_t n_ctx, std::unique_ptr<ReferenceSession>* out,
                          bn_error* error) {
    if (n_ctx == 0 || n_ctx > model.n_ctx) {
      return set_error(error, BN_E_INVALID, "session: a context of %u, the plan said %u", n_ctx, model.n_ctx);
    }
    out->reset(new ReferenceSession(model, n_ctx));
    return BN_OK;
  }

  const std::vector<int32_t>& tokens() const { return tokens_; }
  uint32_t n_ctx() const { return n_ctx_; }
  uint32_t n_embd() const { return model_.arch.n_embd; }

  // All n tokens go through the layers, or none is taken.
  bn_status append(const int32_t* tokens, uint32_t n, bn_output* out, const bn_call* call, bn_error* error) {
    CallWatch watch(call);
    if (const bn_status bad = check_append(model_.arch, size(), n_ctx_, tokens, n, out, error); bad != BN_OK) return bad;
    if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
    const uint32_t before = size();
    tokens_.insert(tokens_.end(), tokens, tokens + n);
    const uint32_t first_row = out != nullptr && out->want != 0 ? before + out->first : size();
    const bn_status status = process(first_row, out, watch, error);
    if (status != BN_OK) {
      forget(before);
      return status;
    }
    if (out != nullptr) out->n_rows = size() - first_row;
    return BN_OK;
  }

  // Samples from the last token's logits, appends what was sampled, and so on. The last sampled token waits for the next call
  // before it goes through the layers. Row i of out is of the logits that tokens[i] was drawn from.
  bn_status decode(bn_decode* d, const bn_call* call, bn_error* error) {
    CallWatch watch(call);
    if (const bn_status bad = check_decode(model_.arch, size(), d, error); bad != BN_OK) return bad;
    const bool wants_rows = d->out != nullptr && d->out->want != 0;
    while (d->n_committed < d->max_steps && size() < n_ctx_ && d->stopped == 0) {
      if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
      if (const bn_status bad = process(size(), nullptr, watch, error); bad != BN_OK) return bad;
      if (const bn_status bad = compute_row(last_.data(), BN_OUT_LOGITS, watch, error); bad != BN_OK) return bad;
      for (const float logit : logits_) {
        if (!std::isfinite(logit)) return set_error(error, BN_E_INTERNAL, "decode: logits are not finite");
      }
      if (wants_rows) write_row(model_.arch, *d->out, d->n_committed, hidden_.data(), logits_.data());
      const int32_t token = sample_logits(*d->sampler, size(), logits_.data(), model_.arch.n_vocab);
      tokens_.push_back(token);
      d->tokens[d->n_committed++] = token;
      if (wants_rows) d->out->n_rows = d->n_committed;
      d->stopped = is_stop_token(*d->sampler, token) ? 1 : 0;
    }
    return BN_OK;
  }

  bn_status truncate(uint32_t n_tokens, bn_error* error) {
    if (n_tokens > size()) return set_error(error, BN_E_INVALID, "truncate: to %u of %u tokens", n_tokens, size());
    forget(n_tokens);
    return BN_OK;
  }

 private:
  static constexpr uint32_t kBatch = 32;  // tokens that go through the layers together

  ReferenceSession(const ReferenceModel& model, uint32_t n_ctx)
      : model_(model),
        n_ctx_(n_ctx),
        kv_(model.arch.n_layers, model.arch.n_kv_heads * model.arch.head_dim, model.kv_dtype),
        scratch_(model.ops.scratch_bytes + 64),
        last_(model.arch.n_embd),
        hidden_(model.arch.n_embd),
        logits_(model.arch.n_vocab) {
    const bn_arch& a = model.arch;
    const size_t q_width = size_t{a.n_heads} * a.head_dim, kv_width = size_t{a.n_kv_heads} * a.head_dim;
    x_.resize(kBatch * size_t{a.n_embd});
    h_.resize(kBatch * size_t{a.n_embd});
    q_.resize(kBatch * q_width);
    k_.resize(kBatch * kv_width);
    v_.resize(kBatch * kv_width);
    a_.resize(kBatch * q_width);
    gate_.resize(kBatch * size_t{a.n_ff});
    up_.resize(kBatch * size_t{a.n_ff});
    codes_.resize(kBatch * size_t{padded(std::max({a.n_embd, a.n_ff, static_cast<uint32_t>(q_width)}))});
  }

  uint32_t size() const { return static_cast<uint32_t>(tokens_.size()); }

  // Keeps the first n tokens. Their keys and values stay; the last of them goes through the layers again when it is needed.
  void forget(uint32_t n) {
    if (n == size()) return;
    tokens_.resize(n);
    n_processed_ = std::min(n_processed_, n == 0 ? 0 : n - 1);
  }

  // --------------------------------------------------------------------------------------------- the decoder
  // Sends the tokens that have not been through the layers, and writes rows for tokens [first_row, size()).
  bn_status process(uint32_t first_row, bn_output* out, CallWatch& watch, bn_error* error) {
    const uint32_t D = model_.arch.n_embd;
    const bool pooled = out != nullptr && (out->want & BN_OUT_HIDDEN) != 0 && model_.arch.pooling != BN_POOL_NONE;
    Pooler pooler(model_.arch.pooling, D, model_.has(BN_M_L2_POOLED));
    kv_.reserve(size());
    while (n_processed_ < size()) {
      const uint32_t position = n_processed_, n = std::min(kBatch, size() - position);
      if (const bn_status bad = run_layers(position, n, watch, error); bad != BN_OK) return bad;
      for (uint32_t t = 0; t < n && out != nullptr; ++t) {
        if (position + t < first_row) continue;
        if (const bn_status bad = compute_row(x_.data() + uint64_t{t} * D, out->want, watch, error); bad != BN_OK) return bad;
        write_row(model_.arch, *out, position + t - first_row, hidden_.data(), logits_.data());
        if (pooled) pooler.add(hidden_.data());
      }
      std::copy_n(x_.data() + uint64_t{n - 1} * D, D, last_.data());
      n_processed_ += n;
    }
    if (pooled && pooler.n_rows() != 0) pooler.write(out->hidden);
    return BN_OK;
  }

  // n tokens at `position`: embedding, then every block. Leaves the residual stream in x_ [n,D].
  bn_status run_layers(uint32_t position, uint32_t n, CallWatch& watch, bn_error* error) {
    const bn_arch& a = model_.arch;
    const uint32_t D = a.n_embd;
    for (uint32_t t = 0; t < n; ++t) embed(tokens_[position + t], x_.data() + uint64_t{t} * D);
    bn_status s = BN_OK;
    for (uint32_t i = 0; i < a.n_layers; ++i) {
      const ReferenceLayer& w = model_.layers[i];
      if (s == BN_OK) s = project(x_, h_, w.attn_norm, {{&w.attn_q, &q_}, {&w.attn_k, &k_}, {&w.attn_v, &v_}}, n, watch, error);
      if (s == BN_OK) s = head_norm(q_, w.attn_q_norm, n * a.n_heads);
      if (s == BN_OK) s = head_norm(k_, w.attn_k_norm, n * a.n_kv_heads);
      if (s == BN_OK) s = rope(q_, a.n_heads, position, n);
      if (s == BN_OK) s = rope(k_, a.n_kv_heads, position, n);
      if (s == BN_OK) s = attend(i, position, n, watch, error);
      if (s == BN_OK) s = project(a_, a_, w.attn_sub_norm, {{&w.attn_output, &h_}}, n, watch, error);
      if (s == BN_OK && !w.post_attn_norm.empty()) s = rms_norm(h_, h_, w.post_attn_norm, n);
      if (s == BN_OK) add(x_, h_, n);

      if (s == BN_OK) s = project(x_, h_, w.ffn_norm, {{&w.ffn_gate, &gate_}, {&w.ffn_up, &up_}}, n, watch, error);
      if (s == BN_OK) s = glu(n);
      if (s == BN_OK) s = project(gate_, gate_, w.ffn_sub_norm, {{&w.ffn_down, &h_}}, n, watch, error);
      if (s == BN_OK && !w.post_ffn_norm.empty()) s = rms_norm(h_, h_, w.post_ffn_norm, n);
      if (s == BN_OK) add(x_, h_, n);
      if (s != BN_OK) return failed(s, i, error);
    }
    return BN_OK;
  }

  // A status of an op has no sentence of its own; one of the watch has.
  static bn_status failed(bn_status status, uint32_t layer, bn_error* error) {
    if (status == BN_E_CANCELLED || status == BN_E_TIMEOUT) return status;
    return set_error(error, status, "an op of layer %u failed with status %d", layer, status);
  }

  void embed(int32_t token, float* x) const {
    const bn_tensor& w = model_.token_embd.tensor;
    const uint64_t row = static_cast<uint64_t>(token) * dense_row_bytes(w.dtype, w.cols);
    decode_dense(w.dtype, static_cast<const uint8_t*>(w.data) + row, 0, w.cols, x);
    const float row_factor = w.dtype == BN_DT_I8_ROW ? row_scale(w, static_cast<uint32_t>(token)) : 1.0f;
    for (const float factor : {row_factor, model_.arch.embd_scale}) {
      for (uint32_t i = 0; factor != 1.0f && i < w.cols; ++i) x[i] = x[i] * factor;
    }
  }

  struct Projection {
    const KeptLinear* w;
    std::vector<float>* y;
  };

  // The projections of one input, behind its norm if it has one. With norms of their own they read what the first one left in
  // `normed`, which may be x.
  bn_status project(const std::vector<float>& x, std::vector<float>& normed, const KeptGain& gain,
                    std::initializer_list<Projection> projections, uint32_t n, CallWatch& watch, bn_error* error) {
    const uint32_t width = projections.begin()->w->tensor.cols;
    const bool own_norms = model_.has(BN_M_IN_NORMS);
    bn_status s = BN_OK;
    if (!own_norms) s = quantize(x, gain, width, n);
    if (own_norms && !gain.empty()) s = rms_norm(normed, x, gain, n);
    const std::vector<float>& input = own_norms && !gain.empty() ? normed : x;
    for (const Projection& p : projections) {
      if (s == BN_OK && own_norms) s = quantize(input, p.w->norm_in, width, n);
      if (s == BN_OK) s = linear(*p.w, *p.y, n, watch, error);
      for (uint64_t i = 0; s == BN_OK && !p.w->bias.empty() && i < uint64_t{n} * p.w->tensor.rows; ++i) {
        (*p.y)[i] = (*p.y)[i] + p.w->bias[i % p.w->tensor.rows];
      }
    }
    return s;
  }

  // y = RMSNorm(x)*gain for n vectors of the gain's length; y may be x.
  bn_status rms_norm(std::vector<float>& y, const std::vector<float>& x, const KeptGain& gain, uint32_t n) {
    const uint32_t width = static_cast<uint32_t>(gain.size());
    const bn_norm args = {
        sizeof(bn_norm), width,  model_.arch.norm_eps, width, width, 0, x.data(), gain.data(), y.data(), nullptr,
        nullptr,         nullptr};
    return model_.ops.norm(model_.device, &args, 0, n, scratch());
  }
  // Of every head, if the family has such norms.
  bn_status head_norm(std::vector<float>& x, const KeptGain& gain, uint32_t n_vectors) {
    return gain.empty() ? BN_OK : rms_norm(x, x, gain, n_vectors);
  }

  // codes_ = int8 of RMSNorm(x)*gain, or of x itself when there is no gain.
  bn_status quantize(const std::vector<float>& x, const KeptGain& gain, uint32_t width, uint32_t n) {
    const bool is_norm = !gain.empty();
    const bn_norm args = {sizeof(bn_norm), width,    is_norm ? model_.arch.norm_eps : -1.0f, width,   0,
                          padded(width),   x.data(), is_norm ? gain.data() : nullptr,        nullptr, codes_.data(),
                          scale_,          sum_};
    return model_.ops.norm(model_.device, &args, 0, n, scratch());
  }

  // y[n,rows] = w * codes_, in pieces of rows that take milliseconds.
  bn_status linear(const KeptTensor& w, std::vector<float>& y, uint32_t n, CallWatch& watch, bn_error* error) {
    const uint32_t rows = w.tensor.rows, granule = std::max(1u, model_.ops.row_granule);
    const uint32_t piece = (std::max(1u, (1u << 22) / (w.tensor.cols * n)) + granule - 1) / granule * granule;
    const bn_matmul args = {sizeof(bn_matmul),     n,   &w.tensor, w.tensor.data, codes_.data(), scale_, sum_, y.data(),
                            padded(w.tensor.cols), rows};
    for (uint32_t r = 0; r < rows; r += std::min(piece, rows - r)) {
      if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
      const bn_status bad = model_.ops.matmul(model_.device, &args, r, r + std::min(piece, rows - r), scratch());
      if (bad != BN_OK) return bad;
    }
    return BN_OK;
  }

  bn_status rope(std::vector<float>& x, uint32_t n_heads, uint32_t position, uint32_t n) {
    const bn_arch& a = model_.arch;
    const bn_rope args = {sizeof(bn_rope),
                          a.rope_kind,
                          n_heads,
                          a.head_dim,
                          a.rope_dim,
                          position,
                          n_heads * a.head_dim,
                          0,
                          x.data(),
                          model_.rope_cos.data(),
                          model_.rope_sin.data()};
    return model_.ops.rope(model_.device, &args, 0, n, 0, n_heads, scratch());
  }

  // Stores k_ and v_, then a_[n,H*d] = attention of q_, a token at a time.
  bn_status attend(uint32_t layer, uint32_t position, uint32_t n, CallWatch& watch, bn_error* error) {
    const bn_arch& a = model_.arch;
    const uint32_t GD = a.n_kv_heads * a.head_dim, HD = a.n_heads * a.head_dim;
    for (uint32_t t = 0; t < n; ++t) kv_.store(layer, position + t, &k_[uint64_t{t} * GD], &v_[uint64_t{t} * GD]);
    const bn_attn args = {sizeof(bn_attn), a.n_heads,    a.n_kv_heads, a.head_dim, position, a.window,
                          model_.kv_dtype, GD,           a.head_dim,   HD,         HD,       a.attn_scale,
                          q_.data(),       kv_.k(layer), kv_.v(layer), a_.data()};
    for (uint32_t t = 0; t < n; ++t) {
      if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
      const bn_status bad = model_.ops.attention(model_.device, &args, t, t + 1, 0, a.n_heads, scratch());
      if (bad != BN_OK) return bad;
    }
    return BN_OK;
  }

  bn_status glu(uint32_t n) {
    const uint32_t F = model_.arch.n_ff;
    const bn_glu args = {sizeof(bn_glu), model_.arch.act, F, F, F, 0, gate_.data(), up_.data(), gate_.data()};
    return model_.ops.glu(model_.device, &args, 0, n, 0, F, scratch());
  }

  void add(std::vector<float>& x, const std::vector<float>& y, uint32_t n) const {
    for (uint64_t i = 0; i < uint64_t{n} * model_.arch.n_embd; ++i) x[i] = x[i] + y[i];
  }

  // hidden_[D] and, when more than that is wanted, logits_[V] of one row of the residual stream.
  bn_status compute_row(const float* x, uint32_t want, CallWatch& watch, bn_error* error) {
    const uint32_t D = model_.arch.n_embd, V = model_.arch.n_vocab, granule = std::max(1u, model_.ops.row_granule);
    const bn_norm norm = {
        sizeof(bn_norm), D,      model_.arch.norm_eps, D, D, 0, x, model_.output_norm.data(), hidden_.data(), nullptr,
        nullptr,         nullptr};
    if (const bn_status bad = model_.ops.norm(model_.device, &norm, 0, 1, scratch()); bad != BN_OK) {
      return set_error(error, bad, "output_norm failed with status %d", bad);
    }
    if (want == BN_OUT_HIDDEN) return BN_OK;
    const bn_dense dense = {sizeof(bn_dense), 1, &model_.head(), hidden_.data(), logits_.data(), D, V};
    const uint32_t piece = (std::max(1u, (1u << 20) / D) + granule - 1) / granule * granule;
    for (uint32_t r = 0; r < V; r += std::min(piece, V - r)) {
      if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
      const bn_status bad = model_.ops.dense(model_.device, &dense, r, r + std::min(piece, V - r), scratch());
      if (bad != BN_OK) return set_error(error, bad, "output failed with status %d", bad);
    }
    return BN_OK;
  }

  uint32_t padded(uint32_t n) const {
    const uint32_t align = std::max(1u, model_.ops.k_align);
    return (n + align - 1) / align * align;
  }
  void* scratch() {  // 64-byte aligned
    const uintptr_t p = reinterpret_cast<uintptr_t>(scratch_.data());
    return scratch_.data() + ((p + 63) / 64 * 64 - p);
  }

  const ReferenceModel& model_;
  const uint32_t n_ctx_;
  std::vector<int32_t> tokens_;
  uint32_t n_processed_ = 0;  // tokens whose keys and values are in kv_; last_ belongs to the last of them
  ReferenceKv kv_;
  std::vector<uint8_t> scratch_;
  std::vector<float> last_;                               // [D] residual stream of token n_processed_ - 1
  std::vector<float> hidden_, logits_;                    // [D], [V]
  std::vector<float> x_, h_, q_, k_, v_, a_, gate_, up_;  // [kBatch][...]
  std::vector<int8_t> codes_;                             // [kBatch][padded width]
  float scale_[kBatch] = {};
  int32_t sum_[kBatch] = {};
};

}  // namespace bn::kit
