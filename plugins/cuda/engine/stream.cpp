// engine/stream.cpp - tickets over the marks of the device, and the patience for it.
#include "stream.h"

#include <algorithm>
#include <thread>

namespace bn_cuda {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr microseconds kSpin{200};  // a step of decode is this short; longer waits sleep
constexpr microseconds kSleep{20};
constexpr milliseconds kLongestGap{100};  // what one gap between two questions counts for at most

}  // namespace

Stream::Ticket Stream::record() {
  if (n_recorded_ - n_reached_ == Gpu::kMarks) wait(n_reached_, nullptr, nullptr);
  check(gpu().record(static_cast<uint32_t>(n_recorded_ % Gpu::kMarks)), "recording a mark");
  if (n_recorded_ == n_reached_) idle_ = {};  // nothing was being waited for
  asked_ = steady_clock::now();
  return n_recorded_++;
}

bool Stream::is_reached(Ticket ticket) {
  while (n_reached_ <= ticket) {
    bool yes = false;
    check(gpu().reached(static_cast<uint32_t>(n_reached_ % Gpu::kMarks), &yes), "waiting for the device");
    asked_ = steady_clock::now();
    if (!yes) return false;
    ++n_reached_;
    idle_ = {};
  }
  return true;
}

void Stream::pause() {
  if (idle_ >= kSpin) std::this_thread::sleep_for(kSleep);
  idle_ += std::min<std::chrono::nanoseconds>(steady_clock::now() - asked_, kLongestGap);
  if (idle_ < patience_) return;
  set_lost(kHung);
  throw DeviceError(kHung, "waiting for the device");
}

bn_status Stream::wait(Ticket ticket, bn::kit::CallWatch* watch, bn_error* error) {
  while (!is_reached(ticket)) {
    if (watch != nullptr) {
      if (const bn_status stop = watch->poll(error); stop != BN_OK) return stop;
    }
    pause();
  }
  return BN_OK;
}

void Stream::drain() { wait(record(), nullptr, nullptr); }

void Stream::drain_quietly() noexcept {
  if (is_lost()) return;
  try {
    drain();
  } catch (const DeviceError&) {  // remembered as lost, or harmless
  }
}

float Stream::milliseconds(Ticket from, Ticket to) {
  float ms = 0;
  check(gpu().milliseconds(static_cast<uint32_t>(from % Gpu::kMarks), static_cast<uint32_t>(to % Gpu::kMarks), &ms),
        "measuring time");
  return ms;
}

}  // namespace bn_cuda
