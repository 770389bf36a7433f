// engine/engine_thread.h - the thread that a backend's code runs on, and the watch over it.
//
// Plugin code may hang. Nobody can end a thread safely, so it runs on one of its own: when there is no sign of life for too
// long, it is told to stop, and if that does not help either it is abandoned: the thread goes on for ever, everything it may
// touch stays in memory, and the program continues without it.
// Threads  run() by one thread at a time. What the function refers to must be owned by it (shared_ptr), or live for ever.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "backend/pulse.h"

namespace bitnet::engine {

class EngineThread {
 public:
  EngineThread();
  ~EngineThread();  // waits for the thread, unless it was abandoned
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // Runs f on the thread and waits for it. Errors: what f throws; backend::BackendError{INTERNAL} "no sign of life for N s in
  // OP" when the heartbeat stood still for `patience` seconds. stop (may be null) is passed on to the pulse when it is set.
  void run(double patience, const std::atomic<bool>* stop, std::function<void(backend::Pulse&)> f);

  // The last run() hung and did not stop when told to: the object is only good for destruction.
  bool abandoned() const { return abandoned_; }

  // Threads abandoned by this process. If there are any, it must end by _exit(): they still run.
  static unsigned abandoned_threads();

 private:
  struct State;
  static void work(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
  bool abandoned_ = false;
};

}  // namespace bitnet::engine
