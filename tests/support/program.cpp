// support/program.cpp - posix_spawn, three pipes, one poll loop.
#include "support/program.h"

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
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string_view>

#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what, int error) { throw std::runtime_error(what + ": " + std::strerror(error)); }

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

struct Pipe {
  Descriptor read, write;
  Pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) fail("pipe2", errno);
    read = Descriptor(fds[0]);
    write = Descriptor(fds[1]);
  }
};

std::string& shared_cache() {
  static std::string folder;
  return folder;
}

bool is_passed_on(std::string_view name) {
  return name == "PATH" || name == "LD_LIBRARY_PATH" || name.ends_with("SAN_OPTIONS") || name == "TMPDIR";
}

std::vector<std::string> environment_of(const ProgramOptions& options) {
  std::map<std::string, std::string> variables = {{"LC_ALL", "C.UTF-8"}, {"HOME", "/nonexistent"}};
  const auto is_cache = [](const auto& variable) { return variable.first == "XDG_CACHE_HOME"; };
  if (!shared_cache().empty() && std::none_of(options.env.begin(), options.env.end(), is_cache)) {
    variables["XDG_CACHE_HOME"] = shared_cache();
    variables["BITNET_ARG_NO_PREPACK_CACHE"] = "1";
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals != text.npos && is_passed_on(text.substr(0, equals)))
      variables[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : options.env) variables[name] = value;
  std::vector<std::string> entries;
  for (const auto& [name, value] : variables) entries.push_back(name + "=" + value);
  return entries;
}

std::vector<char*> pointers_of(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

pid_t spawn(const std::vector<std::string>& args, const ProgramOptions& options, const std::array<int, 3>& standard) {
  std::vector<std::string> argv = {options.program};
  argv.insert(argv.end(), args.begin(), args.end());
  std::vector<std::string> env = environment_of(options);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3; ++i) posix_spawn_file_actions_adddup2(&actions, standard[static_cast<size_t>(i)], i);
  if (!options.directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);

  pid_t pid = 0;
  const int error =
      ::posix_spawnp(&pid, options.program.c_str(), &actions, &attributes, pointers_of(argv).data(), pointers_of(env).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) fail("cannot start '" + options.program + "'", error);
  return pid;
}

// Reads what there is; closes at the end of the stream.
void receive(Descriptor& from, std::string& text) {
  char buffer[65536];
  const ssize_t n = ::read(from.get(), buffer, sizeof buffer);
  if (n > 0) {
    text.append(buffer, static_cast<size_t>(n));
  } else if (n == 0 || errno != EINTR) {
    from.close();
  }
}

void send(Descriptor& to, const std::string& text, size_t& sent) {
  const ssize_t n = ::write(to.get(), text.data() + sent, text.size() - sent);
  if (n > 0) sent += static_cast<size_t>(n);
  if (sent == text.size() || (n < 0 && errno != EAGAIN && errno != EINTR)) to.close();
}

}  // namespace

bool share_cache() {
  static const TempFolder folder;
  shared_cache() = folder.path();
  return true;
}

ProgramResult run_program(const std::vector<std::string>& args, const ProgramOptions& options) {
  static const auto broken_pipes_are_errors = std::signal(SIGPIPE, SIG_IGN);
  static_cast<void>(broken_pipes_are_errors);
  Pipe in, out, err;
  const Clock::time_point start = Clock::now();
  const pid_t pid = spawn(args, options, {in.read.get(), out.write.get(), err.write.get()});
  in.read.close();
  out.write.close();
  err.write.close();
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);

  ProgramResult result;
  size_t sent = 0;
  bool signal_due = options.send_signal != 0;
  if (options.stdin_text.empty()) in.write.close();
  while (out.read.get() >= 0 || err.read.get() >= 0) {
    if (signal_due && result.out.size() >= options.send_after_bytes) {
      ::kill(pid, options.send_signal);
      signal_due = false;
    }
    const double left = options.timeout - std::chrono::duration<double>(Clock::now() - start).count();
    if (left <= 0 && !result.timed_out) {
      result.timed_out = true;
      ::kill(-pid, SIGKILL);
    }
    // Closed descriptors are -1, which poll passes over.
    pollfd fds[] = {{in.write.get(), POLLOUT, 0}, {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
    ::poll(fds, 3, result.timed_out ? 1000 : static_cast<int>(left * 1000) + 1);
    if (fds[0].revents != 0) send(in.write, options.stdin_text, sent);
    if (fds[1].revents != 0) receive(out.read, result.out);
    if (fds[2].revents != 0) receive(err.read, result.err);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

std::ostream& operator<<(std::ostream& out, const ProgramResult& result) {
  constexpr size_t kShown = 4000;
  const auto part = [](const std::string& text) { return text.size() <= kShown ? text : text.substr(0, kShown) + " [...]"; };
  if (result.timed_out)
    out << "killed at the time limit";
  else if (result.signal != 0)
    out << "ended by signal " << result.signal;
  else
    out << "exit code " << result.exit_code;
  return out << " after " << result.seconds << " s\nstandard output: " << part(result.out)
             << "\nstandard error: " << part(result.err);
}

}  // namespace bitnet::test
