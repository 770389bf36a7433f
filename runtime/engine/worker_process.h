// engine/worker_process.h - the process bn_worker, seen from its parent: started, spoken to, watched, and never left behind.
//
// Errors  backend::BackendError{INTERNAL} saying how the process ended, {CANCELLED} when it was killed because it did not stop.
// Threads one at a time; the process dies with the thread that started it.
#pragma once

#include <sys/types.h>

#include <string>

#include "backend/pulse.h"
#include "engine/worker_protocol.h"

namespace bitnet::engine {

class WorkerProcess {
 public:
  explicit WorkerProcess(const std::string& program);  // absolute path
  ~WorkerProcess();                                    // asks it to end, then kills it
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  pid_t id() const { return pid_; }

  // One request with the bytes behind it, and its reply. tokens: room for request.limit.tokens. message: of a failure.
  worker::Reply exchange(worker::Request request, const void* payload, uint64_t bytes, int32_t* tokens, std::string& message,
                         backend::Pulse& pulse);

  // Makes room for so many bytes of logits, and where they are; valid until the next call.
  const float* rows(uint64_t bytes);

 private:
  void wait_for_reply(backend::Pulse& pulse);
  [[noreturn]] void report_end();
  void kill();

  pid_t pid_ = -1;  // -1: none, or its end is known
  int socket_ = -1, shared_file_ = -1;
  void* shared_ = nullptr;
  uint64_t shared_size_ = 0;
};

}  // namespace bitnet::engine
