// engine/session.cpp - the log, its place on a backend, and the replay after a change.
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
    : Session(std::make_shared<BackendInUse>(model, registry, std::move(order), std::move(options))) {}

Session::Session(std::shared_ptr<BackendInUse> backend) : backend_(std::move(backend)) {
  for (const Fallback& change : backend_->fallbacks()) {
    if (change.stage == backend::stage_name(backend::Stage::kLoad)) fallbacks_.push_back(change);
  }
  n_noted_ = backend_->fallbacks().size();
}

std::unique_ptr<Session> Session::another() const { return std::unique_ptr<Session>(new Session(backend_)); }

Session::~Session() {
  if (!has_engine() || epoch_ != backend_->epoch()) return;
  try {
    backend_->engine().close(place_);
  } catch (const std::exception& e) {
    bitnet::log(LogLevel::kWarning, "a sequence did not close: {}", e.what());
  }
}

// False: the backend has no room beside the sequences that are there.
bool Session::try_place() {
  if (epoch_ == backend_->epoch()) return true;
  const std::optional<uint32_t> place = backend_->engine().open();
  if (!place) return false;
  place_ = *place;
  epoch_ = backend_->epoch();
  return true;
}

void Session::place() {
  if (try_place()) return;
  fail(ErrorKind::kUsage, "backend {} holds one sequence at a time, and another one is there", plugin().name);
}

// A new backend gets the log.
void Session::replay() {
  const uint32_t held = backend_->engine().size(place_), all = static_cast<uint32_t>(log_.size());
  if (held < all) backend_->engine().append(place_, std::span(log_).subspan(held), all - held, nullptr);
}

// What befell the backend since the last look befell this session at the token where it is.
void Session::note_fallbacks() {
  const std::vector<Fallback>& all = backend_->fallbacks();
  for (; n_noted_ < all.size(); ++n_noted_) {
    fallbacks_.push_back(all[n_noted_]);
    fallbacks_.back().at_token = given_out_;
  }
}

template <class F>
void Session::with_backend(backend::Stage stage, F&& f) {
  for (;;) {
    const auto start = Clock::now();
    std::exception_ptr error = std::exchange(failure_, nullptr);
    try {
      if (!error) {
        place();
        replay();
        f(backend_->engine());
        backend_->note_compute(seconds_since(start), true);
        note_fallbacks();
        return;
      }
    } catch (...) {
      error = std::current_exception();
    }
    backend_->note_compute(seconds_since(start), false);
    try {
      backend_->judge_failure(stage, error, given_out_);
    } catch (...) {
      note_fallbacks();
      throw;
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
  with_backend(stage == Stage::kPrefill ? backend::Stage::kPrefill : backend::Stage::kDecode,
               [&](WatchedEngine& engine) { engine.append(place_, tokens, first_row, logits); });
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
  with_backend(backend::Stage::kPrefill, [&](WatchedEngine& engine) { rows = engine.embed(place_, tokens); });
  log_.assign(tokens.begin(), tokens.end());
  return rows;
}

std::vector<int32_t> Session::decode(const bn_sampler& sampler, DecodeLimit limit) {
  limit.tokens = std::min<uint32_t>(limit.tokens, n_ctx() - static_cast<uint32_t>(log_.size()));
  if (limit.tokens == 0) return {};
  given_out_ = generated_;
  std::vector<int32_t> tokens;
  with_backend(backend::Stage::kDecode, [&](WatchedEngine& engine) {
    std::exception_ptr error;
    tokens = engine.decode(place_, sampler, limit, error);
    if (error && tokens.empty()) std::rethrow_exception(error);
    failure_ = error;  // first the tokens that are there, then the failure
  });
  log_.insert(log_.end(), tokens.begin(), tokens.end());
  generated_ += static_cast<uint32_t>(tokens.size());
  return tokens;
}

void Session::last_logits(float* logits) {
  given_out_ = generated_;
  with_backend(backend::Stage::kDecode, [&](WatchedEngine& engine) { engine.last_logits(place_, logits); });
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
  if (failure_ || epoch_ != backend_->epoch() || backend_->engine().size(place_) <= n) return;
  with_backend(backend::Stage::kDecode, [&](WatchedEngine& engine) {
    if (engine.size(place_) > n) engine.truncate(place_, n);
  });
}

// --------------------------------------------------------------------------------------------- several sessions
void Session::step(std::span<Item> items) {
  BackendInUse& backend = *items.front().session->backend_;
  backend::Stage stage = backend::Stage::kPrefill;  // of a failure: decode when anybody decodes
  for (Item& item : items) {
    Session& s = *item.session;
    const uint32_t more = item.stage == Stage::kDecode ? static_cast<uint32_t>(item.tokens.size()) : 0;
    s.given_out_ = item.stage == Stage::kDecode ? s.generated_ + more : 0;
    if (item.stage == Stage::kDecode) stage = backend::Stage::kDecode;
  }
  std::vector<WatchedEngine::Item> there;
  for (bool done = false; !done;) {
    const auto start = Clock::now();
    std::exception_ptr error;
    try {
      there.clear();
      for (Item& item : items) {
        item.waits = !item.session->try_place();
        if (item.waits) continue;
        item.session->replay();
        there.push_back({item.session->place_, item.tokens, item.sampler, item.logits});
      }
      if (there.empty()) fail(ErrorKind::kUsage, "backend {} has no room for a sequence of the step", backend.plugin().name);
      backend.engine().step(there);
      done = true;
    } catch (...) {
      error = std::current_exception();
    }
    backend.note_compute(seconds_since(start), done);
    const auto note = [&] {
      for (Item& item : items) item.session->note_fallbacks();
    };
    try {
      if (error) backend.judge_failure(stage, error, items.front().session->given_out_, items.size());
    } catch (...) {
      note();
      throw;
    }
    note();
  }
  size_t at = 0;
  for (Item& item : items) {
    if (item.waits) continue;
    Session& s = *item.session;
    s.log_.insert(s.log_.end(), item.tokens.begin(), item.tokens.end());
    item.token = there[at++].token;
    if (item.stage == Stage::kDecode) s.generated_ += static_cast<uint32_t>(item.tokens.size());
    if (item.sampler == nullptr) continue;
    s.log_.push_back(item.token);
    ++s.generated_;
  }
}

}  // namespace bitnet::engine
