// engine/worker_process.cpp - start, ask, watch, clean up.
#include "engine/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <system_error>
#include <thread>

#include "backend/device.h"
#include "base/error.h"

extern char** environ;

namespace bitnet::engine {
namespace {

using backend::BackendError;
using backend::Pulse;
using Clock = std::chrono::steady_clock;

constexpr int kLookMilliseconds = 10;
// How long a worker that was told to stop, or that should end, may take.
constexpr std::chrono::milliseconds kGrace(500);

[[noreturn]] void system_failure(const std::string& what, int code) {
  throw BackendError(BN_E_INTERNAL, fmt::format("worker process: {}: {}", what, std::generic_category().message(code)));
}

// The pulse at the start of the shared file; its text pointer means nothing on this side.
Pulse& remote_pulse(void* shared) { return *static_cast<Pulse*>(shared); }
static_assert(sizeof(Pulse) <= worker::kRowsOffset);

// Runs the program with its two descriptors, no input, and standard output joined to standard error.
pid_t spawn(const std::string& program, int socket, int shared_file) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, socket, worker::kSocket);
  posix_spawn_file_actions_adddup2(&actions, shared_file, worker::kSharedFile);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // Ctrl-C is for the parent alone
  posix_spawnattr_setpgroup(&attributes, 0);
  char* arguments[] = {const_cast<char*>(program.c_str()), nullptr};
  pid_t pid = -1;
  const int code = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (code != 0) system_failure(printable(program) + " cannot be started", code);
  return pid;
}

// A descriptor above those the child gets, so that one dup2 does not overwrite the source of the other.
int move_up(int fd) {
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, 10);
  const int code = errno;
  ::close(fd);
  if (moved < 0) system_failure("no descriptor left", code);
  return moved;
}

}  // namespace

WorkerProcess::WorkerProcess(const std::string& program) {
  int pair[2] = {-1, -1};
  try {
    shared_file_ = ::memfd_create("bitnet_worker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (shared_file_ < 0 || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
      system_failure("no memory or socket for it", errno);
    }
    for (int* fd : {&shared_file_, &pair[0], &pair[1]}) *fd = move_up(*fd);
    // A worker that shrinks the file must not take its parent down.
    if (::fcntl(shared_file_, F_ADD_SEALS, F_SEAL_SHRINK) != 0) system_failure("sealing its memory", errno);
    rows(0);
    new (shared_) Pulse;
    pid_ = spawn(program, pair[1], shared_file_);
  } catch (...) {
    for (int fd : {shared_file_, pair[0], pair[1]}) {
      if (fd >= 0) ::close(fd);
    }
    if (shared_ != nullptr) ::munmap(shared_, shared_size_);
    throw;
  }
  ::close(pair[1]);
  socket_ = pair[0];
}

WorkerProcess::~WorkerProcess() {
  ::shutdown(socket_, SHUT_RDWR);  // tells it to end
  const Clock::time_point start = Clock::now();
  while (pid_ > 0 && Clock::now() - start < kGrace) {
    if (::waitpid(pid_, nullptr, WNOHANG) != 0)
      pid_ = -1;
    else
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill();
  ::close(socket_);
  ::close(shared_file_);
  ::munmap(shared_, shared_size_);
}

// With everything it started: it leads a process group.
void WorkerProcess::kill() {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void WorkerProcess::report_end() {
  int status = 0;
  if (pid_ <= 0) throw BackendError(BN_E_INTERNAL, "its worker process has ended");
  // It closed its socket: if it is not gone soon, something else is wrong with it.
  pid_t ended = 0;
  for (int i = 0; i < 100 && (ended = ::waitpid(pid_, &status, WNOHANG)) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const pid_t id = pid_;
  if (ended == 0) {
    kill();
    throw BackendError(BN_E_INTERNAL, fmt::format("its worker process {} closed the connection", id));
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    throw BackendError(BN_E_INTERNAL, fmt::format("its worker process {} was ended by signal {} ({})", id, WTERMSIG(status),
                                                  ::strsignal(WTERMSIG(status))));
  }
  throw BackendError(BN_E_INTERNAL, fmt::format("its worker process {} exited with code {}", id, WEXITSTATUS(status)));
}

const float* WorkerProcess::rows(uint64_t bytes) {
  const uint64_t size = worker::kRowsOffset + bytes;
  if (size > shared_size_) {
    if (::ftruncate(shared_file_, static_cast<off_t>(size)) != 0) system_failure("memory for logits", errno);
    void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, shared_file_, 0);
    if (mapped == MAP_FAILED) system_failure("memory for logits", errno);
    if (shared_ != nullptr) ::munmap(shared_, shared_size_);
    shared_ = mapped;
    shared_size_ = size;
  }
  return reinterpret_cast<const float*>(static_cast<const uint8_t*>(shared_) + worker::kRowsOffset);
}

// Passes heartbeats on to this side and a request to stop to the other.
void WorkerProcess::wait_for_reply(Pulse& pulse) {
  Pulse& remote = remote_pulse(shared_);
  uint64_t beats = remote.beats();
  Clock::time_point told{};
  for (;;) {
    pollfd wait{socket_, POLLIN, 0};
    const int ready = ::poll(&wait, 1, kLookMilliseconds);
    if (ready > 0) return;  // a reply, or the end
    if (ready < 0 && errno != EINTR) system_failure("waiting for it", errno);
    if (remote.beats() != beats) {
      beats = remote.beats();
      pulse.beat();
    }
    if (!pulse.stop_requested()) continue;
    if (told == Clock::time_point{}) {
      told = Clock::now();
      remote.request_stop();
    } else if (Clock::now() - told > kGrace) {
      kill();
      throw BackendError(BN_E_CANCELLED, "its worker process did not stop and was killed");
    }
  }
}

worker::Reply WorkerProcess::exchange(worker::Request request, const void* payload, uint64_t bytes, int32_t* tokens,
                                      std::string& message, Pulse& pulse) {
  if (pid_ <= 0) report_end();
  Pulse& remote = remote_pulse(shared_);
  remote.reset();
  if (pulse.stop_requested()) remote.request_stop();  // before it can have finished
  request.shared_size = shared_size_;
  if (!worker::send_all(socket_, &request, sizeof request) || !worker::send_all(socket_, payload, bytes)) report_end();
  wait_for_reply(pulse);
  worker::Reply reply;
  if (!worker::receive_all(socket_, &reply, sizeof reply)) report_end();
  if (reply.n_committed > request.limit.tokens || reply.n_message > worker::kMaxMessage) {
    kill();
    throw BackendError(BN_E_INTERNAL, "its worker process answers nonsense");
  }
  if (!worker::receive_all(socket_, tokens, 4ull * reply.n_committed)) report_end();
  message.resize(reply.n_message);
  if (!worker::receive_all(socket_, message.data(), message.size())) report_end();
  return reply;
}

}  // namespace bitnet::engine
