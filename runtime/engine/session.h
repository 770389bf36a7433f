// engine/session.h - a sequence that survives its backends: the token log, the backend in use, and the fallback.
//
// The log of committed tokens is the only state that matters. When a backend cannot load the model or fails in a step, the next
// candidate takes over by processing the log again; between exact-1 backends the result is what the first would have given.
// Every change is told: a line on stderr and a record in fallbacks(). What follows a failure is decided in backend/policy.h.
// Errors  Error{kNoBackend} when no candidate is left, with every reason; Error{kInvalidModel} when a second backend too
//         produces logits that are not finite or all equal; Error{kUsage} when the context is full; Error{kInterrupted} when
//         stopped; Error{kFailure} for a status that means a bug of the runtime.
// Threads one at a time; the stop flag may be set from anywhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
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
  uint32_t at_token = 0;  // generated tokens that had been committed
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

class Session {
 public:
  // Loads the first candidate that takes the model. References must outlive the object.
  Session(const model::Model& model, const backend::Registry& registry, backend::Order order, SessionOptions options);
  ~Session();

  enum class Stage { kPrefill, kDecode };
  // Appends tokens to the log; logits: [n - first_row][n_vocab] for tokens [first_row, n), null when first_row is n.
  void append(std::span<const int32_t> tokens, uint32_t first_row, float* logits, Stage stage);
  // Hidden states of a text that is all there is: the log is these tokens afterwards. One row [n_embd], pooled as
  // model::choose_pooling() said, or without pooling [tokens][n_embd].
  std::vector<float> embed(std::span<const int32_t> tokens);
  // Samples at least one token on the backend and appends what was sampled to the log; ends at the limit and with a stop token
  // of the sampler. Fewer steps when the backend failed on the way, and when the context ends (none when it is full).
  std::vector<int32_t> decode(const bn_sampler& sampler, DecodeLimit limit);
  // The logits behind the last token of the log: [n_vocab].
  void last_logits(float* logits);
  // Forgets all but the first n tokens.
  void truncate(uint32_t n);
  // Forgets tokens [first, first + n). Those behind them move forward; they are computed again before the next step, so what
  // follows is what a new session with this log would give.
  void forget(uint32_t first, uint32_t n);

  const std::vector<int32_t>& log() const { return log_; }
  uint32_t n_ctx() const { return options_.engine.n_ctx; }
  uint32_t n_vocab() const { return model_.config.arch.n_vocab; }
  const backend::Plugin& plugin() const;  // the backend in use
  bool is_mock() const { return plugin().kind == "test"; }
  bool used_mock() const { return used_mock_; }                  // a test backend computed some of the text
  const std::string& device() const { return current_.device; }  // id
  bool has_engine() const { return engine_ != nullptr; }         // false after the last backend failed
  // Of the backend in use; zeros when none is left.
  EngineInfo engine_info() const { return engine_ ? engine_->info() : EngineInfo{}; }
  SpeculationCounts speculation() const;  // of all backends that were used
  uint32_t draft_max() const { return options_.engine.draft_max; }
  uint64_t kv_bytes() const { return engine_ ? engine_->kv_bytes_used() : 0; }
  const std::vector<Fallback>& fallbacks() const { return fallbacks_; }
  const SessionTimes& times() const { return times_; }

 private:
  void load_next();
  // of_the_model: it may be the model's fault as well as the device's.
  void give_up_current(bn_status code, backend::Stage stage, const std::string& reason, bool of_the_model = false);
  EngineOptions engine_options() const;
  WatchedEngine::Loader loader() const;
  // Runs f with an engine that holds the log; when the backend fails, gives it up and runs f again with the next one.
  template <class F>
  void with_backend(backend::Stage stage, F&& f);
  void drop_behind(uint32_t n);
  void judge_failure(backend::Stage stage, const std::exception_ptr& error);

  const model::Model& model_;
  const backend::Registry& registry_;
  backend::Order order_;
  SessionOptions options_;
  backend::Candidate current_;
  bool smaller_ = false;  // the current one had too little memory for the full size
  backend::History history_;
  std::unique_ptr<WatchedEngine> engine_;
  std::vector<int32_t> log_;
  uint32_t generated_ = 0;              // tokens of the log that were generated
  uint32_t given_out_ = 0;              // generated tokens the caller had when the step began
  SpeculationCounts past_speculation_;  // of backends that were given up
  bool used_mock_ = false;
  uint32_t bad_logits_ = 0;     // backends that produced unusable numbers
  std::exception_ptr failure_;  // of the step whose first tokens decode() has handed out
  std::vector<Fallback> fallbacks_;
  SessionTimes times_;
};

}  // namespace bitnet::engine
