// engine/stream.h - the device's one stream: calls that throw, and waiting that always ends.
//
// A ticket is a place in the stream. Waiting asks again and again whether it is reached, and meanwhile serves the caller's
// cancel word, budget and heartbeat. A device that shows no sign of life for `patience` is given up: the process counts it as
// lost from then on, and nobody touches it. Only time in which this thread could have been answered counts as waiting: not
// what a call to the device takes, and of a pause of the whole process a tenth of a second.
// Errors  DeviceError. Threads: one at a time.
#pragma once

#include <chrono>

#include "../gpu/errors.h"
#include "../gpu/gpu.h"
#include "bitnet/kit/call_watch.hpp"

namespace bn_cuda {

class Stream {
 public:
  using Ticket = uint64_t;

  Stream(Gpu& gpu, std::chrono::milliseconds patience) : gpu_(gpu), patience_(patience) {}

  // Throws when the device is lost: whoever asks is about to call it.
  Gpu& gpu() {
    if (is_lost()) throw DeviceError(lost_code(), "a lost device");
    return gpu_;
  }

  template <class Args>
  void launch(const Kernel& kernel, const Shape& shape, const Args& args, bool early = false) {
    launch_raw(kernel, shape, &args, early);
  }
  void launch_raw(const Kernel& kernel, const Shape& shape, const void* args, bool early) {
    check(gpu().launch(kernel, shape, args, early), kernel.name);
  }
  void upload(void* device, const void* host, uint64_t bytes) { check(gpu().upload(device, host, bytes), "an upload"); }
  void download(void* host, const void* device, uint64_t bytes) { check(gpu().download(host, device, bytes), "a download"); }
  void fill(void* device, uint8_t byte, uint64_t bytes) { check(gpu().fill(device, byte, bytes), "a fill"); }
  void launch_graph(void* graph) { check(gpu().launch_graph(graph), "launching a graph"); }

  Ticket record();
  bool is_reached(Ticket ticket);
  // Until the ticket is reached, or the watch says stop. watch: null when the wait cannot be stopped.
  bn_status wait(Ticket ticket, bn::kit::CallWatch* watch, bn_error* error);
  // Until everything so far is done. Afterwards no memory is in use by the stream.
  void drain();
  void drain_quietly() noexcept;  // for destructors; a lost device is left alone
  // Between two tickets that are reached and not older than Gpu::kMarks records.
  float milliseconds(Ticket from, Ticket to);

 private:
  void pause();

  Gpu& gpu_;
  const std::chrono::nanoseconds patience_;
  uint64_t n_recorded_ = 0, n_reached_ = 0;  // tickets below n_reached_ are reached
  std::chrono::nanoseconds idle_{0};         // without a sign of life
  std::chrono::steady_clock::time_point asked_;
};

}  // namespace bn_cuda
