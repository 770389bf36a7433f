// engine/backend_in_use.h - the backend that computes now, and what happens when it fails: the next candidate is loaded.
//
// Sessions share it. Each has its place on the backend, a sequence with keys and values; a place is good as long as epoch() is
// the same. What follows a failure is decided in backend/policy.h.
// Errors  Error{kNoBackend} when no candidate is left, with every reason; Error{kInvalidModel} when a second backend too
//         produces logits that are not finite or all equal; Error{kInterrupted} when stopped; Error{kFailure} for a status that
//         means a bug of the runtime. After the first three there is no engine.
// Threads one at a time; the stop flag may be set from anywhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "backend/policy.h"
#include "backend/registry.h"
#include "engine/engine.h"
#include "engine/watched_engine.h"
#include "engine/worker_engine.h"
#include "model/model.h"

namespace bitnet::engine {

struct Fallback {
  std::string from, to;  // backend names; to is empty when none was left
  std::string stage;     // "load", "prefill" or "decode"
  std::string reason;
  uint32_t at_token = 0;         // generated tokens that had been committed
  bool text_may_differ = false;  // behind them: one of the two is not exact-1
};

struct SessionOptions {
  EngineOptions engine;
  uint32_t threads = 1;
  Patience patience;
  WorkerOptions worker;      // with a program: backends run in a process of their own
  bool strict = false;       // only the first backend
  uint32_t n_ctx_least = 0;  // positions this request needs at least: all a backend short of memory gets; 0: unknown
  const std::atomic<bool>* stop = nullptr;
};

// Seconds spent inside backends.
struct SessionTimes {
  double load = 0, pack = 0;  // load does not contain pack
  double compute = 0;         // steps, replay included
};

class BackendInUse {
 public:
  // Loads the first candidate that takes the model. References must outlive the object.
  BackendInUse(const model::Model& model, const backend::Registry& registry, backend::Order order, SessionOptions options);

  WatchedEngine& engine() { return *engine_; }
  const WatchedEngine* engine_or_null() const { return engine_.get(); }  // null after the last backend failed
  uint32_t epoch() const { return epoch_; }                              // grows with every backend

  // A call failed with `error`. Another backend may not have the failure: gives the current one up and loads the next. Throws
  // for all others. at_token: generated tokens that had been handed out, of `n_sequences` (then it is not told).
  void judge_failure(backend::Stage stage, const std::exception_ptr& error, uint32_t at_token, size_t n_sequences = 1);
  // A call took so long; done: it did not fail.
  void note_compute(double seconds, bool done);

  const model::Model& model() const { return model_; }
  const SessionOptions& options() const { return options_; }
  const backend::Plugin& plugin() const { return registry_.plugins()[current_.plugin]; }
  const std::string& device() const { return current_.device; }
  bool used_mock() const { return used_mock_; }  // a test backend computed something
  SpeculationCounts speculation() const;         // of all backends that were used
  const std::vector<Fallback>& fallbacks() const { return fallbacks_; }
  const SessionTimes& times() const { return times_; }

 private:
  void load_next();
  void tell_numerics() const;
  void tell_text_may_differ(const EngineInfo& before, const std::string& from, size_t n_fallbacks);
  // of_the_model: it may be the model's fault as well as the device's.
  void give_up_current(bn_status code, backend::Stage stage, const std::string& reason, bool of_the_model = false);
  EngineOptions engine_options() const;
  WatchedEngine::Loader loader() const;

  const model::Model& model_;
  const backend::Registry& registry_;
  backend::Order order_;
  SessionOptions options_;
  backend::Candidate current_;
  bool smaller_ = false;  // the current one had too little memory for the full size
  backend::History history_;
  std::unique_ptr<WatchedEngine> engine_;
  uint32_t epoch_ = 0;
  uint32_t at_token_ = 0;               // of the failure that is judged
  size_t n_sequences_ = 1;              // that were in the call
  SpeculationCounts past_speculation_;  // of backends that were given up
  bool used_mock_ = false;
  uint32_t bad_logits_ = 0;  // backends that produced unusable numbers
  std::vector<Fallback> fallbacks_;
  SessionTimes times_;
};

}  // namespace bitnet::engine
