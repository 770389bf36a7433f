// base/log.cpp - writes whole lines to stderr.
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <string>

namespace bitnet {
namespace {
std::atomic<int> current_level{static_cast<int>(LogLevel::kNotice)};
std::atomic<void (*)()> current_prelude{nullptr};
}  // namespace

void set_log_level(LogLevel level) { current_level = static_cast<int>(level); }
LogLevel log_level() { return static_cast<LogLevel>(current_level.load()); }
void set_log_prelude(void (*prelude)()) { current_prelude = prelude; }

void log_line(LogLevel level, std::string_view line) {
  if (static_cast<int>(level) > current_level) return;
  if (void (*prelude)() = current_prelude) prelude();
  std::string out;
  if (level == LogLevel::kError) out = "error: ";
  if (level == LogLevel::kWarning) out = "warning: ";
  out.append(line).push_back('\n');
  for (size_t done = 0; done < out.size();) {
    const ssize_t n = ::write(STDERR_FILENO, out.data() + done, out.size() - done);
    if (n <= 0) return;  // nowhere left to complain to
    done += static_cast<size_t>(n);
  }
}

}  // namespace bitnet
