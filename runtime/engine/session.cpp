// engine/session.cpp - load, run, and go on with the next backend.
#include "engine/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace bitnet::engine {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

Session::Session(const model::Model& model, const backend::Registry& registry, backend::Order order, SessionOptions options)
    : model_(model), registry_(registry), order_(std::move(order)), options_(std::move(options)) {
  load_next();
}

Session::~Session() = default;

const backend::Plugin& Session::plugin() const { return registry_.plugins()[order_.candidates[current_].plugin]; }

// The backend in use failed: notes why and moves to the next candidate. Throws when there is none or none is allowed.
void Session::give_up_current(const std::string& stage, const std::string& reason) {
  engine_.reset();
  const std::string name = plugin().name;
  reasons_.push_back(fmt::format("{}: {}", name, reason));
  const bool more = !options_.strict && current_ + 1 < order_.candidates.size();
  const std::string to = more ? order_.candidates[current_ + 1].name : "";
  fallbacks_.push_back({name, to, stage, reason, given_out_});
  const std::string at = stage == "decode" ? fmt::format(" at token {}", given_out_ + 1) : "";
  if (!more) {
    bitnet::log(LogLevel::kNotice, "backend {}: failed in {}{} ({})", name, stage, at, reason);
    fail(ErrorKind::kNoBackend, "no usable backend is left: {}{}", fmt::join(reasons_, "; "),
         options_.strict ? " (--no-fallback allows only the first)" : "");
  }
  bitnet::log(LogLevel::kNotice, "backend {}: {} ({}); using {}", name,
              stage == "load" ? "not usable" : fmt::format("failed in {}{}", stage, at), reason, to);
  ++current_;
}

// Loads candidates, starting with the current one, until one takes the model.
void Session::load_next() {
  if (order_.candidates.empty()) fail(ErrorKind::kNoBackend, "{}", backend::no_backend_message(order_));
  for (;;) {
    const auto start = Clock::now();
    try {
      EngineOptions engine = options_.engine;
      if (plugin().kind != "test") engine.device_options.clear();  // the mock's script is the mock's
      const std::string device = order_.candidates[current_].device;
      engine_ = std::make_unique<WatchedEngine>(
          options_.threads, options_.patience, options_.stop,
          [&plugin = plugin(), device, &model = model_, engine, worker = options_.worker, threads = options_.threads](
              ThreadTeam& team, Pulse& pulse) -> std::unique_ptr<Engine> {
            if (worker.program.empty()) return load_engine(plugin, device, model, team, engine, pulse);
            return std::make_unique<WorkerEngine>(plugin, device, model, threads, engine, worker, pulse);
          });
      times_.pack += engine_->info().pack_seconds;
      times_.load += seconds_since(start) - engine_->info().pack_seconds;
      return;
    } catch (const backend::BackendError& e) {
      if (e.code() == BN_E_INVALID) fail(ErrorKind::kUsage, "backend {}: {}", plugin().name, e.what());
      times_.load += seconds_since(start);
      give_up_current("load", e.what());
    }
  }
}

// A failure that another backend may not have: gives the current one up and loads the next. Throws for all others.
void Session::judge_failure(const char* stage, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const UnusableLogits& e) {
    if (++bad_logits_ > 1) {
      fail(ErrorKind::kInvalidModel, "the model produces unusable numbers: backend {} {}, and so did the one before it",
           plugin().name, e.what());
    }
    give_up_current(stage, e.what());
  } catch (const backend::BackendError& e) {
    if (e.code() == BN_E_CANCELLED) fail(ErrorKind::kInterrupted, "stopped");
    if (e.code() == BN_E_INVALID)
      fail(ErrorKind::kFailure, "backend {}: {}; this is a bug, please report it", plugin().name, e.what());
    give_up_current(stage, e.what());
  }
  load_next();
}

template <class F>
void Session::with_backend(const char* stage, F&& f) {
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
  with_backend(stage == Stage::kPrefill ? "prefill" : "decode", [&] { engine_->append(tokens, first_row, logits); });
  log_.insert(log_.end(), tokens.begin(), tokens.end());
  if (stage == Stage::kDecode) generated_ += static_cast<uint32_t>(tokens.size());
}

std::vector<int32_t> Session::decode(const bn_sampler& sampler, uint32_t max_steps) {
  max_steps = std::min<uint32_t>(max_steps, n_ctx() - static_cast<uint32_t>(log_.size()));
  if (max_steps == 0) return {};
  given_out_ = generated_;
  std::vector<int32_t> tokens;
  with_backend("decode", [&] {
    std::exception_ptr error;
    tokens = engine_->decode(sampler, max_steps, error);
    if (error && tokens.empty()) std::rethrow_exception(error);
    failure_ = error;  // first the tokens that are there, then the failure
  });
  log_.insert(log_.end(), tokens.begin(), tokens.end());
  generated_ += static_cast<uint32_t>(tokens.size());
  return tokens;
}

void Session::last_logits(float* logits) {
  given_out_ = generated_;
  with_backend("decode", [&] { engine_->last_logits(logits); });
}

void Session::truncate(uint32_t n) {
  if (n > log_.size()) fail(ErrorKind::kUsage, "cannot keep {} tokens of {}", n, log_.size());
  log_.resize(n);
  generated_ = std::min(generated_, n);
  given_out_ = generated_;
  if (failure_ || engine_->size() <= n) return;
  with_backend("decode", [&] {
    if (engine_->size() > n) engine_->truncate(n);
  });
}

}  // namespace bitnet::engine
