// conformance/child.cpp - see child.h. The tool has one thread and has loaded nothing, so a plain fork is safe.
#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

#include "check.h"
#include "fp_mode.h"
#include "guarded.h"

namespace bitnet::conformance {
namespace {

constexpr size_t kShownOutput = 300;

double now() {
  timespec t = {};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Runs the test and writes to the board how it ended. Exceptions other than ours come from the plugin.
void run_test(const Test& test, const Request& request) {
  Board& b = board();
  const auto failed = [&](const std::string& broken, const std::string& text) {
    BN_NOTE(b.rule, broken);
    BN_NOTE(b.text, text);
    b.state = Board::State::kFailed;
  };
  try {
    const FpModeGuard mode;
    Subject subject(request);
    test.run(subject);
    mode.check("the test's calls");
    b.state = Board::State::kPassed;
  } catch (const Failure& f) {
    failed(f.rule.empty() ? test.rule : f.rule, f.text);
  } catch (const NotApplicable& n) {
    BN_NOTE(b.text, n.reason);
    b.state = n.no_device ? Board::State::kNoDevice : Board::State::kNotApplicable;
  } catch (const std::exception& e) {
    failed(rule::kBoundary, say("an exception crossed the boundary: %s", e.what()));
  } catch (...) {
    failed(rule::kBoundary, "an exception of unknown type crossed the boundary");
  }
}

Result result_of_board(const Test& test) {
  const Board& b = board();
  Result r;
  r.name = test.name;
  r.rule = b.rule;
  r.text = b.text;
  switch (b.state) {
    case Board::State::kPassed:
      r.outcome = Result::Outcome::kPassed;
      break;
    case Board::State::kNoDevice:
    case Board::State::kNotApplicable:
      r.outcome = Result::Outcome::kNotApplicable;
      r.no_device = b.state == Board::State::kNoDevice;
      break;
    default:
      r.where = b.where;
      break;
  }
  return r;
}

// Memory fault: names the buffer, then dies as if nobody had looked.
void on_fault(int, siginfo_t* info, void*) { describe_address(info->si_addr, board().fault, sizeof board().fault); }

void watch_faults() {
  static uint8_t stack[65536];
  const stack_t alternate = {stack, 0, sizeof stack};
  sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND);  // the instruction runs again, and ends it
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

[[noreturn]] void be_the_child(const Test& test, const Request& request, int out, int err) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  watch_faults();
  run_test(test, request);
  std::fflush(nullptr);
  if (test.ends_normally) std::exit(0);
  _exit(0);
}

// Waits until the child ended or the limit passed; true: it ended by itself.
bool wait_for(pid_t pid, double limit_seconds, int* status) {
  const double end = now() + limit_seconds;
  for (long pause = 200'000;; pause = pause < 10'000'000 ? pause * 2 : pause) {
    if (waitpid(pid, status, WNOHANG) == pid) return true;
    if (now() >= end) break;
    const timespec t = {0, pause};
    nanosleep(&t, nullptr);
  }
  kill(-pid, SIGKILL);
  kill(pid, SIGKILL);
  waitpid(pid, status, 0);
  return false;
}

// The beginning of what was written, on one line.
std::string output_in(int file) {
  std::string text(static_cast<size_t>(lseek(file, 0, SEEK_END)), '\0');
  const ssize_t n = pread(file, text.data(), text.size(), 0);
  text.resize(n < 0 ? 0 : static_cast<size_t>(n));
  if (text.size() > kShownOutput) text = text.substr(0, kShownOutput) + "...";
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

// Endings that the test itself could not report.
void judge_ending(Result& r, bool ended, int status, double limit_seconds) {
  const auto failed = [&](const std::string& broken, const std::string& text) {
    r.outcome = Result::Outcome::kFailed;
    r.where = board().where;
    r.rule = broken;
    r.text = text;
  };
  const bool reported = board().state != Board::State::kRunning;
  if (!ended) {
    failed("every test ends within its time limit (--timeout)", say("did not end within %g s, killed", limit_seconds));
  } else if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    const char* name = sigabbrev_np(number);
    std::string text = say("crashed with signal %d (SIG%s)", number, name == nullptr ? "?" : name);
    if (reported) text += " while the process ended, in destructors or exit handlers";
    if (board().fault[0] != '\0') text += std::string(": touched ") + board().fault;
    failed(board().fault[0] != '\0' ? rule::kReadable : rule::kBoundary, text);
  } else if (!reported || WEXITSTATUS(status) != 0) {
    failed(rule::kBoundary, say("ended the process with exit code %d", WEXITSTATUS(status)));
  }
}

void judge_output(Result& r, int file, const char* stream) {
  const std::string text = output_in(file);
  if (text.empty()) return;
  const std::string wrote = std::string("wrote to ") + stream + ": '" + text + "'";
  if (r.outcome == Result::Outcome::kFailed) {
    r.text += "; it " + wrote;
    return;
  }
  r.outcome = Result::Outcome::kFailed;
  r.rule = rule::kBoundary;
  r.text = wrote;
}

}  // namespace

Result run_here(const Test& test, const Request& request) {
  const double start = now();
  run_test(test, request);
  Result r = result_of_board(test);
  r.seconds = now() - start;
  return r;
}

Result run_in_child(const Test& test, const Request& request, double limit_seconds) {
  static void* shared = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  set_board(new (shared) Board());
  const int out = memfd_create("stdout", MFD_CLOEXEC), err = memfd_create("stderr", MFD_CLOEXEC);
  std::fflush(nullptr);
  const double start = now();
  const pid_t pid = fork();
  if (pid == 0) be_the_child(test, request, out, err);
  int status = 0;
  const bool ended = wait_for(pid, limit_seconds, &status);
  Result r = result_of_board(test);
  r.seconds = now() - start;
  judge_ending(r, ended, status, limit_seconds);
  judge_output(r, out, "stdout");
  judge_output(r, err, "stderr");
  close(out);
  close(err);
  return r;
}

}  // namespace bitnet::conformance
