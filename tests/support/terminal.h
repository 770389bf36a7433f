// support/terminal.h - bitnet-run on a pseudo-terminal: a test types keys and reads the screen.
//
// The child sees the same small environment as run_program() gives, and TERM=xterm.
// Errors  std::runtime_error when it cannot be started.
// Threads one at a time.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace bitnet::test {

class Terminal {
 public:
  // args: without the program's name.
  explicit Terminal(const std::vector<std::string>& args);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Reads until `text` appears behind what was found before. False after `seconds` without it, or when the program ended.
  bool wait_for(const std::string& text, double seconds = 60);
  // Types once the screen has been still for a moment, so that the program is waiting for keys.
  void type(const std::string& keys);
  // Types at once, while the program writes.
  void press(const std::string& keys);
  // The exit code, once it ends; -1: by a signal, or not within the time.
  int wait_for_end(double seconds = 60);

  const std::string& screen() const { return screen_; }  // everything so far, control sequences included

 private:
  bool read_some(double seconds);

  int terminal_ = -1;
  pid_t child_ = -1;
  std::string screen_;
  size_t found_ = 0;
};

}  // namespace bitnet::test
