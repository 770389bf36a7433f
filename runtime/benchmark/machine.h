// benchmark/machine.h - where a result comes from: the block that belongs to every table, and what makes it doubtful.
//
// Errors  none: what the system does not tell is empty.
// Threads any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitnet::benchmark {

struct Machine {
  std::string cpu;             // model name as the kernel gives it, else "unknown CPU"
  unsigned cores = 0;          // that this process may use
  std::string governor;        // of core 0; empty: unknown
  std::optional<bool> smt;     // two threads of a core are in use; nothing: unknown
  unsigned numa_nodes = 0;     // 0: unknown
  uint64_t memory_bytes = 0;   // 0: unknown
  uint64_t cache_bytes = 0;    // last level; 0: unknown
  std::string kernel;          // "Linux 6.1.0"
  std::optional<double> load;  // runnable processes of the last minute, before anything was measured
};

Machine this_machine();
// "AMD EPYC, 2 cores, governor unknown, SMT off, ..."
std::string machine_line(const Machine& machine);
// One line for everything that makes numbers from here doubtful.
std::vector<std::string> machine_warnings(const Machine& machine);

// Seconds, summed over cores since the system started, that other guests of the hypervisor took; nothing: unknown.
std::optional<double> steal_seconds();

// Makes the kernel count this process's peak memory anew. False: it does not, and peaks include everything since the start.
bool reset_peak_memory();

}  // namespace bitnet::benchmark
