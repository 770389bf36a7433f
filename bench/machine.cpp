// bench/machine.cpp - /proc/cpuinfo, the affinity of the process, the compiler's macros.
#include "machine.h"

#include <fstream>

#include "base/error.h"
#include "base/thread_team.h"

namespace bitnet::bench {

Machine this_machine() {
  Machine machine{"unknown CPU", usable_cores(), {}, BITNET_COMMIT};
#if defined(__clang__)
  machine.compiler = "clang " __clang_version__;
#else
  machine.compiler = "gcc " __VERSION__;
#endif
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("model name")) continue;
    machine.cpu = printable(line.substr(std::min(line.size(), line.find(':') + 2)));
    break;
  }
  return machine;
}

std::string machine_line(const Machine& m) {
  return fmt::format("{}, {} core{}; {}; commit {}", m.cpu, m.cores, m.cores == 1 ? "" : "s", m.compiler, m.commit);
}

}  // namespace bitnet::bench
