// support/program.h - bitnet-run (or another program) as a child process: arguments, environment and standard input in; exit
// code, signal and all output back.
//
// The child sees a small environment: PATH, LD_LIBRARY_PATH and sanitizer options of the test, LC_ALL=C.UTF-8, a HOME that does
// not exist, and Options::env. So no configuration file and no BITNET_ variable of the user reaches a test.
// The child leads a process group of its own; at the time limit the whole group is killed.
// Errors  std::runtime_error when the program cannot be started. Everything the program does is in the result.
// Threads any, at the same time too.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace bitnet::test {

struct ProgramResult {
  int exit_code = -1;      // -1: ended by a signal
  bool timed_out = false;  // killed at the time limit; signal is then SIGKILL
  int signal = 0;          // that ended it; 0: it exited
  std::string out, err;
  double seconds = 0;  // from start to end
};

struct ProgramOptions {
  std::string program = BITNET_RUN;                           // a path, or a name to look for in PATH
  std::vector<std::pair<std::string, std::string>> env = {};  // added to the small environment, replacing what has the name
  std::string stdin_text = {};                                // written to a pipe that is then closed
  std::string directory = {};                                 // to start in; empty: the test's own
  double timeout = 60;                                        // seconds
  int send_signal = 0;          // sent once, when standard output has send_after_bytes bytes; 0: none
  size_t send_after_bytes = 0;  // 0: right after the start
};

// args: without the program's name.
ProgramResult run_program(const std::vector<std::string>& args, const ProgramOptions& options = {});

// From now on the programs started share a cache folder that disappears with this process: plugins are probed by the first one
// only, a half of a start. Weights are packed by each. For tests of what comes behind a start; otherwise no program knows of
// another. A value, so that a file can say it once: const bool kShared = share_cache();
bool share_cache();

// For messages of failed assertions: how it ended, and its output cut to some thousand bytes.
std::ostream& operator<<(std::ostream& out, const ProgramResult& result);

}  // namespace bitnet::test
