// benchmark/machine.cpp - /proc, /sys and the affinity of the process.
#include "benchmark/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/thread_team.h"

namespace bitnet::benchmark {
namespace {

constexpr double kBusy = 0.5;  // runnable processes per core from which on others are in the way

// The first line of a file; empty when it cannot be read.
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("model name")) continue;
    return printable(line.substr(std::min(line.size(), line.find(':') + 2)));
  }
  return "unknown CPU";
}

unsigned count_numa_nodes() {
  unsigned n = 0;
  std::error_code ignored;
  while (std::filesystem::exists(fmt::format("/sys/devices/system/node/node{}", n), ignored)) ++n;
  return n;
}

}  // namespace

Machine this_machine() {
  Machine machine;
  machine.cpu = cpu_name();
  machine.cores = usable_cores();
  machine.governor = printable(first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
  if (const std::string smt = first_line("/sys/devices/system/cpu/smt/active"); !smt.empty()) machine.smt = smt == "1";
  machine.numa_nodes = count_numa_nodes();
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE), cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (pages > 0 && page > 0) machine.memory_bytes = static_cast<uint64_t>(pages) * static_cast<uint64_t>(page);
  if (cache > 0) machine.cache_bytes = static_cast<uint64_t>(cache);
  utsname names{};
  if (::uname(&names) == 0) machine.kernel = fmt::format("{} {}", names.sysname, names.release);
  double load = 0;
  if (std::istringstream(first_line("/proc/loadavg")) >> load) machine.load = load;
  return machine;
}

std::string machine_line(const Machine& m) {
  std::string text = fmt::format("{}, {} core{}", m.cpu, m.cores, m.cores == 1 ? "" : "s");
  text += fmt::format(", governor {}", m.governor.empty() ? "unknown" : m.governor);
  text += fmt::format(", SMT {}", !m.smt ? "unknown" : *m.smt ? "on" : "off");
  if (m.numa_nodes > 1) text += fmt::format(", {} NUMA nodes", m.numa_nodes);
  if (m.memory_bytes > 0) text += fmt::format(", {:.0f} GiB", static_cast<double>(m.memory_bytes) / (1u << 30));
  return text + ", " + m.kernel;
}

std::vector<std::string> machine_warnings(const Machine& m) {
  std::vector<std::string> warnings;
  if (m.load && *m.load > kBusy * m.cores) {
    warnings.push_back(
        fmt::format("the load was {:.2f} for {} cores before the start: other programs were running", *m.load, m.cores));
  }
  if (!m.governor.empty() && m.governor != "performance") {
    warnings.push_back(fmt::format("the frequency governor is {}: clock rates vary; performance holds them", m.governor));
  }
  return warnings;
}

std::optional<double> steal_seconds() {
  std::istringstream line(first_line("/proc/stat"));  // cpu user nice system idle iowait irq softirq steal
  std::string word;
  double ticks[8] = {};
  line >> word;
  for (double& tick : ticks) {
    if (!(line >> tick)) return std::nullopt;
  }
  return ticks[7] / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

bool reset_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");  // "5": proc(5)
  file << "5" << std::flush;
  return static_cast<bool>(file);
}

}  // namespace bitnet::benchmark
