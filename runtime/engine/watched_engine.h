// engine/watched_engine.h - a loaded model whose backend may hang: the calls of its engines, run on a watched thread of its
// own.
//
// Sequences have numbers: open() gives one out, close() takes it back.
// Results go to the caller's buffers only when a call came back, so an abandoned one cannot write where nobody expects it.
// Errors  as Engine; BackendError{INTERNAL} when the backend gave no sign of life. After an abandoned call the engine, its
//         worker threads and everything they use stay in memory for ever; model and registry must then live as long.
// Threads one at a time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
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

  // A new, empty sequence; none: the backend has no room for one more beside those that are open.
  std::optional<uint32_t> open();
  void close(uint32_t sequence);

  // logits: [n - first][n_vocab] or null when no rows are wanted.
  void append(uint32_t sequence, std::span<const int32_t> tokens, uint32_t first, float* logits);
  // Hidden states of all tokens, as many as Output::hidden gets.
  std::vector<float> embed(uint32_t sequence, std::span<const int32_t> tokens);
  // The tokens that were committed, also when an error came after them: then it is in `error`.
  std::vector<int32_t> decode(uint32_t sequence, const bn_sampler& sampler, DecodeLimit limit, std::exception_ptr& error);
  void last_logits(uint32_t sequence, float* logits);
  void truncate(uint32_t sequence, uint32_t n);

  // As BatchItem, with a number for the engine.
  struct Item {
    uint32_t sequence = 0;
    std::span<const int32_t> tokens;
    const bn_sampler* sampler = nullptr;
    float* logits = nullptr;
    int32_t token = -1;
  };
  void step(std::span<Item> items);

  uint32_t size(uint32_t sequence) const { return sizes_[sequence]; }
  uint64_t kv_bytes_used() const { return kv_bytes_used_; }  // of all sequences
  const EngineInfo& info() const { return info_; }

 private:
  struct Shared;  // what the thread may touch
  void call(double patience, std::function<void(Shared&, Pulse&)> f);

  Patience patience_;
  const std::atomic<bool>* stop_;
  EngineThread thread_;
  std::shared_ptr<Shared> shared_;
  std::vector<uint32_t> sizes_;  // by sequence
  std::vector<bool> taken_;
  uint32_t n_vocab_ = 0;
  uint64_t kv_bytes_used_ = 0;
  EngineInfo info_;
};

}  // namespace bitnet::engine
