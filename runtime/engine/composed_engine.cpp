// engine/composed_engine.cpp - cuts what is to be processed into steps of the graph.
#include "engine/composed_engine.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "bitnet/kit/pooling.hpp"
#include "engine/rows.h"

namespace bitnet::engine {
namespace {

// Adds the seconds that f takes.
template <class F>
auto timed(double& seconds, F&& f) {
  const auto start = std::chrono::steady_clock::now();
  auto result = f();
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

// Rows of hidden states of one call, step by step: to where they are wanted, or into one pooled row.
class HiddenRows {
 public:
  // out: null: none are wanted.
  HiddenRows(const bn_arch& arch, uint32_t max_rows, float* out)
      : pools_(arch.pooling != BN_POOL_NONE),
        n_embd_(arch.n_embd),
        out_(out),
        rows_(pools_ && out != nullptr ? static_cast<size_t>(max_rows) * n_embd_ : 0),
        pooler_(arch.pooling, arch.n_embd, (arch.must & BN_M_L2_POOLED) != 0) {}

  // Where the rows of the next step go, the first of which is row `row` of the call.
  float* room(uint32_t row) {
    if (out_ == nullptr) return nullptr;
    return pools_ ? rows_.data() : out_ + static_cast<uint64_t>(row) * n_embd_;
  }
  void take(uint32_t n) {
    for (uint32_t i = 0; pools_ && out_ != nullptr && i < n; ++i)
      pooler_.add(rows_.data() + static_cast<uint64_t>(i) * n_embd_);
  }
  void finish() {
    if (pooler_.n_rows() != 0) pooler_.write(out_);
  }

 private:
  bool pools_;
  uint32_t n_embd_;
  float* out_;
  std::vector<float> rows_;
  bn::kit::Pooler pooler_;
};

model::BackendWeights prepare(const model::Model& model, backend::Ops& ops, store::PrepackCache* cache, Pulse& pulse) {
  ops.begin(0, &pulse);
  return model::prepare_weights(model.weights, ops, cache, &model.file);
}

std::unique_ptr<model::ScreenedHead> screened(const model::Model& model, model::HeadMode mode, backend::Ops& ops,
                                              store::PrepackCache* cache) {
  if (model.config.arch.must & BN_M_NO_HEAD) return nullptr;
  return screen_head(model.weights.output, &model.file, mode, ops, cache);
}

}  // namespace

LoadCaches::LoadCaches(bool use, const std::string& model_path, const backend::Plugin& plugin, Pulse& pulse) {
  if (!use) return;
  const auto beat = [&pulse] { pulse.beat(); };
  weights_.emplace(model_path, plugin.id, plugin.version, store::PrepackLimits{}, beat);
  if (!weights_->is_there()) weights_.reset();
  if (weights_) {
    head_.emplace(model_path, model::kScreenedHeadMaker, model::kScreenedHeadVersion, store::PrepackLimits{}, beat);
  }
}

ComposedEngine::ComposedEngine(backend::OpenDevice device, const model::Model& model, ThreadTeam& team,
                               const EngineOptions& options, LoadCaches caches, Pulse& pulse)
    : Engine(options.n_ctx, model.config.arch),
      arch_(model.config.arch),
      device_(std::move(device)),
      ops_(device_.kernels(), device_.handle(), team),
      weights_(timed(info_.pack_seconds, [&] { return prepare(model, ops_, caches.weights(), pulse); })),
      head_(timed(info_.pack_seconds, [&] { return screened(model, options.head, ops_, caches.head()); })),
      graph_(model.config, model.weights, weights_, ops_, options.n_ctx, options.max_batch, head_.get()),
      kv_(model.config.arch, options.kv_dtype) {
  info_.n_native = weights_.n_native;
  info_.n_packed = weights_.n_packed;
  info_.n_converted = weights_.n_converted;
  info_.n_cached = weights_.n_cached;
  info_.weight_bytes_owned = weights_.bytes_owned;
  info_.head = graph_.head_use();
}

void ComposedEngine::process(std::span<const int32_t> tokens, uint32_t position, const Output* output, Pulse& pulse) {
  const uint32_t n = static_cast<uint32_t>(tokens.size());
  const uint32_t first_row = output != nullptr ? output->first : n;
  const bool wants_logits = output != nullptr && (output->logits != nullptr || output->top_k != 0 || output->z != nullptr);
  if (wants_logits && (arch_.must & BN_M_NO_HEAD)) throw backend::BackendError(BN_E_INVALID, "the model has no output head");
  float* logits = wants_logits ? output->logits : nullptr;
  if (wants_logits && logits == nullptr) {
    rows_.resize(static_cast<size_t>(n - first_row) * n_vocab());
    logits = rows_.data();
  }
  const bool best_only = wants_logits && output->logits == nullptr && output->z == nullptr;
  HiddenRows hidden(arch_, graph_.max_batch(), output != nullptr ? output->hidden : nullptr);
  const uint32_t best_k = best_only ? std::min(output->top_k, n_vocab()) : 0;
  for (uint32_t begin = 0; begin < n;) {
    const uint32_t count = std::min(n - begin, graph_.max_batch());
    // Rows wanted in this step, counted from its first token.
    const uint32_t row = first_row > begin ? std::min(first_row - begin, count) : 0;
    float* out =
        row == count || logits == nullptr ? nullptr : logits + static_cast<uint64_t>(begin + row - first_row) * n_vocab();
    const model::Part part{&kv_, tokens.data() + begin, count, position + begin, row};
    const bn_status status = graph_.step({{&part, 1}, out, best_k, hidden.room(begin + row - first_row)}, &pulse);
    if (status != BN_OK) {
      throw backend::BackendError(status, fmt::format("{} in op {}", backend::status_name(status), graph_.failed_op()));
    }
    hidden.take(count - row);
    if (best_k != 0) take_best(*output, begin + row - first_row, count - row, out);
    begin += count;
  }
  info_.head = graph_.head_use();
  hidden.finish();
  if (wants_logits && best_k == 0) summarize_rows(*output, logits, n - first_row, n_vocab());
}

void ComposedEngine::take_best(const Output& output, uint32_t row, uint32_t n, const float* logits) const {
  for (uint32_t i = 0; i < n; ++i, logits += n_vocab()) {
    Output one = output;
    one.top_id += static_cast<uint64_t>(row + i) * output.top_k;
    one.top_logit += static_cast<uint64_t>(row + i) * output.top_k;
    const auto best = graph_.best(i);
    for (size_t c = 0; c < best.size(); ++c) one.top_id[c] = best[c].id, one.top_logit[c] = best[c].logit;
    if (best.empty()) summarize_rows(one, logits, 1, n_vocab());
  }
}

uint64_t ComposedEngine::kv_bytes(uint32_t n_tokens) const { return kv_.interchange_bytes(n_tokens); }

void ComposedEngine::read_kv(uint32_t pos0, uint32_t pos1, void* dst) { kv_.read(pos0, pos1, dst); }

void ComposedEngine::place_kv(uint32_t position, std::span<const int32_t> tokens, const void* src) {
  const uint32_t end = position + static_cast<uint32_t>(tokens.size());
  kv_.reserve(end);
  kv_.write(position, end, src);
}

}  // namespace bitnet::engine
