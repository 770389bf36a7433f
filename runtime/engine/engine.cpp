// engine/engine.cpp - the token list, the decode loop, and the choice of the tier a plugin offers.
#include "engine/engine.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "bitnet/kit/sampler.hpp"
#include "engine/composed_engine.h"
#include "engine/plugin_engine.h"
#include "engine/rows.h"

namespace bitnet::engine {

using backend::BackendError;

void Engine::process_pending(std::span<const int32_t> more, const Output* output, Pulse& pulse) {
  std::vector<int32_t> joined(tokens_.begin() + n_processed_, tokens_.end());
  const uint32_t pending = static_cast<uint32_t>(joined.size());
  joined.insert(joined.end(), more.begin(), more.end());
  if (joined.empty()) return;
  Output shifted = output != nullptr ? *output : Output{};
  shifted.first += pending;
  process(joined, n_processed_, output != nullptr ? &shifted : nullptr, pulse);
  tokens_.insert(tokens_.end(), more.begin(), more.end());
  n_processed_ = size();
}

void Engine::append(std::span<const int32_t> tokens, const Output* output, Pulse& pulse) {
  const uint32_t n = static_cast<uint32_t>(tokens.size());
  if (n > n_ctx_ - size()) {
    fail(ErrorKind::kUsage, "{} tokens do not fit: the context holds {}, {} are used", n, n_ctx_, size());
  }
  if (n == 0) return;
  if (output == nullptr || output->first >= n) {
    process_pending(tokens.first(n - 1), nullptr, pulse);
    tokens_.push_back(tokens.back());
    return;
  }
  process_pending(tokens, output, pulse);
  for (uint32_t row = 0; output->logits != nullptr && row < n - output->first; ++row) {
    check_row(output->logits + static_cast<uint64_t>(row) * n_vocab_, n_vocab_);
  }
}

// What is wanted behind the newest token; output.first is 0 and counts from it.
void Engine::process_newest(Output& output, Pulse& pulse) {
  if (size() == 0) fail(ErrorKind::kUsage, "there is no token whose logits could be wanted");
  if (n_processed_ == size()) {  // it was not asked for then: once more through the layers
    drop(size() - 1);
    --n_processed_;
  }
  const int32_t newest = tokens_.back();
  process(std::span(&newest, 1), n_processed_, &output, pulse);
  n_processed_ = size();
}

void Engine::last_logits(float* logits, Pulse& pulse) {
  if (last_row_size_ != size() || size() == 0) {
    last_row_.resize(n_vocab_);
    last_row_size_ = 0;
    Output output;
    output.logits = last_row_.data();
    process_newest(output, pulse);
    check_row(last_row_.data(), n_vocab_);
    last_row_size_ = size();
  }
  if (logits != nullptr) std::memcpy(logits, last_row_.data(), last_row_.size() * sizeof(float));
}

// From the best logits alone where the sampler looks at no others and they cost less.
int32_t Engine::sample_newest(const bn_sampler& sampler, Pulse& pulse) {
  const uint32_t k = sampler.temperature <= 0.0f ? 1 : std::min(sampler.top_k, n_vocab_);  // 0: all
  if (last_row_size_ == size() || k == 0 || !best_are_cheap(k)) {
    last_logits(nullptr, pulse);
    return bn::kit::sample_logits(sampler, size(), last_row_.data(), n_vocab_);
  }
  std::vector<int32_t> id(k);
  std::vector<float> logit(k);
  Output output;
  output.top_k = k;
  output.top_id = id.data();
  output.top_logit = logit.data();
  process_newest(output, pulse);
  return bn::kit::sample_top(sampler, size(), id.data(), logit.data(), k);
}

void Engine::decode(const bn_sampler& sampler, uint32_t max_steps, int32_t* tokens, uint32_t& n_committed, Pulse& pulse) {
  n_committed = 0;
  max_steps = std::min(max_steps, n_ctx_ - size());
  if (max_steps == 0) return;
  if (decodes_natively()) {
    process_pending({}, nullptr, pulse);
    struct TakeOver {  // what the plugin committed counts also when it failed afterwards
      Engine& engine;
      const int32_t* tokens;
      const uint32_t& n;
      ~TakeOver() {
        engine.tokens_.insert(engine.tokens_.end(), tokens, tokens + n);
        engine.n_processed_ = engine.size();
      }
    } const committed{*this, tokens, n_committed};
    return decode_natively(sampler, max_steps, tokens, n_committed, pulse);
  }
  for (bool stopped = false; n_committed < max_steps && !stopped;) {
    const int32_t token = sample_newest(sampler, pulse);
    tokens_.push_back(token);
    tokens[n_committed++] = token;
    stopped = bn::kit::is_stop_token(sampler, token);
  }
}

void Engine::truncate(uint32_t n) {
  if (n > size()) fail(ErrorKind::kUsage, "cannot keep {} tokens of {}", n, size());
  if (n < n_processed_) {
    drop(n);
    n_processed_ = n;
  }
  tokens_.resize(n);
  if (last_row_size_ > n) last_row_size_ = 0;
}

uint64_t Engine::kv_bytes(uint32_t) const { throw BackendError(BN_E_UNSUPPORTED, "does not give keys and values out"); }
void Engine::read_kv(uint32_t, uint32_t, void*) { throw BackendError(BN_E_UNSUPPORTED, "does not give keys and values out"); }
void Engine::place_kv(uint32_t, std::span<const int32_t>, const void*) {
  throw BackendError(BN_E_UNSUPPORTED, "does not take keys and values in");
}

void Engine::write_kv(std::span<const int32_t> tokens, const void* src) {
  if (tokens.size() > n_ctx_ - size()) {
    fail(ErrorKind::kUsage, "{} tokens do not fit: the context holds {}, {} are used", tokens.size(), n_ctx_, size());
  }
  if (n_processed_ != size()) fail(ErrorKind::kUsage, "the newest token has no keys and values yet");
  place_kv(size(), tokens, src);
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  n_processed_ = size();
}

std::unique_ptr<Engine> load_engine(const backend::Plugin& plugin, const backend::Candidate& candidate,
                                    const model::Model& model, ThreadTeam& team, const EngineOptions& options, Pulse& pulse) {
  backend::OpenDevice device(plugin, candidate.device, options.device_options);
  if (candidate.tier != "kernels" && device.engine() != nullptr)
    return std::make_unique<PluginEngine>(std::move(device), model, options, pulse);
  if (candidate.tier == "engine") throw BackendError(BN_E_UNSUPPORTED, "offers no bn.engine/1");
  if (device.kernels() == nullptr) {
    throw BackendError(BN_E_UNSUPPORTED, "offers neither bn.engine/1 nor bn.kernels/1");
  }
  if (!model.has_tensors()) {
    throw BackendError(BN_E_UNSUPPORTED, "needs weights, and the model file holds only a vocabulary");
  }
  return std::make_unique<ComposedEngine>(std::move(device), model, team, options,
                                          LoadCaches(options.prepack_cache, model.file.path(), plugin, pulse), pulse);
}

}  // namespace bitnet::engine
