// engine/session.h - a sequence that survives its backends: the token log and its place on the backend in use.
//
// The log of committed tokens is the only state that matters. When a backend cannot load the model or fails in a step, the next
// candidate takes over by processing the log again; between exact-1 backends the result is what the first would have given.
// Every change is told: a line on stderr and a record in fallbacks(). Several sessions may share a backend (another()); step()
// computes for several at once, and when the backend fails all of them go on with the next.
// Errors  as BackendInUse; Error{kUsage} when the context is full, and when the backend has no room for one more sequence.
// Threads sessions that share a backend: one at a time; the stop flag may be set from anywhere.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend_in_use.h"

namespace bitnet::engine {

class Session {
 public:
  // Loads the first candidate that takes the model. References must outlive the object.
  Session(const model::Model& model, const backend::Registry& registry, backend::Order order, SessionOptions options);
  // A further sequence, empty, on the backend of this one. Any of them may end first.
  std::unique_ptr<Session> another() const;
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

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

  // One session's share of a step of several.
  struct Item {
    Session* session = nullptr;           // each once; all share a backend
    std::span<const int32_t> tokens;      // appended first; they and a sampled one must fit
    Stage stage = Stage::kDecode;         // of the tokens
    const bn_sampler* sampler = nullptr;  // then one token is sampled from the logits behind, and appended to the log
    float* logits = nullptr;              // [n_vocab], without a sampler: the logits behind; null: not wanted
    int32_t token = -1;                   // out: what was sampled
    bool waits = false;                   // out: the backend has no room for this one beside the others; nothing was done
  };
  // At least one item does not wait.
  static void step(std::span<Item> items);

  const std::vector<int32_t>& log() const { return log_; }
  uint32_t n_ctx() const { return backend_->options().engine.n_ctx; }
  uint32_t max_batch() const { return backend_->options().engine.max_batch; }
  uint32_t n_vocab() const { return backend_->model().config.arch.n_vocab; }
  const backend::Plugin& plugin() const { return backend_->plugin(); }  // the backend in use
  bool is_mock() const { return plugin().kind == "test"; }
  bool used_mock() const { return backend_->used_mock(); }                   // a test backend computed some of the text
  const std::string& device() const { return backend_->device(); }           // id
  bool has_engine() const { return backend_->engine_or_null() != nullptr; }  // false after the last backend failed
  // Of the backend in use; zeros when none is left.
  EngineInfo engine_info() const { return has_engine() ? backend_->engine_or_null()->info() : EngineInfo{}; }
  SpeculationCounts speculation() const { return backend_->speculation(); }  // of all backends that were used
  uint32_t draft_max() const { return backend_->options().engine.draft_max; }
  uint64_t kv_bytes() const { return has_engine() ? backend_->engine_or_null()->kv_bytes_used() : 0; }
  // Those that this session went through; loading counts.
  const std::vector<Fallback>& fallbacks() const { return fallbacks_; }
  const SessionTimes& times() const { return backend_->times(); }

 private:
  explicit Session(std::shared_ptr<BackendInUse> backend);
  bool try_place();
  void place();
  void replay();
  void note_fallbacks();
  // Runs f with an engine that holds the log; when the backend fails, gives it up and runs f again with the next one.
  template <class F>
  void with_backend(backend::Stage stage, F&& f);
  void drop_behind(uint32_t n);

  std::shared_ptr<BackendInUse> backend_;
  uint32_t epoch_ = 0, place_ = 0;  // of the backend that place_ is a sequence of; 0: none
  std::vector<int32_t> log_;
  uint32_t generated_ = 0;      // tokens of the log that were generated
  uint32_t given_out_ = 0;      // generated tokens the caller had when the step began
  std::exception_ptr failure_;  // of the step whose first tokens decode() has handed out
  std::vector<Fallback> fallbacks_;
  size_t n_noted_ = 0;  // of the backend's
};

}  // namespace bitnet::engine
