// engine/session.cpp - load, run, and go on with the next backend.
#include "engine/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "backend/quarantine.h"
#include "base/error.h"
#include "base/log.h"

namespace bitnet::engine {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

Session::Session(const model::Model& model, const backend::Registry& registry, backend::Order order, SessionOptions options)
    : model_(model), registry_(registry), order_(std::move(order)), options_(std::move(options)) {
  const backend::Decision first = backend::next_candidate(order_, options_.strict, history_);
  if (first.next == backend::Next::kEnd) throw Error(first.error, first.message);
  current_ = first.candidate;
  load_next();
}

Session::~Session() = default;

SpeculationCounts Session::speculation() const {
  SpeculationCounts all = past_speculation_;
  return all += engine_info().speculation;
}

const backend::Plugin& Session::plugin() const { return registry_.plugins()[current_.plugin]; }

// The backend in use failed: notes why and moves to what the policy names. Throws when that is nothing.
void Session::give_up_current(bn_status code, backend::Stage stage, const std::string& reason, bool of_the_model) {
  past_speculation_ = speculation();
  engine_.reset();
  history_.push_back({current_, code, stage, reason, smaller_});
  if (!of_the_model && (code == BN_E_DEVICE_LOST || code == BN_E_INTERNAL)) {
    backend::Quarantine::of_process().note_failure(plugin().file, plugin().kind, current_.device, reason);
  }
  const backend::Decision next = backend::next_candidate(order_, options_.strict, history_);
  const std::string name = plugin().name;
  const bool bug = next.error == ErrorKind::kUsage || next.error == ErrorKind::kFailure;
  if (next.next == backend::Next::kEnd && bug) throw Error(next.error, next.message);
  smaller_ = next.next == backend::Next::kUseSmaller;
  if (smaller_) return bitnet::log(LogLevel::kNotice, "backend {}: {}; trying again with smaller steps", name, reason);
  const bool more = next.next == backend::Next::kUse;
  fallbacks_.push_back({name, more ? next.candidate.name : "", backend::stage_name(stage), reason, given_out_});
  const std::string at = stage == backend::Stage::kDecode ? fmt::format(" at token {}", given_out_ + 1) : "";
  if (!more) {
    bitnet::log(LogLevel::kNotice, "backend {}: failed in {}{} ({})", name, backend::stage_name(stage), at, reason);
    throw Error(next.error, next.message);
  }
  bitnet::log(LogLevel::kNotice, "backend {}: {} ({}); using {}", name,
              stage == backend::Stage::kLoad ? "not usable" : fmt::format("failed in {}{}", backend::stage_name(stage), at),
              reason, next.candidate.name);
  current_ = next.candidate;
}

EngineOptions Session::engine_options() const {
  EngineOptions engine = options_.engine;
  if (plugin().kind != "test") engine.device_options.clear();  // the mock's script is the mock's
  if (smaller_) {
    engine.max_batch = std::max(1u, engine.max_batch / 8);
    if (options_.n_ctx_least > 0) engine.n_ctx = std::min(engine.n_ctx, options_.n_ctx_least);
  }
  return engine;
}

// Loads the current candidate, or those that follow it, until one takes the model.
void Session::load_next() {
  for (;;) {
    const auto start = Clock::now();
    try {
      engine_ = std::make_unique<WatchedEngine>(options_.threads, options_.patience, options_.stop, loader());
      times_.pack += engine_->info().pack_seconds;
      times_.load += seconds_since(start) - engine_->info().pack_seconds;
      return;
    } catch (const backend::BackendError& e) {
      times_.load += seconds_since(start);
      give_up_current(e.code(), backend::Stage::kLoad, e.what());
    }
  }
}

WatchedEngine::Loader Session::loader() const {
  return [&plugin = plugin(), candidate = current_, &model = model_, engine = engine_options(), worker = options_.worker,
          threads = options_.threads](ThreadTeam& team, Pulse& pulse) -> std::unique_ptr<Engine> {
    if (worker.program.empty()) return load_engine(plugin, candidate, model, team, engine, pulse);
    return std::make_unique<WorkerEngine>(plugin, candidate, model, threads, engine, worker, pulse);
  };
}

// A failure that another backend may not have: gives the current one up and loads the next. Throws for all others.
void Session::judge_failure(backend::Stage stage, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const UnusableLogits& e) {
    if (++bad_logits_ > 1) {
      fail(ErrorKind::kInvalidModel, "the model produces unusable numbers: backend {} {}, and so did the one before it",
           plugin().name, e.what());
    }
    give_up_current(e.code(), stage, e.what(), true);
  } catch (const backend::BackendError& e) {
    if (e.code() == BN_E_CANCELLED) fail(ErrorKind::kInterrupted, "stopped");
    give_up_current(e.code(), stage, e.what());
  }
  load_next();
}

template <class F>
void Session::with_backend(backend::Stage stage, F&& f) {
  for (;;) {
    const auto start = Clock::now();
    std::exception_ptr error = std::exchange(failure_, nullptr);
    try {
      if (!error) {
        const uint32_t held = engine_->size(), all = static_cast<uint32_t>(log_.size());
        if (held < all) engine_->append(std::span(log_).subspan(held), all - held, nullptr);  // a new backend: replay
        f();
        times_.compute += seconds_since(start);
        used_mock_ |= is_mock();
        return;
      }
    } catch (...) {
      error = std::current_exception();
    }
    times_.compute += seconds_since(start);
    judge_failure(stage, error);
  }
}

void Session::append(std::span<const int32_t> tokens, uint32_t first_row, float* logits, Stage stage) {
  if (tokens.empty()) return;
  if (tokens.size() > n_ctx() - log_.size()) {
    fail(ErrorKind::kUsage, "{} tokens do not fit: the context holds {}, {} are used; raise -c or shorten the text",
         tokens.size(), n_ctx(), log_.size());
  }
  // Generated tokens are handed out before they are processed.
  given_out_ = stage == Stage::kPrefill ? 0 : generated_ + static_cast<uint32_t>(tokens.size());
  with_backend(stage == Stage::kPrefill ? backend::Stage::kPrefill : backend::Stage::kDecode,
               [&] { engine_->append(tokens, first_row, logits); });
  log_.insert(log_.end(), tokens.begin(), tokens.end());
  if (stage == Stage::kDecode) generated_ += static_cast<uint32_t>(tokens.size());
}

std::vector<float> Session::embed(std::span<const int32_t> tokens) {
  if (tokens.empty()) fail(ErrorKind::kUsage, "there is no token to make an embedding of");
  if (tokens.size() > n_ctx()) {
    fail(ErrorKind::kUsage, "{} tokens do not fit into the context of {}; raise -c or shorten the text", tokens.size(),
         n_ctx());
  }
  truncate(0);
  std::vector<float> rows;
  with_backend(backend::Stage::kPrefill, [&] { rows = engine_->embed(tokens); });
  log_.assign(tokens.begin(), tokens.end());
  return rows;
}

std::vector<int32_t> Session::decode(const bn_sampler& sampler, DecodeLimit limit) {
  limit.tokens = std::min<uint32_t>(limit.tokens, n_ctx() - static_cast<uint32_t>(log_.size()));
  if (limit.tokens == 0) return {};
  given_out_ = generated_;
  std::vector<int32_t> tokens;
  with_backend(backend::Stage::kDecode, [&] {
    std::exception_ptr error;
    tokens = engine_->decode(sampler, limit, error);
    if (error && tokens.empty()) std::rethrow_exception(error);
    failure_ = error;  // first the tokens that are there, then the failure
  });
  log_.insert(log_.end(), tokens.begin(), tokens.end());
  generated_ += static_cast<uint32_t>(tokens.size());
  return tokens;
}

void Session::last_logits(float* logits) {
  given_out_ = generated_;
  with_backend(backend::Stage::kDecode, [&] { engine_->last_logits(logits); });
}

void Session::truncate(uint32_t n) {
  if (n > log_.size()) fail(ErrorKind::kUsage, "cannot keep {} tokens of {}", n, log_.size());
  generated_ -= std::min(generated_, static_cast<uint32_t>(log_.size()) - n);
  log_.resize(n);
  drop_behind(n);
}

void Session::forget(uint32_t first, uint32_t n) {
  if (first > log_.size() || n > log_.size() - first) {
    fail(ErrorKind::kUsage, "cannot forget {} tokens behind {} of {}", n, first, log_.size());
  }
  const std::vector<int32_t> rest(log_.begin() + first + n, log_.end());
  log_.resize(first);
  drop_behind(first);
  log_.insert(log_.end(), rest.begin(), rest.end());
}

// The engine forgets what is behind its first n tokens; the log has no more.
void Session::drop_behind(uint32_t n) {
  given_out_ = generated_;
  if (failure_ || engine_->size() <= n) return;
  with_backend(backend::Stage::kDecode, [&] {
    if (engine_->size() > n) engine_->truncate(n);
  });
}

}  // namespace bitnet::engine
