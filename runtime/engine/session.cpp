// engine/session.cpp - load, run, and go on with the next backend.
#include "engine/session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/log.h"

namespace bitnet::engine {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Empty, or what is wrong with a row of logits.
const char* unusable(const float* row, uint32_t n) {
  bool all_equal = n > 1;
  for (uint32_t i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, row + i, sizeof bits);
    if ((bits & 0x7F800000u) == 0x7F800000u) return "produced logits that are not finite";
    all_equal = all_equal && row[i] == row[0];
  }
  return all_equal ? "produced logits that are all equal" : nullptr;
}

}  // namespace

Session::Session(const model::Model& model, const backend::Registry& registry, backend::Order order, SessionOptions options)
    : model_(model), registry_(registry), order_(std::move(order)), options_(std::move(options)), team_(options_.threads) {
  const backend::Decision first = backend::next_candidate(order_, options_.strict, history_);
  if (first.next == backend::Next::kEnd) throw Error(first.error, first.message);
  current_ = first.candidate;
  load_next();
}

Session::~Session() = default;

const backend::Plugin& Session::plugin() const { return registry_.plugins()[current_.plugin]; }

// The backend in use failed: notes why and moves to what the policy names. Throws when that is nothing.
void Session::give_up_current(bn_status code, backend::Stage stage, const std::string& reason) {
  engine_.reset();
  history_.push_back({current_, code, stage, reason, smaller_});
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
      engine_ = load_engine(plugin(), current_, model_, team_, engine_options());
      times_.pack += engine_->info().pack_seconds;
      times_.load += seconds_since(start) - engine_->info().pack_seconds;
      return;
    } catch (const backend::BackendError& e) {
      times_.load += seconds_since(start);
      give_up_current(e.code(), backend::Stage::kLoad, e.what());
    }
  }
}

void Session::run(std::span<const int32_t> tokens, uint32_t first_row, float* logits) {
  const auto start = Clock::now();
  engine_->append(tokens, first_row, logits, options_.stop);
  times_.compute += seconds_since(start);
  const uint32_t n_vocab = model_.config.arch.n_vocab;
  for (uint32_t row = 0; row < tokens.size() - first_row; ++row) {
    if (const char* problem = unusable(logits + static_cast<uint64_t>(row) * n_vocab, n_vocab)) {
      if (++bad_logits_ > 1) {
        fail(ErrorKind::kInvalidModel, "the model produces unusable numbers: backend {} {}, and so did the one before it",
             plugin().name, problem);
      }
      throw backend::BackendError(BN_E_INTERNAL, problem);
    }
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
  for (;;) {
    try {
      if (engine_->size() < log_.size()) run(log_, static_cast<uint32_t>(log_.size()), nullptr);  // a new backend: replay
      run(tokens, first_row, logits);
      used_mock_ |= is_mock();
      break;
    } catch (const backend::BackendError& e) {
      if (e.code() == BN_E_CANCELLED) fail(ErrorKind::kInterrupted, "stopped");
      give_up_current(e.code(), stage == Stage::kPrefill ? backend::Stage::kPrefill : backend::Stage::kDecode, e.what());
      load_next();
    }
  }
  log_.insert(log_.end(), tokens.begin(), tokens.end());
  if (stage == Stage::kDecode) generated_ += static_cast<uint32_t>(tokens.size());
}

}  // namespace bitnet::engine
