// backend/process_state.cpp - floating-point control word, threads, children, signal handlers, locale, working directory.
#include "backend/process_state.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cfenv>
#include <clocale>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace bitnet::backend {
namespace {

namespace fs = std::filesystem;

#if defined(__x86_64__)
// Rounding, masks, flush to zero, denormals are zero; not the flags of past exceptions.
uint64_t float_control() { return __builtin_ia32_stmxcsr() & 0xFFC0u; }
#elif defined(__aarch64__)
uint64_t float_control() {
  uint64_t fpcr = 0;
  asm volatile("mrs %0, fpcr" : "=r"(fpcr));
  return fpcr;
}
#else
#  error "plugins are defined for x86-64 and 64-bit Arm"
#endif

uint64_t float_modes() { return float_control() << 16 | static_cast<uint64_t>(std::fegetround()); }

size_t count_threads() {
  std::error_code error;
  const fs::directory_iterator tasks("/proc/self/task", error);
  return error ? 1 : static_cast<size_t>(std::distance(fs::begin(tasks), fs::end(tasks)));
}

std::string current_locale() {
  const char* name = std::setlocale(LC_ALL, nullptr);
  return name == nullptr ? "" : name;
}

std::string current_folder() {
  std::error_code ignored;
  return fs::current_path(ignored).string();
}

std::array<const void*, 65> signal_handlers() {
  std::array<const void*, 65> handlers{};
  for (size_t number = 1; number < handlers.size(); ++number) {
    struct sigaction action {};
    if (::sigaction(static_cast<int>(number), nullptr, &action) == 0) {
      handlers[number] = reinterpret_cast<const void*>(action.sa_handler);
    }
  }
  return handlers;
}

// One that runs, or one that ended and was not waited for.
bool has_child() { return ::waitpid(-1, nullptr, WNOHANG) >= 0; }

}  // namespace

ProcessState::ProcessState()
    : float_modes_(float_modes()),
      threads_(count_threads()),
      locale_(current_locale()),
      folder_(current_folder()),
      handlers_(signal_handlers()) {}

std::string ProcessState::change_since() const {
  if (float_modes() != float_modes_) return "changed the floating-point modes (linked with -ffast-math?)";
  if (!any_threads_ && count_threads() != threads_) return "started a thread";
  if (has_child()) return "started a process";
  if (signal_handlers() != handlers_) return "changed a signal handler";
  if (current_locale() != locale_) return "changed the locale";
  if (current_folder() != folder_) return "changed the working directory";
  return {};
}

void become_reaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

void end_children() {
  for (int round = 0; round < 100; ++round) {
    std::error_code error;
    for (const fs::directory_entry& task : fs::directory_iterator("/proc/self/task", error)) {
      std::ifstream children(task.path() / "children");
      for (pid_t child = 0; children >> child;) ::kill(child, SIGKILL);
    }
    pid_t ended = 0;
    while ((ended = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (ended < 0) return;
    ::usleep(1000);
  }
}

}  // namespace bitnet::backend
