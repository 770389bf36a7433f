// base/thread_team.h - a fixed team of threads that runs one function at a time on all its members, with a cheap barrier.
//
// A decoding step is one parallel region: every member runs the same graph and meets the others at a barrier after each op.
// A barrier costs well under a microsecond while all members run; members that wait long give up the CPU (yield), and
// between regions they sleep. More threads than cores works, only slower.
// Threads  run() is called by one thread at a time, which becomes member 0. barrier() only inside run().
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace bitnet {

class ThreadTeam {
 public:
  explicit ThreadTeam(uint32_t size);  // size >= 1; starts size-1 threads
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  uint32_t size() const { return size_; }

  // Runs f(member) on every member and returns when all are done. f must not throw.
  template <class F>
  void run(F&& f) {
    run_erased([](void* context, uint32_t member) { (*static_cast<std::remove_reference_t<F>*>(context))(member); }, &f);
  }

  // Returns when every member has called it.
  void barrier();

 private:
  using Function = void (*)(void* context, uint32_t member);
  void run_erased(Function function, void* context);
  void work(uint32_t member);

  const uint32_t size_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<uint32_t> region_{0};   // counts regions; workers wait for a change
  alignas(64) std::atomic<uint32_t> arrived_{0};  // members at the current barrier
  alignas(64) std::atomic<uint32_t> phase_{0};    // counts barriers passed
  std::vector<std::thread> threads_;
};

// Cores this process may really use: the affinity mask, cut by a cgroup CPU quota. At least 1.
uint32_t usable_cores();

}  // namespace bitnet
