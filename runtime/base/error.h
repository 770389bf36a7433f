// base/error.h - the one exception type of the runtime, and the exit code each kind of failure ends with.
//
// Exceptions live inside this binary only. Three doors catch them: main(), a server's request handler, and the plugin
// boundary. A message is one line: what, where, expected, found, what to do.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace bitnet {

// The values are the exit codes of bitnet-run; a number has one meaning in all commands.
enum class ErrorKind : int {
  kFailure = 1,        // I/O error and everything without a code of its own
  kUsage = 2,          // wrong option, configuration or prompt
  kInvalidModel = 3,   // model file invalid or unsupported, or the model produced unusable numbers
  kNoBackend = 4,      // no usable backend left, or backend forbidden by --no-fallback
  kQuality = 5,        // quality gate failed, or not measured
  kPerformance = 6,    // performance gate failed, or had nothing to compare
  kNoMemory = 15,      // refused before load, or an allocation failed
  kTimeLimit = 124,    // --time-limit reached
  kInterrupted = 130,  // SIGINT
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }
  int exit_code() const noexcept { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

// Throws Error{kind} with a formatted message. Text from outside goes through printable() first.
template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// Text from a file or a user made safe for one line on a terminal: control bytes, invalid UTF-8 and backslashes become
// \n, \t, \\ or \xNN, and what is longer than max_bytes ends in "...".
std::string printable(std::string_view text, size_t max_bytes = 120);

}  // namespace bitnet
