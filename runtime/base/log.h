// base/log.h - lines for the user on stderr. The answer goes to stdout, everything else through here.
//
// Threads: any. A line is written whole. Messages carry no trailing newline.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace bitnet {

enum class LogLevel : int { kError = 0, kWarning = 1, kNotice = 2, kInfo = 3, kDebug = 4 };

// Lines above this level are dropped. The default shows errors, warnings and notices; --verbose sets kInfo.
void set_log_level(LogLevel level);
LogLevel log_level();

// Called before every line is written, to erase a progress bar. May be null.
void set_log_prelude(void (*prelude)());

void log_line(LogLevel level, std::string_view line);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (static_cast<int>(level) <= static_cast<int>(log_level())) {
    log_line(level, fmt::format(format, std::forward<Args>(args)...));
  }
}

}  // namespace bitnet
