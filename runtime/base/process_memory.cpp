// base/process_memory.cpp - VmRSS and VmHWM of /proc/self/status.
#include "base/process_memory.h"

#include <fstream>
#include <string>

namespace bitnet {

ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    uint64_t kilobytes = 0;
    if (word == "VmRSS:" && status >> kilobytes) memory.rss = kilobytes * 1024;
    if (word == "VmHWM:" && status >> kilobytes) memory.peak_rss = kilobytes * 1024;
  }
  return memory;
}

}  // namespace bitnet
