// backend/probe.cpp - posix_spawn, three pipes for each child, one poll loop for all of them.
#include "backend/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "backend/probe_answer.h"
#include "base/error.h"

namespace bitnet::backend {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = ProbeOutcome::Kind;

constexpr size_t kMaxNoise = 4096;  // bytes of output kept; the rest is read and forgotten

class Descriptor {
 public:
  Descriptor() = default;
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void reset(int fd) {
    close();
    fd_ = fd;
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

// The reading end of a pipe and what came through it.
struct Stream {
  Descriptor fd;
  std::string text;

  // Reads what there is, without waiting.
  void receive(size_t keep) {
    char buffer[16384];
    for (int i = 0; fd.get() >= 0 && i < 16; ++i) {
      const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n > 0) {
        text.append(buffer, std::min(static_cast<size_t>(n), keep - std::min(keep, text.size())));
      } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        fd.close();
      } else if (errno == EAGAIN) {
        return;
      }
    }
  }
};

enum { kAnswer = 0, kOut = 1, kErr = 2 };

struct Child {
  size_t index = 0;  // of the request
  pid_t pid = -1;
  Clock::time_point start, deadline;
  std::array<Stream, 3> streams;  // kAnswer, kOut, kErr
};

bool open_pipe(Stream& stream, Descriptor& write_end) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return false;
  // Above the numbers that the child's descriptors get, so that none of them is overwritten on the way.
  const int high = ::fcntl(fds[1], F_DUPFD_CLOEXEC, 10);
  ::close(fds[1]);
  stream.fd.reset(fds[0]);
  ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
  if (high < 0) return false;
  write_end.reset(high);
  return true;
}

int spawn(Child& child, const std::string& program, const ProbeRequest& request) {
  std::array<Descriptor, 3> ends;
  for (size_t i = 0; i < ends.size(); ++i) {
    if (!open_pipe(child.streams[i], ends[i])) return errno;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[kOut].get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[kErr].get(), STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[kAnswer].get(), kProbeAnswerFd);
  posix_spawn_file_actions_addclosefrom_np(&actions, kProbeAnswerFd + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::array<std::string, 3> words = {program, request.path, request.id};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  const int error = ::posix_spawn(&child.pid, program.c_str(), &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

// The line of JSON, once it is complete.
std::string_view complete_answer(const std::string& text) {
  size_t start = text.starts_with('{') ? 0 : text.find("\n{");
  if (start == std::string::npos) return {};
  start += text[start] == '\n' ? 1 : 0;
  const size_t end = text.find('\n', start);
  return end == std::string::npos ? std::string_view() : std::string_view(text).substr(start, end - start);
}

// The last stage that began.
std::optional<LoadStage> last_stage(const std::string& text) {
  std::optional<LoadStage> last;
  for (size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (const auto stage = stage_from_name(std::string_view(text).substr(begin, end - begin))) last = stage;
  }
  return last;
}

const char* during(const std::optional<LoadStage>& stage) {
  if (!stage) return "before it was opened";
  switch (*stage) {
    case LoadStage::kOpen:
      return "while it was opened (static constructors, libraries it needs)";
    case LoadStage::kEntry:
      return "in bitnet_plugin_v1";
    case LoadStage::kEnumerate:
      return "in enumerate";
  }
  return "";
}

std::string first_line(const std::string& text) {
  const std::string_view line = std::string_view(text).substr(0, text.find('\n'));
  return line.empty() ? "" : fmt::format("; it wrote: {}", printable(line, 160));
}

void judge_answer(std::string_view json, const Child& child, ProbeOutcome& out) {
  const std::string& printed = child.streams[kOut].text;
  try {
    ProbeAnswer answer = read_answer(json);
    out.kind = answer.ok && printed.empty() ? Kind::kUsable : Kind::kRefused;
    out.reason = std::move(answer.reason);
    out.vendor = std::move(answer.vendor);
    out.devices = std::move(answer.devices);
    out.libraries = std::move(answer.libraries);
    if (answer.ok && !printed.empty()) {
      out.reason = fmt::format("while it was loaded it wrote to standard output: {}", printable(printed, 60));
    }
  } catch (const Error& error) {
    out.kind = Kind::kRefused;
    out.reason = error.what();
  }
}

// status: of waitpid().
void judge_end(const Child& child, int status, ProbeOutcome& out) {
  const auto stage = last_stage(child.streams[kAnswer].text);
  const std::string said = first_line(child.streams[kErr].text);
  if (!stage) {
    out.reason = fmt::format("bn_probe itself failed (status {:#x}){}", status, said);
    return;
  }
  out.kind = Kind::kCrashed;
  if (WIFSIGNALED(status)) {
    out.reason =
        fmt::format("crashed with signal {} ({}) {}{}", WTERMSIG(status), ::strsignal(WTERMSIG(status)), during(stage), said);
  } else if (WEXITSTATUS(status) == kProbeLostItsPipe) {
    out.reason = fmt::format("closed file descriptors that are not its own {}", during(stage));
  } else {
    out.reason = fmt::format("ended the process with exit code {} {}{}", WEXITSTATUS(status), during(stage), said);
  }
}

class Probes {
 public:
  Probes(const std::string& program, const std::vector<ProbeRequest>& requests, int deadline_ms)
      : program_(program), requests_(requests), deadline_(deadline_ms), outcomes_(requests.size()) {}

  std::vector<ProbeOutcome> run() {
    for (size_t next = 0; next < requests_.size() || !running_.empty();) {
      while (next < requests_.size() && running_.size() < kProbesAtOnce) start(next++);
      wait();
      std::erase_if(running_, [&](const std::unique_ptr<Child>& child) { return finish(*child); });
    }
    return std::move(outcomes_);
  }

 private:
  void start(size_t index) {
    auto child = std::make_unique<Child>();
    child->index = index;
    child->start = Clock::now();
    child->deadline = child->start + deadline_;
    if (const int error = spawn(*child, program_, requests_[index]); error != 0) {
      outcomes_[index].reason = fmt::format("{} cannot be started: {}", printable(program_, 200), ::strerror(error));
      return;
    }
    running_.push_back(std::move(child));
  }

  // Until something can be read, a deadline, or the next look at who has ended.
  void wait() {
    std::vector<pollfd> fds;
    auto wake = Clock::now() + std::chrono::milliseconds(20);
    for (const auto& child : running_) {
      if (child->streams[kAnswer].fd.get() < 0) wake = Clock::now() + std::chrono::milliseconds(1);
      wake = std::min(wake, child->deadline);
      // Closed ones are -1, which poll passes over.
      for (const Stream& stream : child->streams) fds.push_back({stream.fd.get(), POLLIN, 0});
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake - Clock::now()).count();
    ::poll(fds.data(), fds.size(), static_cast<int>(std::max<int64_t>(left, 0)));
  }

  // True when the child's outcome is known; it has ended then, with all of its group.
  bool finish(Child& child) {
    // Looked at first: what it wrote before its end is then read below.
    const bool ended = has_ended(child.pid);
    Stream& answer = child.streams[kAnswer];
    answer.receive(kMaxAnswerBytes + 1);
    const std::string_view json = complete_answer(answer.text);
    for (const int noise : {kOut, kErr}) child.streams[static_cast<size_t>(noise)].receive(kMaxNoise);
    const bool too_long = answer.text.size() > kMaxAnswerBytes;
    if (json.empty() && !too_long && !ended && Clock::now() < child.deadline) return false;

    ProbeOutcome& out = outcomes_[child.index];
    out.milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - child.start).count();
    const int status = end_group(child.pid);
    if (!json.empty()) {
      judge_answer(json, child, out);
    } else if (too_long) {
      out.kind = Kind::kRefused;
      out.reason = fmt::format("its probe answered with more than {} bytes", kMaxAnswerBytes);
    } else if (ended) {
      judge_end(child, status, out);
    } else {
      const auto stage = last_stage(answer.text);
      out.kind = stage ? Kind::kHung : Kind::kNotProbed;
      out.reason = fmt::format("gave no answer within {} ms {}", deadline_.count(), during(stage));
    }
    return true;
  }

  // Not reaped by this, so that its number stays its own.
  static bool has_ended(pid_t pid) {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
  }

  // Kills what is left of a child's group and reaps the child; its status of waitpid().
  static int end_group(pid_t pid) {
    ::kill(-pid, SIGKILL);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }

  const std::string& program_;
  const std::vector<ProbeRequest>& requests_;
  std::chrono::milliseconds deadline_;
  std::vector<ProbeOutcome> outcomes_;
  std::vector<std::unique_ptr<Child>> running_;
};

}  // namespace

std::vector<ProbeOutcome> probe_files(const std::string& program, const std::vector<ProbeRequest>& requests, int deadline_ms) {
  return Probes(program, requests, deadline_ms).run();
}

}  // namespace bitnet::backend
