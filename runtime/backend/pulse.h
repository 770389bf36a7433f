// backend/pulse.h - the two words by which a call into a backend is watched and stopped from another thread.
//
// They have the types that bn_call wants, so an engine plugin gets their addresses; the runtime's own ops use the functions.
// Threads any; all accesses are atomic.
#pragma once

#include <atomic>
#include <cstdint>

namespace bitnet::backend {

struct Pulse {
  alignas(64) uint32_t cancel = 0;     // non-zero: stop
  alignas(64) uint64_t heartbeat = 0;  // grows while the call gets on
  std::atomic<const char*> at{""};     // what is being done, for messages; static text

  void request_stop() { std::atomic_ref(cancel).store(1, std::memory_order_relaxed); }
  bool stop_requested() { return std::atomic_ref(cancel).load(std::memory_order_relaxed) != 0; }
  // Lost beats of two threads at once do not matter: it grows all the same.
  void beat() {
    const std::atomic_ref word(heartbeat);
    word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  uint64_t beats() { return std::atomic_ref(heartbeat).load(std::memory_order_relaxed); }
  void reset() {
    std::atomic_ref(cancel).store(0, std::memory_order_relaxed);
    at.store("", std::memory_order_relaxed);
  }
};

}  // namespace bitnet::backend
