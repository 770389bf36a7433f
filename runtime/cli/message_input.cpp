// cli/message_input.cpp - lines to messages, and lines from a pipe.
#include "cli/message_input.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "cli/signals.h"

namespace bitnet::cli {
namespace {

constexpr const char* kPrompt = "> ";
constexpr const char* kMore = "... ";
constexpr std::string_view kQuotes = "\"\"\"";

class PipedLines final : public LineInput {
 public:
  std::optional<std::string> line(const char*) override {
    std::string out;
    bool too_long = false;
    for (;;) {
      if (at_ == buffered_ && !fill()) {
        if (out.empty() && !too_long) return std::nullopt;
        break;
      }
      const char* begin = buffer_ + at_;
      const void* end = std::memchr(begin, '\n', buffered_ - at_);
      const size_t n = end != nullptr ? static_cast<size_t>(static_cast<const char*>(end) - begin) : buffered_ - at_;
      too_long = too_long || out.size() + n > kMaxMessageBytes;
      if (!too_long) out.append(begin, n);
      at_ += n + (end != nullptr ? 1 : 0);
      if (end != nullptr) break;
    }
    if (too_long) {
      log(LogLevel::kWarning, "a line of more than {} bytes is left out", kMaxMessageBytes);
      return line(nullptr);
    }
    if (out.ends_with('\r')) out.pop_back();
    return out;
  }

 private:
  bool fill() {
    for (;;) {
      if (stop_requested()) fail(ErrorKind::kInterrupted, "stopped");
      const ssize_t n = ::read(STDIN_FILENO, buffer_, sizeof buffer_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail(ErrorKind::kFailure, "standard input: {}", std::strerror(errno));
      at_ = 0;
      buffered_ = static_cast<size_t>(n);
      return n > 0;
    }
  }

  char buffer_[65536];
  size_t at_ = 0, buffered_ = 0;
};

// Takes a line into a message, unless it grows too large; then all of it is left out.
bool add_line(std::string& message, const std::string& line) {
  if (message.size() + line.size() + 1 > kMaxMessageBytes) return false;
  message += '\n';
  message += line;
  return true;
}

void warn_too_long() { log(LogLevel::kWarning, "a message of more than {} bytes is left out", kMaxMessageBytes); }

}  // namespace

std::unique_ptr<LineInput> piped_lines() { return std::make_unique<PipedLines>(); }

Input MessageInput::next() {
  for (;;) {
    std::optional<std::string> line = lines_->line(kPrompt);
    if (!line) return {};
    if (line->starts_with(kQuotes)) {
      line = quoted(std::move(*line));
      if (line && !line->empty()) return {Input::Kind::kMessage, std::move(*line)};
      continue;
    }
    if (line->starts_with('/') && !line->starts_with("//")) return {Input::Kind::kCommand, line->substr(1)};
    if (line->starts_with("//")) line->erase(0, 1);
    if (line->empty()) continue;
    std::string message = multiline_ ? up_to_empty_line(std::move(*line)) : std::move(*line);
    if (!message.empty()) return {Input::Kind::kMessage, std::move(message)};
  }
}

// Nothing: left out.
std::optional<std::string> MessageInput::quoted(std::string line) {
  line.erase(0, kQuotes.size());
  bool fits = true;
  std::string message;
  for (bool first = true;; first = false) {
    const std::string_view shown = std::string_view(line).substr(0, line.find_last_not_of(" \t") + 1);
    const bool closes = shown.ends_with(kQuotes);
    if (closes) line.resize(shown.size() - kQuotes.size());
    if (first) {
      message = line;
    } else if (!(closes && line.empty())) {
      fits = fits && (message.empty() ? (message = line, true) : add_line(message, line));
    }
    if (closes) break;
    std::optional<std::string> more = lines_->line(kMore);
    if (!more) {
      log(LogLevel::kWarning, "the input ends inside a message that begins with \"\"\"; it is left out");
      return std::nullopt;
    }
    line = std::move(*more);
  }
  if (fits) return message;
  warn_too_long();
  return std::nullopt;
}

std::string MessageInput::up_to_empty_line(std::string message) {
  bool fits = true;
  for (std::optional<std::string> more; (more = lines_->line(kMore)) && !more->empty();)
    fits = fits && add_line(message, *more);
  if (fits) return message;
  warn_too_long();
  return {};
}

}  // namespace bitnet::cli
