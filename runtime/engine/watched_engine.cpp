// engine/watched_engine.cpp - every call as a function that owns what it touches.
#include "engine/watched_engine.h"

#include <cstring>
#include <optional>

#include "base/log.h"

namespace bitnet::engine {

struct WatchedEngine::Shared {
  explicit Shared(uint32_t threads) : team(threads) {}
  ThreadTeam team;
  std::unique_ptr<Engine> engine;
  std::vector<int32_t> tokens;  // arguments and results of the call
  std::vector<int32_t> stop_tokens;
  std::vector<float> logits;
  uint32_t n_committed = 0;
};

WatchedEngine::WatchedEngine(uint32_t threads, Patience patience, const std::atomic<bool>* stop, Loader load)
    : patience_(patience), stop_(stop), shared_(std::make_shared<Shared>(threads)) {
  call(patience.load, [load = std::move(load)](Shared& s, Pulse& pulse) { s.engine = load(s.team, pulse); });
  n_vocab_ = shared_->engine->n_vocab();
}

WatchedEngine::~WatchedEngine() {
  if (thread_.abandoned()) return;
  try {  // unload and close are the plugin's code, too
    call(patience_.load, [](Shared& s, Pulse&) { s.engine.reset(); });
  } catch (const std::exception& e) {
    log(LogLevel::kWarning, "a backend did not close: {}", e.what());
  }
}

void WatchedEngine::call(double patience, std::function<void(Shared&, Pulse&)> f) {
  try {
    thread_.run(patience, stop_, [shared = shared_, f = std::move(f)](Pulse& pulse) { f(*shared, pulse); });
  } catch (...) {
    // Whoever still runs keeps all of it for ever: this reference is never given back.
    if (thread_.abandoned()) new std::shared_ptr<Shared>(shared_);
    throw;
  }
  if (!shared_->engine) return;
  size_ = shared_->engine->size();
  kv_bytes_used_ = shared_->engine->kv_bytes_used();
  info_ = shared_->engine->info();
}

void WatchedEngine::append(std::span<const int32_t> tokens, uint32_t first, float* logits) {
  shared_->tokens.assign(tokens.begin(), tokens.end());
  const size_t rows = first < tokens.size() ? tokens.size() - first : 0;
  shared_->logits.resize(rows * n_vocab_);
  call(patience_.call, [first, rows](Shared& s, Pulse& pulse) {
    Output output;
    output.first = first;
    output.logits = s.logits.data();
    s.engine->append(s.tokens, rows != 0 ? &output : nullptr, pulse);
  });
  if (rows != 0) std::memcpy(logits, shared_->logits.data(), shared_->logits.size() * sizeof(float));
}

std::vector<float> WatchedEngine::embed(std::span<const int32_t> tokens) {
  shared_->tokens.assign(tokens.begin(), tokens.end());
  call(patience_.call, [](Shared& s, Pulse& pulse) {
    s.logits.resize(s.engine->hidden_size(static_cast<uint32_t>(s.tokens.size())));
    Output output;
    output.hidden = s.logits.data();
    s.engine->append(s.tokens, &output, pulse);
  });
  return shared_->logits;
}

std::vector<int32_t> WatchedEngine::decode(const bn_sampler& sampler, DecodeLimit limit, std::exception_ptr& error) {
  shared_->tokens.resize(limit.tokens);
  shared_->stop_tokens.assign(sampler.stop, sampler.stop + sampler.n_stop);
  shared_->n_committed = 0;
  error = nullptr;
  try {
    call(patience_.call, [sampler, limit](Shared& s, Pulse& pulse) {
      bn_sampler own = sampler;
      own.stop = s.stop_tokens.data();
      s.engine->decode(own, limit, s.tokens.data(), s.n_committed, pulse);
    });
  } catch (...) {
    error = std::current_exception();
    if (thread_.abandoned()) return {};  // tokens of a hung call are not read
  }
  return {shared_->tokens.begin(), shared_->tokens.begin() + shared_->n_committed};
}

void WatchedEngine::last_logits(float* logits) {
  shared_->logits.resize(n_vocab_);
  call(patience_.call, [](Shared& s, Pulse& pulse) { s.engine->last_logits(s.logits.data(), pulse); });
  std::memcpy(logits, shared_->logits.data(), shared_->logits.size() * sizeof(float));
}

void WatchedEngine::truncate(uint32_t n) {
  call(patience_.call, [n](Shared& s, Pulse&) { s.engine->truncate(n); });
}

}  // namespace bitnet::engine
