// base/thread_team.cpp - spin first, then yield, then sleep.
#include "base/thread_team.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace bitnet {
namespace {

// About 20 microseconds of spinning before the CPU is offered to others: longer than any barrier between members that run.
constexpr int kSpins = 1000;
// Yields before a member sleeps: it waits for one that does not run, or that hangs for ever.
constexpr int kYields = 2000;
// About 200 microseconds before a worker without a region sleeps: longer than sampling between two steps.
constexpr int kIdleSpins = 10000;

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadTeam::ThreadTeam(uint32_t size) : size_(std::max(size, 1u)) {
  threads_.reserve(size_ - 1);
  for (uint32_t member = 1; member < size_; ++member) threads_.emplace_back([this, member] { work(member); });
}

ThreadTeam::~ThreadTeam() {
  stop_ = true;
  region_.fetch_add(1);
  region_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::run_erased(Function function, void* context) {
  function_ = function;
  context_ = context;
  region_.fetch_add(1, std::memory_order_release);
  if (size_ > 1) region_.notify_all();
  function(context, 0);
  barrier();  // nobody is still inside function
}

void ThreadTeam::work(uint32_t member) {
  uint32_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kIdleSpins && region_.load(std::memory_order_acquire) == seen; ++spin) pause_cpu();
    region_.wait(seen, std::memory_order_acquire);
    seen = region_.load(std::memory_order_acquire);
    if (stop_) return;
    function_(context_, member);
    barrier();
  }
}

void ThreadTeam::barrier() {
  if (size_ == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  for (int spin = 0; phase_.load(std::memory_order_acquire) == phase; ++spin) {
    if (spin < kSpins) {
      pause_cpu();
    } else if (spin < kSpins + kYields) {
      std::this_thread::yield();
    } else {
      phase_.wait(phase, std::memory_order_acquire);
    }
  }
}

uint32_t usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  uint32_t cores = std::max(1u, std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = static_cast<uint32_t>(std::max(1, CPU_COUNT(&set)));
  std::ifstream limit("/sys/fs/cgroup/cpu.max");  // "max 100000" or "50000 100000"
  std::string quota;
  double period = 0;
  if (limit >> quota >> period && quota != "max" && period > 0) {
    const double allowed = std::strtod(quota.c_str(), nullptr) / period;
    if (allowed > 0) cores = std::min(cores, static_cast<uint32_t>(std::max(1.0, std::ceil(allowed))));
  }
  return cores;
}

}  // namespace bitnet
