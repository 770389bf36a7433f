// engine/composed_engine.cpp - cuts what is appended into steps of the graph.
#include "engine/composed_engine.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace bitnet::engine {
namespace {

model::BackendWeights timed_prepare(const model::Weights& weights, backend::Ops& ops, store::PrepackCache* cache,
                                    double& seconds) {
  const auto start = std::chrono::steady_clock::now();
  model::BackendWeights result = model::prepare_weights(weights, ops, cache);
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace

ComposedEngine::ComposedEngine(backend::OpenDevice device, const model::Model& model, ThreadTeam& team,
                               const EngineOptions& options, store::PrepackCache* cache)
    : device_(std::move(device)),
      n_vocab_(model.config.arch.n_vocab),
      n_ctx_(options.n_ctx),
      ops_(device_.kernels(), device_.handle(), team),
      weights_(timed_prepare(model.weights, ops_, cache, info_.pack_seconds)),
      graph_(model.config, model.weights, weights_, ops_, options.n_ctx, options.max_batch, options.kv_dtype) {
  info_.n_native = weights_.n_native;
  info_.n_packed = weights_.n_packed;
  info_.n_converted = weights_.n_converted;
  info_.n_cached = weights_.n_cached;
  info_.weight_bytes_owned = weights_.bytes_owned;
}

void ComposedEngine::append(std::span<const int32_t> tokens, uint32_t first_row, float* logits,
                            const std::atomic<bool>* cancel) {
  const uint32_t n = static_cast<uint32_t>(tokens.size()), start = size_;
  if (n > n_ctx_ - size_) {
    fail(ErrorKind::kUsage, "{} tokens do not fit: the context holds {}, {} are used", n, n_ctx_, size_);
  }
  for (uint32_t begin = 0; begin < n;) {
    const uint32_t count = std::min(n - begin, graph_.max_batch());
    // Rows wanted in this step, counted from its first token.
    const uint32_t row = first_row > begin ? std::min(first_row - begin, count) : 0;
    float* out = row == count ? nullptr : logits + static_cast<uint64_t>(begin + row - first_row) * n_vocab_;
    const bn_status status = graph_.step({tokens.data() + begin, count, start + begin, row, out}, cancel);
    if (status != BN_OK) {
      size_ = start;  // the KV cache beyond is not looked at
      throw backend::BackendError(status, fmt::format("{} in op {}", backend::status_name(status), graph_.failed_op()));
    }
    begin += count;
  }
  size_ = start + n;
}

}  // namespace bitnet::engine
