// bench/machine.h - where and from what a result comes: one line that belongs to every table.
//
// Threads any.
#pragma once

#include <string>

namespace bitnet::bench {

struct Machine {
  std::string cpu;       // model name as the kernel gives it, else "unknown CPU"
  unsigned cores = 0;    // that this process may use
  std::string compiler;  // "gcc 12.2.0"
  std::string commit;    // at configure time
};

Machine this_machine();
std::string machine_line(const Machine& machine);

}  // namespace bitnet::bench
