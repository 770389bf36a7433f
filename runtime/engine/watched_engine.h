// engine/watched_engine.h - an engine whose backend may hang: the same calls, run on a watched thread of its own.
//
// Results go to the caller's buffers only when a call came back, so an abandoned one cannot write where nobody expects it.
// Errors  as Engine; BackendError{INTERNAL} when the backend gave no sign of life. After an abandoned call the engine, its
//         worker threads and everything they use stay in memory for ever; model and registry must then live as long.
// Threads one at a time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_thread.h"

namespace bitnet::engine {

// Seconds without a sign of life after which a backend counts as hanging.
struct Patience {
  double call = 5;
  double load = 30;
};

class WatchedEngine {
 public:
  using Loader = std::function<std::unique_ptr<Engine>(ThreadTeam& team, Pulse& pulse)>;

  // Runs `load` on the thread. stop: may be null; must outlive the object.
  WatchedEngine(uint32_t threads, Patience patience, const std::atomic<bool>* stop, Loader load);
  ~WatchedEngine();

  // logits: [n - first][n_vocab] or null when no rows are wanted.
  void append(std::span<const int32_t> tokens, uint32_t first, float* logits);
  // Hidden states of all tokens, as many as Output::hidden gets.
  std::vector<float> embed(std::span<const int32_t> tokens);
  // The tokens that were committed, also when an error came after them: then it is in `error`.
  std::vector<int32_t> decode(const bn_sampler& sampler, DecodeLimit limit, std::exception_ptr& error);
  void last_logits(float* logits);
  void truncate(uint32_t n);

  uint32_t size() const { return size_; }
  uint64_t kv_bytes_used() const { return kv_bytes_used_; }
  const EngineInfo& info() const { return info_; }

 private:
  struct Shared;  // what the thread may touch
  void call(double patience, std::function<void(Shared&, Pulse&)> f);

  Patience patience_;
  const std::atomic<bool>* stop_;
  EngineThread thread_;
  std::shared_ptr<Shared> shared_;
  uint32_t size_ = 0, n_vocab_ = 0;
  uint64_t kv_bytes_used_ = 0;
  EngineInfo info_;
};

}  // namespace bitnet::engine
