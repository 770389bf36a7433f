// engine/plugin_engine.cpp - describes the model to the plugin and passes tokens and logits through.
#include "engine/plugin_engine.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/kv_cache.h"

namespace bitnet::engine {
namespace {

using backend::BackendError;

bn_error fresh_error() {
  bn_error error{};
  error.struct_size = sizeof error;
  return error;
}

void check(bn_status status, const bn_error& error) {
  if (status != BN_OK) throw BackendError(status, backend::error_text(status, error));
}

bn_tensor describe_norm(uint32_t role, uint32_t layer, const model::Gain& gain) {
  bn_tensor tensor{};
  tensor.struct_size = sizeof tensor;
  tensor.role = role;
  tensor.layer = layer;
  tensor.dtype = BN_DT_F32;
  tensor.rows = 1;
  tensor.cols = static_cast<uint32_t>(gain.size());
  tensor.data = gain.data();
  tensor.bytes = 4 * gain.size();
  tensor.flags = BN_TENSOR_PERSISTENT;
  return tensor;
}

// Every tensor of the model with its role, in file order of the roles; matrices[i] is the source of a ternary tensor i.
void describe(const model::Weights& weights, uint64_t must, std::vector<bn_tensor>& tensors,
              std::vector<const model::Matrix*>& matrices) {
  const auto add = [&](const bn_tensor& tensor, const model::Matrix* matrix = nullptr) {
    tensors.push_back(tensor);
    matrices.push_back(matrix);
  };
  const auto add_norm = [&](uint32_t role, uint32_t layer, const model::Gain& gain) {
    if (!gain.empty()) add(describe_norm(role, layer, gain));
  };
  add(weights.token_embd);
  if (!(must & (BN_M_TIED_HEAD | BN_M_NO_HEAD))) add(weights.output);
  add_norm(BN_T_OUTPUT_NORM, BN_NO_LAYER, weights.output_norm);
  add_norm(BN_T_ROPE_FACTORS, BN_NO_LAYER, weights.rope_factors);
  for (uint32_t n = 0; n < weights.layers.size(); ++n) {
    const model::Layer& layer = weights.layers[n];
    add_norm(BN_T_ATTN_NORM, n, layer.attn_norm);
    add_norm(BN_T_ATTN_SUB_NORM, n, layer.attn_sub_norm);
    add_norm(BN_T_POST_ATTN_NORM, n, layer.post_attn_norm);
    add_norm(BN_T_ATTN_Q_NORM, n, layer.attn_q_norm);
    add_norm(BN_T_ATTN_K_NORM, n, layer.attn_k_norm);
    add_norm(BN_T_FFN_NORM, n, layer.ffn_norm);
    add_norm(BN_T_FFN_SUB_NORM, n, layer.ffn_sub_norm);
    add_norm(BN_T_POST_FFN_NORM, n, layer.post_ffn_norm);
    uint32_t index = 0;  // of the roles of input norms and biases, which are in this order
    for (const model::Matrix* m :
         {&layer.attn_q, &layer.attn_k, &layer.attn_v, &layer.attn_output, &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
      add(m->tensor, m);
      add_norm(BN_T_ATTN_Q_NORM_IN + index, n, m->norm_in);
      add_norm(BN_T_ATTN_Q_BIAS + index++, n, m->bias);
    }
  }
}

}  // namespace

bn_status PluginEngine::read_t2(void* context, uint64_t tensor, uint32_t row0, uint32_t row1, void* dst, uint64_t bytes) {
  const auto& matrices = *static_cast<const std::vector<const model::Matrix*>*>(context);
  if (tensor >= matrices.size() || matrices[tensor] == nullptr) return BN_E_INVALID;
  const bn_tensor& w = matrices[tensor]->tensor;
  if (row0 > row1 || row1 > w.rows || bytes < static_cast<uint64_t>(row1 - row0) * ((w.cols + 3) / 4)) return BN_E_INVALID;
  try {
    matrices[tensor]->read_t2(row0, row1, static_cast<uint8_t*>(dst));
  } catch (...) {  // a code 3, or no memory: the boundary takes no exceptions
    return BN_E_DATA;
  }
  return BN_OK;
}

bn_model_desc PluginEngine::describe_model(const model::Model& model) {
  bn_model_desc desc{};
  desc.struct_size = sizeof desc;
  desc.tensor_stride = sizeof(bn_tensor);
  desc.arch = &model.config.arch;
  if (model.has_tensors()) {
    describe(model.weights, model.config.arch.must, tensors_, matrices_);
    const std::vector<float>& factors = model.weights.rope_factors;
    rope_ = std::make_unique<model::RopeTables>(model.config, factors.empty() ? nullptr : factors.data(), n_ctx());
    rope_->reserve(n_ctx());
    desc.rope_cos = rope_->cosine();
    desc.rope_sin = rope_->sine();
  }
  desc.tensors = tensors_.data();
  desc.n_tensors = tensors_.size();
  desc.read_ctx = &matrices_;
  desc.read_t2 = read_t2;
  return desc;
}

// Formats, shapes and memory: what can be answered without loading.
void PluginEngine::ask_before_loading(const bn_model_desc& desc, const bn_plan& plan) {
  for (size_t i = 0; table_->accepts != nullptr && i < tensors_.size(); ++i) {
    bn_tensor shape = tensors_[i];
    shape.data = nullptr;
    if (shape.dtype != BN_DT_TERNARY || table_->accepts(device_.handle(), &shape) != BN_NO) continue;
    throw BackendError(BN_E_UNSUPPORTED, fmt::format("does not take ternary matrices of {} x {} in layout {}", shape.rows,
                                                     shape.cols, printable(shape.format->id)));
  }
  if (table_->fit == nullptr) return;
  bn_fit answer{};
  answer.struct_size = sizeof answer;
  bn_error error = fresh_error();
  check(table_->fit(device_.handle(), &desc, &plan, &answer, &error), error);
  if (answer.n_ctx_fits >= plan.n_ctx) return;
  throw BackendError(BN_E_NO_MEMORY, fmt::format("has memory for a context of {} tokens, {} are wanted (-c makes it smaller)",
                                                 answer.n_ctx_fits, plan.n_ctx));
}

PluginEngine::PluginEngine(backend::OpenDevice device, const model::Model& model, const EngineOptions& options, Pulse& pulse)
    : Engine(options.n_ctx, model.config.arch),
      device_(std::move(device)),
      table_(device_.engine()),
      decodes_(table_->decode != nullptr),
      kv_position_bytes_(model::KvCache::bytes_per_position(model.config.arch, options.kv_dtype)) {
  info_.numerics = table_->numerics;
  info_.tolerance = table_->tolerance;
  info_.decodes_many = decodes_;
  const bn_model_desc desc = describe_model(model);
  const bn_plan plan{sizeof(bn_plan), options.n_ctx, 1, options.max_batch, options.kv_dtype, 0};
  ask_before_loading(desc, plan);
  const bn_call call{sizeof(bn_call), 0, 0, &pulse.cancel, &pulse.heartbeat};
  bn_error error = fresh_error();
  check(table_->load(device_.handle(), &desc, &plan, &call, &model_, &error), error);
  error = fresh_error();
  const bn_status status = table_->session_create(model_, options.n_ctx, &session_, &error);
  if (status != BN_OK) {
    table_->unload(model_);
    check(status, error);
  }
}

PluginEngine::~PluginEngine() {
  table_->session_destroy(session_);
  table_->unload(model_);
}

void PluginEngine::process(std::span<const int32_t> tokens, uint32_t, const Output* output, Pulse& pulse) {
  const uint32_t n = static_cast<uint32_t>(tokens.size());
  const bn_call call{sizeof(bn_call), 0, 0, &pulse.cancel, &pulse.heartbeat};
  bn_output rows{};
  rows.struct_size = sizeof rows;
  if (output != nullptr) {
    rows.first = output->first;
    rows.logits = output->logits;
    rows.top_k = output->top_k;
    rows.top_id = output->top_id;
    rows.top_logit = output->top_logit;
    rows.z = output->z;
    if (output->logits != nullptr) rows.want |= BN_OUT_LOGITS;
    if (output->top_k != 0) rows.want |= BN_OUT_TOPK;
    if (output->z != nullptr) rows.want |= BN_OUT_Z;
    rows.hidden = output->hidden;
    if (output->hidden != nullptr) rows.want |= BN_OUT_HIDDEN;
  }
  bn_error error = fresh_error();
  check(table_->append(session_, tokens.data(), n, output != nullptr ? &rows : nullptr, &call, &error), error);
  if (output != nullptr && rows.n_rows != n - rows.first) {
    throw BackendError(BN_E_INTERNAL, fmt::format("returned {} rows, {} were asked for", rows.n_rows, n - rows.first));
  }
}

void PluginEngine::decode_natively(const bn_sampler& sampler, DecodeLimit limit, int32_t* tokens, uint32_t& n_committed,
                                   Pulse& pulse) {
  const uint32_t max_steps = std::min(limit.steps, limit.tokens);
  const bn_call call{sizeof(bn_call), 0, 0, &pulse.cancel, &pulse.heartbeat};
  std::vector<float> z(2 * static_cast<size_t>(max_steps));
  bn_output rows{};
  rows.struct_size = sizeof rows;
  rows.want = BN_OUT_Z;
  rows.z = z.data();
  bn_decode d{sizeof(bn_decode), max_steps, &sampler, tokens, 0, 0, gives_z_ ? &rows : nullptr};
  bn_error error = fresh_error();
  bn_status status = table_->decode(session_, &d, &call, &error);
  if (status == BN_E_UNSUPPORTED && gives_z_ && d.n_committed == 0) {
    gives_z_ = false;
    d.out = nullptr;
    error = fresh_error();
    status = table_->decode(session_, &d, &call, &error);
  }
  const uint32_t n = std::min(d.n_committed, max_steps);
  for (uint32_t i = 0; i < n; ++i) {
    if (tokens[i] < 0 || static_cast<uint32_t>(tokens[i]) >= n_vocab()) {
      throw BackendError(BN_E_INTERNAL, fmt::format("decoded token {}, outside the vocabulary of {}", tokens[i], n_vocab()));
    }
    const float top = z[2 * i], sum = z[2 * i + 1];
    if (gives_z_ && !(std::isfinite(top) && std::isfinite(sum))) throw UnusableLogits("produced logits that are not finite");
    if (gives_z_ && n_vocab() > 1 && sum == static_cast<float>(n_vocab())) {
      throw UnusableLogits("produced logits that are all equal");
    }
    n_committed = i + 1;
  }
  if (d.n_committed > max_steps) {
    throw BackendError(BN_E_INTERNAL, fmt::format("decoded {} tokens, at most {} were asked for", d.n_committed, max_steps));
  }
  check(status, error);
  if (n == 0) throw BackendError(BN_E_INTERNAL, "decoded nothing and reported no error");
}

void PluginEngine::drop(uint32_t n) {
  bn_error error = fresh_error();
  check(table_->truncate(session_, n, &error), error);
}

const bn_kv_v1* PluginEngine::kv_table() const {
  const auto* table = static_cast<const bn_kv_v1*>(device_.interface(BN_KV_ID));
  if (table == nullptr || table->read == nullptr || table->write == nullptr) {
    throw BackendError(BN_E_UNSUPPORTED, "does not offer " BN_KV_ID);
  }
  return table;
}

uint64_t PluginEngine::kv_bytes(uint32_t n_tokens) const { return kv_position_bytes_ * n_tokens; }

void PluginEngine::read_kv(uint32_t pos0, uint32_t pos1, void* dst) {
  bn_error error = fresh_error();
  check(kv_table()->read(session_, pos0, pos1, dst, kv_bytes(pos1 - pos0), &error), error);
}

void PluginEngine::place_kv(uint32_t, std::span<const int32_t> tokens, const void* src) {
  const uint32_t n = static_cast<uint32_t>(tokens.size());
  bn_error error = fresh_error();
  check(kv_table()->write(session_, tokens.data(), n, src, kv_bytes(n), &error), error);
}

}  // namespace bitnet::engine
