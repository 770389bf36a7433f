// engine/backend_in_use.cpp - load, judge a failure, and go on with the next backend.
#include "engine/backend_in_use.h"

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

BackendInUse::BackendInUse(const model::Model& model, const backend::Registry& registry, backend::Order order,
                           SessionOptions options)
    : model_(model), registry_(registry), order_(std::move(order)), options_(std::move(options)) {
  const backend::Decision first = backend::next_candidate(order_, options_.strict, history_);
  if (first.next == backend::Next::kEnd) throw Error(first.error, first.message);
  current_ = first.candidate;
  load_next();
}

SpeculationCounts BackendInUse::speculation() const {
  SpeculationCounts all = past_speculation_;
  return all += engine_ ? engine_->info().speculation : SpeculationCounts{};
}

void BackendInUse::note_compute(double seconds, bool done) {
  times_.compute += seconds;
  used_mock_ |= done && plugin().kind == "test";
}

// The backend in use failed: notes why and moves to what the policy names. Throws when that is nothing.
void BackendInUse::give_up_current(bn_status code, backend::Stage stage, const std::string& reason, bool of_the_model) {
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
  fallbacks_.push_back({name, more ? next.candidate.name : "", backend::stage_name(stage), reason, at_token_});
  std::string at = stage == backend::Stage::kDecode ? fmt::format(" at token {}", at_token_ + 1) : "";
  if (n_sequences_ > 1) at = fmt::format(" of {} sequences", n_sequences_);
  if (!more) {
    bitnet::log(LogLevel::kNotice, "backend {}: failed in {}{} ({})", name, backend::stage_name(stage), at, reason);
    throw Error(next.error, next.message);
  }
  bitnet::log(LogLevel::kNotice, "backend {}: {} ({}); using {}", name,
              stage == backend::Stage::kLoad ? "not usable" : fmt::format("failed in {}{}", backend::stage_name(stage), at),
              reason, next.candidate.name);
  current_ = next.candidate;
}

EngineOptions BackendInUse::engine_options() const {
  EngineOptions engine = options_.engine;
  if (smaller_) {
    engine.max_batch = std::max(1u, engine.max_batch / 8);
    if (options_.n_ctx_least > 0) engine.n_ctx = std::min(engine.n_ctx, options_.n_ctx_least);
  }
  return engine;
}

// Loads the current candidate, or those that follow it, until one takes the model.
void BackendInUse::load_next() {
  for (;;) {
    const auto start = Clock::now();
    try {
      engine_ = std::make_unique<WatchedEngine>(options_.threads, options_.patience, options_.stop, loader());
      ++epoch_;
      times_.pack += engine_->info().pack_seconds;
      times_.load += seconds_since(start) - engine_->info().pack_seconds;
      return tell_numerics();
    } catch (const backend::BackendError& e) {
      times_.load += seconds_since(start);
      give_up_current(e.code(), backend::Stage::kLoad, e.what());
    }
  }
}

// What nobody should learn from the results: they are near those of the other backends, not equal.
void BackendInUse::tell_numerics() const {
  const EngineInfo& info = engine_->info();
  if (!info.is_approximate()) return;
  bitnet::log(LogLevel::kNotice, "backend {}: results are approximate (approx-1, logits within {:.3g} %)", plugin().name,
              100.0 * static_cast<double>(info.tolerance));
}

// A text that was begun goes on with other numbers. n_fallbacks: before what is told now.
void BackendInUse::tell_text_may_differ(const EngineInfo& before, const std::string& from, size_t n_fallbacks) {
  const EngineInfo& now = engine_->info();
  if (!(before.is_approximate() || now.is_approximate())) return;
  for (size_t i = n_fallbacks; i < fallbacks_.size(); ++i) fallbacks_[i].text_may_differ = true;
  bitnet::log(LogLevel::kNotice, "the text may differ from here: {} is {}, {} is {}", from, numerics_name(before.numerics),
              plugin().name, numerics_name(now.numerics));
}

WatchedEngine::Loader BackendInUse::loader() const {
  return [&plugin = plugin(), candidate = current_, &model = model_, engine = engine_options(), worker = options_.worker,
          threads = options_.threads](ThreadTeam& team, Pulse& pulse) -> std::unique_ptr<Engine> {
    if (worker.program.empty()) return load_engine(plugin, candidate, model, team, engine, pulse);
    return std::make_unique<WorkerEngine>(plugin, candidate, model, threads, engine, worker, pulse);
  };
}

void BackendInUse::judge_failure(backend::Stage stage, const std::exception_ptr& error, uint32_t at_token, size_t n_sequences) {
  at_token_ = at_token;
  n_sequences_ = n_sequences;
  const EngineInfo before = engine_ ? engine_->info() : EngineInfo{};
  const std::string from = plugin().name;
  const size_t n_fallbacks = fallbacks_.size();
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
  if (stage == backend::Stage::kDecode && (at_token > 0 || n_sequences > 1)) tell_text_may_differ(before, from, n_fallbacks);
}

}  // namespace bitnet::engine
