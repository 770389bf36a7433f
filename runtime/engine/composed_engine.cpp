// engine/composed_engine.cpp - cuts what is to be processed into steps of the graph.
#include "engine/composed_engine.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "engine/rows.h"

namespace bitnet::engine {
namespace {

model::BackendWeights timed_prepare(const model::Weights& weights, backend::Ops& ops, Pulse& pulse, double& seconds) {
  const auto start = std::chrono::steady_clock::now();
  ops.begin(0, &pulse);
  model::BackendWeights result = model::prepare_weights(weights, ops);
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace

ComposedEngine::ComposedEngine(backend::OpenDevice device, const model::Model& model, ThreadTeam& team,
                               const EngineOptions& options, Pulse& pulse)
    : Engine(options.n_ctx, model.config.arch.n_vocab),
      device_(std::move(device)),
      ops_(device_.kernels(), device_.handle(), team),
      weights_(timed_prepare(model.weights, ops_, pulse, info_.pack_seconds)),
      graph_(model.config, model.weights, weights_, ops_, options.n_ctx, options.max_batch, options.kv_dtype) {
  info_.n_native = weights_.n_native;
  info_.n_packed = weights_.n_packed;
  info_.n_converted = weights_.n_converted;
  info_.weight_bytes_owned = weights_.bytes_owned;
}

void ComposedEngine::process(std::span<const int32_t> tokens, uint32_t position, const Output* output, Pulse& pulse) {
  const uint32_t n = static_cast<uint32_t>(tokens.size());
  const uint32_t first_row = output != nullptr ? output->first : n;
  float* logits = output != nullptr ? output->logits : nullptr;
  if (output != nullptr && logits == nullptr) {
    rows_.resize(static_cast<size_t>(n - first_row) * n_vocab());
    logits = rows_.data();
  }
  for (uint32_t begin = 0; begin < n;) {
    const uint32_t count = std::min(n - begin, graph_.max_batch());
    // Rows wanted in this step, counted from its first token.
    const uint32_t row = first_row > begin ? std::min(first_row - begin, count) : 0;
    float* out = row == count ? nullptr : logits + static_cast<uint64_t>(begin + row - first_row) * n_vocab();
    const bn_status status = graph_.step({tokens.data() + begin, count, position + begin, row, out}, &pulse);
    if (status != BN_OK) {
      throw backend::BackendError(status, fmt::format("{} in op {}", backend::status_name(status), graph_.failed_op()));
    }
    begin += count;
  }
  if (output != nullptr) summarize_rows(*output, logits, n - first_row, n_vocab());
}

uint64_t ComposedEngine::kv_bytes(uint32_t n_tokens) const { return graph_.kv().interchange_bytes(n_tokens); }

void ComposedEngine::read_kv(uint32_t pos0, uint32_t pos1, void* dst) { graph_.kv().read(pos0, pos1, dst); }

void ComposedEngine::place_kv(uint32_t position, std::span<const int32_t> tokens, const void* src) {
  const uint32_t end = position + static_cast<uint32_t>(tokens.size());
  graph_.kv().reserve(end);
  graph_.kv().write(position, end, src);
}

}  // namespace bitnet::engine
