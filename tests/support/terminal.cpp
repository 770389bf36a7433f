// support/terminal.cpp - forkpty and a poll loop.
#include "support/terminal.h"

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace bitnet::test {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

Terminal::Terminal(const std::vector<std::string>& args) {
  std::vector<std::string> texts = {BITNET_RUN};
  texts.insert(texts.end(), args.begin(), args.end());
  std::vector<std::string> environment = {"TERM=xterm", "LC_ALL=C.UTF-8", "HOME=/nonexistent"};
  for (const char* name : {"PATH", "LD_LIBRARY_PATH", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  }
  std::vector<char*> argv, envp;
  for (std::string& text : texts) argv.push_back(text.data());
  for (std::string& entry : environment) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  winsize size{};
  size.ws_row = 40;
  size.ws_col = 200;
  child_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
  if (child_ < 0) throw std::runtime_error(std::string("forkpty: ") + std::strerror(errno));
  if (child_ == 0) {
    ::execve(BITNET_RUN, argv.data(), envp.data());
    ::_exit(127);
  }
}

Terminal::~Terminal() {
  if (child_ > 0) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  if (terminal_ >= 0) ::close(terminal_);
}

// False: nothing came in time, or the program closed the terminal.
bool Terminal::read_some(double seconds) {
  pollfd wait{terminal_, POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(seconds * 1000)) <= 0) return false;
  char buffer[4096];
  const ssize_t n = ::read(terminal_, buffer, sizeof buffer);
  if (n <= 0) return false;
  screen_.append(buffer, static_cast<size_t>(n));
  return true;
}

bool Terminal::wait_for(const std::string& text, double seconds) {
  const auto start = Clock::now();
  for (;;) {
    const size_t at = screen_.find(text, found_);
    if (at != std::string::npos) {
      found_ = at + text.size();
      return true;
    }
    const double left = seconds - since(start);
    if (left <= 0 || !read_some(left)) return false;
  }
}

void Terminal::type(const std::string& keys) {
  while (read_some(0.15)) {
  }
  press(keys);
}

void Terminal::press(const std::string& keys) {
  if (::write(terminal_, keys.data(), keys.size()) < 0) throw std::runtime_error("cannot type");
}

int Terminal::wait_for_end(double seconds) {
  const auto start = Clock::now();
  while (since(start) < seconds) {
    read_some(0.05);
    int status = 0;
    if (::waitpid(child_, &status, WNOHANG) != child_) continue;
    while (read_some(0)) {
    }
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  return -1;
}

}  // namespace bitnet::test
