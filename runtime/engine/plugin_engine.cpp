// engine/plugin_engine.cpp - describes the model to the plugin and passes tokens and logits through.
#include "engine/plugin_engine.h"

#include "base/error.h"

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
void describe(const model::Weights& weights, bool tied, std::vector<bn_tensor>& tensors,
              std::vector<const model::Matrix*>& matrices) {
  const auto add = [&](const bn_tensor& tensor, const model::Matrix* matrix = nullptr) {
    tensors.push_back(tensor);
    matrices.push_back(matrix);
  };
  const auto add_norm = [&](uint32_t role, uint32_t layer, const model::Gain& gain) {
    if (!gain.empty()) add(describe_norm(role, layer, gain));
  };
  add(weights.token_embd);
  if (!tied) add(weights.output);
  add_norm(BN_T_OUTPUT_NORM, BN_NO_LAYER, weights.output_norm);
  add_norm(BN_T_ROPE_FACTORS, BN_NO_LAYER, weights.rope_factors);
  for (uint32_t n = 0; n < weights.layers.size(); ++n) {
    const model::Layer& layer = weights.layers[n];
    add_norm(BN_T_ATTN_NORM, n, layer.attn_norm);
    add_norm(BN_T_ATTN_SUB_NORM, n, layer.attn_sub_norm);
    add_norm(BN_T_FFN_NORM, n, layer.ffn_norm);
    add_norm(BN_T_FFN_SUB_NORM, n, layer.ffn_sub_norm);
    for (const model::Matrix* m :
         {&layer.attn_q, &layer.attn_k, &layer.attn_v, &layer.attn_output, &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
      add(m->tensor, m);
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

PluginEngine::PluginEngine(backend::OpenDevice device, const model::Model& model, const EngineOptions& options)
    : device_(std::move(device)), table_(device_.engine()), n_ctx_(options.n_ctx) {
  bn_model_desc desc{};
  desc.struct_size = sizeof desc;
  desc.tensor_stride = sizeof(bn_tensor);
  desc.arch = &model.config.arch;
  if (model.has_tensors()) {
    describe(model.weights, (model.config.arch.must & BN_M_TIED_HEAD) != 0, tensors_, matrices_);
    const std::vector<float>& factors = model.weights.rope_factors;
    rope_ = std::make_unique<model::RopeTables>(model.config, factors.empty() ? nullptr : factors.data(), n_ctx_);
    rope_->reserve(n_ctx_);
    desc.rope_cos = rope_->cosine();
    desc.rope_sin = rope_->sine();
  }
  desc.tensors = tensors_.data();
  desc.n_tensors = tensors_.size();
  desc.read_ctx = &matrices_;
  desc.read_t2 = read_t2;
  const bn_plan plan{sizeof(bn_plan), options.n_ctx, 1, options.max_batch, options.kv_dtype, 0};
  const bn_call call{sizeof(bn_call), 0, 0, nullptr, nullptr};
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

void PluginEngine::append(std::span<const int32_t> tokens, uint32_t first_row, float* logits, const std::atomic<bool>* cancel) {
  const uint32_t n = static_cast<uint32_t>(tokens.size());
  if (n > n_ctx_ - size_) fail(ErrorKind::kUsage, "{} tokens do not fit: the context holds {}, {} are used", n, n_ctx_, size_);
  // The plugin polls a 32-bit word; a request made while it runs is seen at the next call.
  const volatile uint32_t stop = cancel != nullptr && cancel->load() ? 1 : 0;
  const bn_call call{sizeof(bn_call), 0, 0, &stop, nullptr};
  bn_output output{};
  output.struct_size = sizeof output;
  output.want = first_row < n ? BN_OUT_LOGITS : 0;
  output.first = first_row;
  output.logits = logits;
  bn_error error = fresh_error();
  check(table_->append(session_, tokens.data(), n, first_row < n ? &output : nullptr, &call, &error), error);
  if (first_row < n && output.n_rows != n - first_row) {
    throw BackendError(BN_E_INTERNAL,
                       fmt::format("returned {} rows of logits, {} were asked for", output.n_rows, n - first_row));
  }
  size_ += n;
}

}  // namespace bitnet::engine
