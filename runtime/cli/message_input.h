// cli/message_input.h - the messages of a conversation as a user types or pipes them.
//
// A line is a message. """ opens one of several lines and closes it; with --multiline-input every message ends with an empty
// line. A line that begins with '/' is a command, "//" begins a message with one slash. On a terminal lines are edited, with
// history, by libedit, and the prompt goes to standard error: standard output holds answers only. Errors  Error{kInterrupted}
// for Ctrl-C at the prompt. Lines beyond kMaxMessageBytes, and """ without end, are left out with a warning. Threads one at a
// time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace bitnet::cli {

inline constexpr size_t kMaxMessageBytes = size_t{1} << 20;  // as much as a chat template may write

// Where lines come from.
class LineInput {
 public:
  virtual ~LineInput() = default;
  // The next line without its end; nothing: there is no more. prompt: shown on a terminal.
  virtual std::optional<std::string> line(const char* prompt) = 0;
};

// libedit on the terminal of standard input. Error{kFailure} when the terminal cannot be used.
std::unique_ptr<LineInput> terminal_lines();
// Standard input as it comes.
std::unique_ptr<LineInput> piped_lines();

struct Input {
  enum class Kind { kMessage, kCommand, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  // of a command without its slash
};

class MessageInput {
 public:
  MessageInput(std::unique_ptr<LineInput> lines, bool multiline) : lines_(std::move(lines)), multiline_(multiline) {}
  // Empty messages are passed over.
  Input next();

 private:
  std::optional<std::string> quoted(std::string line);
  std::string up_to_empty_line(std::string line);

  std::unique_ptr<LineInput> lines_;
  bool multiline_;
};

}  // namespace bitnet::cli
