// engine/worker_engine.cpp - the calls of an engine as requests to a worker process.
#include "engine/worker_engine.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "engine/rows.h"

namespace bitnet::engine {

using backend::BackendError;
using nlohmann::json;

WorkerEngine::WorkerEngine(const backend::Plugin& plugin, const backend::Candidate& candidate, const model::Model& model,
                           uint32_t threads, const EngineOptions& options, const WorkerOptions& worker, Pulse& pulse)
    : Engine(options.n_ctx, model.config.arch), process_(worker.program) {
  log(LogLevel::kInfo, "backend {}: in worker process {}", plugin.name, process_.id());
  const std::string text = json{
      {"plugin", plugin.path},
      {"id", plugin.id},
      {"device", candidate.device},
      {"tier", candidate.tier},
      {"prepack_cache", options.prepack_cache},
      {"head", static_cast<uint32_t>(options.head)},
      {"device_options", options.device_options},
      {"model", model.file.path()},
      {"pooling", model.config.arch.pooling},
      {"unit_length", (model.config.arch.must & BN_M_L2_POOLED) != 0},
      {"model_bytes", model.file.size()},
      {"i2s_layout", gguf::i2s_layout_name(model.options.i2s_layout)},
      {"kernel_config", model.options.kernel_config},
      {"program", worker.beside},
      {"allow_unsafe", worker.allow_unsafe_plugins},
      {"n_ctx", options.n_ctx},
      {"max_batch", options.max_batch},
      {"deterministic", options.deterministic},
      {"draft_min", options.draft_min},
      {"draft_max", options.draft_max},
      {"kv_dtype", options.kv_dtype},
      {"threads", threads}}.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > worker::kMaxText) throw BackendError(BN_E_UNSUPPORTED, "paths are too long for a worker process");
  worker::Request request;
  request.call = worker::Call::kLoad;
  request.n_text = static_cast<uint32_t>(text.size());
  uint32_t none = 0;
  exchange(request, text.data(), text.size(), nullptr, none, pulse);
}

void WorkerEngine::exchange(const worker::Request& request, const void* payload, uint64_t bytes, int32_t* tokens,
                            uint32_t& n_committed, Pulse& pulse) {
  std::string message;
  const worker::Reply reply = process_.exchange(request, payload, bytes, tokens, message, pulse);
  for (n_committed = 0; n_committed < reply.n_committed; ++n_committed) {
    const int32_t token = tokens[n_committed];
    if (token < 0 || static_cast<uint32_t>(token) >= n_vocab()) {
      throw BackendError(BN_E_INTERNAL, fmt::format("decoded token {}, outside the vocabulary of {}", token, n_vocab()));
    }
  }
  info_ = reply.info;
  info_.reads_and_samples = false;  // not in one call
  kv_bytes_used_ = reply.kv_bytes_used;
  if (reply.unusable_logits != 0) throw UnusableLogits(printable(message, worker::kMaxMessage));
  if (reply.status != BN_OK) throw BackendError(reply.status, printable(message, worker::kMaxMessage));
}

void WorkerEngine::process(std::span<const int32_t> tokens, uint32_t, const Output* output, Pulse& pulse) {
  worker::Request request;
  request.call = worker::Call::kAppend;
  request.n_tokens = static_cast<uint32_t>(tokens.size());
  request.first = output != nullptr ? output->first : request.n_tokens;
  const uint32_t n_rows = request.n_tokens - request.first;
  const bool hidden = output != nullptr && output->hidden != nullptr;
  request.hidden = hidden ? 1 : 0;
  const uint64_t bytes = 4ull * (hidden ? hidden_size(n_rows) : static_cast<uint64_t>(n_rows) * n_vocab());
  const float* rows = process_.rows(bytes);
  uint32_t none = 0;
  exchange(request, tokens.data(), tokens.size_bytes(), nullptr, none, pulse);
  if (output == nullptr) return;
  if (hidden) std::memcpy(output->hidden, rows, bytes);
  if (hidden) return;
  if (output->logits != nullptr) std::memcpy(output->logits, rows, bytes);
  summarize_rows(*output, rows, n_rows, n_vocab());
}

void WorkerEngine::drop(uint32_t n) {
  worker::Request request;
  request.call = worker::Call::kTruncate;
  request.keep = n;
  Pulse unwatched;
  uint32_t none = 0;
  exchange(request, nullptr, 0, nullptr, none, unwatched);
}

void WorkerEngine::decode_natively(const bn_sampler& sampler, DecodeLimit limit, int32_t* tokens, uint32_t& n_committed,
                                   Pulse& pulse) {
  worker::Request request;
  request.call = worker::Call::kDecode;
  request.limit = limit;
  request.sampler = sampler;
  request.n_tokens = static_cast<uint32_t>(sampler.n_stop);
  exchange(request, sampler.stop, 4ull * sampler.n_stop, tokens, n_committed, pulse);
}

}  // namespace bitnet::engine
