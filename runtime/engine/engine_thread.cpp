// engine/engine_thread.cpp - hand a function over, watch the heartbeat, give up after a grace period.
#include "engine/engine_thread.h"

#include <algorithm>
#include <cfenv>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "backend/device.h"
#include "base/error.h"

namespace bitnet::engine {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// How often a waiting caller looks at the stop flag and the heartbeat.
constexpr auto kLook = std::chrono::milliseconds(20);
// Of the time between two looks so much counts. When it is more, nothing ran: the program was stopped, the machine slept.
constexpr Seconds kMostBetweenLooks(0.2);
// Between being told to stop and being abandoned.
constexpr Seconds kGrace(1.0);

std::atomic<unsigned> abandoned_count{0};

}  // namespace

struct EngineThread::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::function<void(backend::Pulse&)> job;  // set: to be run
  bool busy = false, end = false;
  std::exception_ptr error;
  backend::Pulse pulse;
};

EngineThread::EngineThread() : state_(std::make_shared<State>()) { std::thread(work, state_).detach(); }

EngineThread::~EngineThread() {
  if (abandoned_) return;
  std::unique_lock lock(state_->mutex);
  state_->end = true;
  state_->changed.notify_all();
  state_->changed.wait(lock, [&] { return !state_->end; });
}

void EngineThread::work(const std::shared_ptr<State>& state) {
  std::fenv_t modes;
  std::fegetenv(&modes);
  std::unique_lock lock(state->mutex);
  for (;;) {
    state->changed.wait(lock, [&] { return state->busy || state->end; });
    if (state->end) break;
    lock.unlock();
    std::exception_ptr error;
    try {
      state->job(state->pulse);
    } catch (const Error&) {
      error = std::current_exception();
    } catch (const backend::BackendError&) {
      error = std::current_exception();
    } catch (const std::bad_alloc&) {
      error = std::make_exception_ptr(backend::BackendError(BN_E_NO_MEMORY, "out of memory"));
    } catch (...) {
      error = std::make_exception_ptr(backend::BackendError(BN_E_INTERNAL, "it threw an exception across the plugin boundary"));
    }
    std::fesetenv(&modes);  // rule 6, for those who do not keep it
    lock.lock();
    state->job = nullptr;
    state->error = error;
    state->busy = false;
    state->changed.notify_all();
  }
  state->end = false;
  state->changed.notify_all();
}

void EngineThread::run(double patience, const std::atomic<bool>* stop, std::function<void(backend::Pulse&)> f) {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  s.pulse.reset();
  s.job = std::move(f);
  s.busy = true;
  s.error = nullptr;
  s.changed.notify_all();
  uint64_t beats = s.pulse.beats();
  Clock::time_point looked = Clock::now();
  Seconds silent(0);
  const Seconds most_silent(patience);
  bool hangs = false;
  while (!s.changed.wait_for(lock, kLook, [&] { return !s.busy; })) {
    const Clock::time_point now = Clock::now();
    silent += std::min<Seconds>(now - looked, kMostBetweenLooks);
    looked = now;
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) s.pulse.request_stop();
    if (s.pulse.beats() != beats) {
      beats = s.pulse.beats();
      silent = Seconds(0);
    }
    if (!hangs && silent > most_silent) {
      hangs = true;
      s.pulse.request_stop();
    }
    if (hangs && silent > most_silent + kGrace) {
      abandoned_ = true;
      ++abandoned_count;
      break;
    }
  }
  if (hangs) {
    const std::string op = s.pulse.at.load();
    throw backend::BackendError(
        BN_E_INTERNAL, fmt::format("no sign of life for {} s{}{}", patience, op.empty() ? "" : ", last seen in op ", op));
  }
  if (s.error) std::rethrow_exception(std::exchange(s.error, nullptr));
}

unsigned EngineThread::abandoned_threads() { return abandoned_count.load(); }

}  // namespace bitnet::engine
