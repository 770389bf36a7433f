// engine/watched_engine.cpp - every call as a function that owns what it touches.
#include "engine/watched_engine.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/log.h"

namespace bitnet::engine {

struct WatchedEngine::Shared {
  explicit Shared(uint32_t threads) : team(threads) {}
  Engine& engine(uint32_t sequence) { return *engines[sequence]; }
  ThreadTeam team;
  std::vector<std::unique_ptr<Engine>> engines;  // by sequence; null: closed. The first one stays: it makes the others
  std::vector<int32_t> tokens;                   // arguments and results of the call
  std::vector<int32_t> stop_tokens;
  std::vector<float> logits;
  uint32_t n_committed = 0;
  struct Share {  // of a step of several sequences
    uint32_t sequence = 0;
    std::vector<int32_t> tokens, stop_tokens;
    std::optional<bn_sampler> sampler;
    std::vector<float> logits;  // empty: not wanted
    int32_t token = -1;
  };
  std::vector<Share> shares;
};

WatchedEngine::WatchedEngine(uint32_t threads, Patience patience, const std::atomic<bool>* stop, Loader load)
    : patience_(patience), stop_(stop), shared_(std::make_shared<Shared>(threads)) {
  call(patience.load, [load = std::move(load)](Shared& s, Pulse& pulse) { s.engines.push_back(load(s.team, pulse)); });
  n_vocab_ = shared_->engine(0).n_vocab();
  taken_ = {false};
}

WatchedEngine::~WatchedEngine() {
  if (thread_.abandoned()) return;
  try {  // unload and close are the plugin's code, too
    call(patience_.load, [](Shared& s, Pulse&) { s.engines.clear(); });
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
  if (shared_->engines.empty()) return;
  sizes_.resize(shared_->engines.size());
  kv_bytes_used_ = 0;
  for (size_t i = 0; i < sizes_.size(); ++i) {
    const Engine* engine = shared_->engines[i].get();
    sizes_[i] = engine != nullptr ? engine->size() : 0;
    kv_bytes_used_ += engine != nullptr ? engine->kv_bytes_used() : 0;
  }
  info_ = shared_->engine(0).info();
}

std::optional<uint32_t> WatchedEngine::open() {
  if (!taken_[0]) {
    if (sizes_[0] != 0) truncate(0, 0);
    taken_[0] = true;
    return 0;
  }
  const uint32_t at = static_cast<uint32_t>(std::find(taken_.begin(), taken_.end(), false) - taken_.begin());
  call(patience_.load, [at](Shared& s, Pulse&) {
    s.engines.resize(std::max<size_t>(s.engines.size(), at + 1));
    s.engines[at] = s.engine(0).another();
  });
  taken_.resize(sizes_.size());
  if (shared_->engines[at] == nullptr) return std::nullopt;
  taken_[at] = true;
  return at;
}

void WatchedEngine::close(uint32_t sequence) {
  taken_[sequence] = false;
  if (sequence == 0) return;
  call(patience_.load, [sequence](Shared& s, Pulse&) { s.engines[sequence].reset(); });
}

void WatchedEngine::append(uint32_t sequence, std::span<const int32_t> tokens, uint32_t first, float* logits) {
  shared_->tokens.assign(tokens.begin(), tokens.end());
  const size_t rows = first < tokens.size() ? tokens.size() - first : 0;
  shared_->logits.resize(rows * n_vocab_);
  call(patience_.call, [sequence, first, rows](Shared& s, Pulse& pulse) {
    Output output;
    output.first = first;
    output.logits = s.logits.data();
    s.engine(sequence).append(s.tokens, rows != 0 ? &output : nullptr, pulse);
  });
  if (rows != 0) std::memcpy(logits, shared_->logits.data(), shared_->logits.size() * sizeof(float));
}

std::vector<float> WatchedEngine::embed(uint32_t sequence, std::span<const int32_t> tokens) {
  shared_->tokens.assign(tokens.begin(), tokens.end());
  call(patience_.call, [sequence](Shared& s, Pulse& pulse) {
    s.logits.resize(s.engine(sequence).hidden_size(static_cast<uint32_t>(s.tokens.size())));
    Output output;
    output.hidden = s.logits.data();
    s.engine(sequence).append(s.tokens, &output, pulse);
  });
  return shared_->logits;
}

std::vector<int32_t> WatchedEngine::decode(uint32_t sequence, const bn_sampler& sampler, DecodeLimit limit,
                                           std::exception_ptr& error) {
  shared_->tokens.resize(limit.tokens);
  shared_->stop_tokens.assign(sampler.stop, sampler.stop + sampler.n_stop);
  shared_->n_committed = 0;
  error = nullptr;
  try {
    call(patience_.call, [sequence, sampler, limit](Shared& s, Pulse& pulse) {
      bn_sampler own = sampler;
      own.stop = s.stop_tokens.data();
      s.engine(sequence).decode(own, limit, s.tokens.data(), s.n_committed, pulse);
    });
  } catch (...) {
    error = std::current_exception();
    if (thread_.abandoned()) return {};  // tokens of a hung call are not read
  }
  return {shared_->tokens.begin(), shared_->tokens.begin() + shared_->n_committed};
}

void WatchedEngine::last_logits(uint32_t sequence, float* logits) {
  shared_->logits.resize(n_vocab_);
  call(patience_.call, [sequence](Shared& s, Pulse& pulse) { s.engine(sequence).last_logits(s.logits.data(), pulse); });
  std::memcpy(logits, shared_->logits.data(), shared_->logits.size() * sizeof(float));
}

void WatchedEngine::truncate(uint32_t sequence, uint32_t n) {
  call(patience_.call, [sequence, n](Shared& s, Pulse&) { s.engine(sequence).truncate(n); });
}

void WatchedEngine::step(std::span<Item> items) {
  std::vector<Shared::Share>& shares = shared_->shares;
  shares.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    Shared::Share& share = shares[i];
    share.sequence = items[i].sequence;
    share.tokens.assign(items[i].tokens.begin(), items[i].tokens.end());
    share.sampler.reset();
    if (items[i].sampler != nullptr) {
      share.sampler = *items[i].sampler;
      share.stop_tokens.assign(share.sampler->stop, share.sampler->stop + share.sampler->n_stop);
      share.sampler->stop = share.stop_tokens.data();
    }
    share.logits.resize(items[i].logits != nullptr ? n_vocab_ : 0);
  }
  call(patience_.call, [](Shared& s, Pulse& pulse) {
    std::vector<BatchItem> batch;
    for (Shared::Share& share : s.shares) {
      batch.push_back({&s.engine(share.sequence), share.tokens, share.sampler ? &*share.sampler : nullptr,
                       share.logits.empty() ? nullptr : share.logits.data()});
    }
    Engine::step(batch, pulse);
    for (size_t i = 0; i < batch.size(); ++i) s.shares[i].token = batch[i].token;
  });
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].token = shares[i].token;
    if (items[i].logits != nullptr) std::copy(shares[i].logits.begin(), shares[i].logits.end(), items[i].logits);
  }
}

}  // namespace bitnet::engine
