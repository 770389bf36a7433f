// bench/startup.cpp - "bitnet-bench-startup": what finding and judging plugins adds to a start, with and without kept verdicts.
//
// Copies of this build's plugins lie in a folder of their own. Measured is Registry::discover() plus loading the first choice,
// as a start of bitnet-run does it, in a new process each time; beside it the same without any plugin file.
#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <vector>

#include "backend/discovery.h"
#include "backend/registry.h"
#include "program.h"

namespace bitnet::bench {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

constexpr double kAim = 50;  // ms that six plugins with kept verdicts may add

struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "bitnet_startup_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) fail(ErrorKind::kFailure, "cannot create {}", name);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

std::string program_path() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).string();
}

void copy_plugins(const fs::path& to, size_t n) {
  std::vector<fs::path> built;
  for (const auto& entry : fs::directory_iterator(fs::path(backend::prefix_of(program_path())) / "lib/bitnet/plugins")) {
    if (entry.path().extension() == ".so") built.push_back(entry.path());
  }
  if (built.empty()) fail(ErrorKind::kFailure, "there are no plugins beside this program");
  std::sort(built.begin(), built.end());
  for (size_t i = 0; i < n; ++i) {
    const fs::path& from = built[i % built.size()];
    fs::copy_file(from, to / fmt::format("{}_{}.so", from.stem().string(), i));
  }
}

// Milliseconds of one start, in this process.
double start_once(const std::string& plugins, bool rescan) {
  backend::DiscoveryOptions options;
  options.dirs = {plugins};
  options.probe_program = backend::prefix_of(program_path()) + "/libexec/bitnet/bn_probe";
  options.rescan = rescan;
  const auto start = std::chrono::steady_clock::now();
  const backend::Registry registry = backend::Registry::discover(options);
  const backend::Order order = backend::order_candidates(registry.facts(), {});
  if (!order.candidates.empty()) registry.plugins()[order.candidates.front().plugin].load();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// The same in a process of its own, where nothing is loaded yet.
double start_anew(const fs::path& plugins, bool rescan) {
  const std::string command = fmt::format("'{}' --once '{}'{}", program_path(), plugins.string(), rescan ? " --rescan" : "");
  FILE* output = ::popen(command.c_str(), "r");
  double milliseconds = 0;
  const bool read = output != nullptr && std::fscanf(output, "%lf", &milliseconds) == 1;
  if (output == nullptr || ::pclose(output) != 0 || !read) fail(ErrorKind::kFailure, "{} failed", command);
  return milliseconds;
}

struct Times {
  double least, median, most;
};

Times measure(const fs::path& plugins, bool rescan, int repetitions) {
  std::vector<double> times;
  for (int i = 0; i < repetitions; ++i) times.push_back(start_anew(plugins, rescan));
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2], times.back()};
}

int startup(int argc, char** argv) {
  size_t n = 6;
  int repetitions = 20;
  po::options_description described("bitnet-bench-startup: what finding plugins adds to a start");
  auto add = described.add_options();
  add("help,h", "this text");
  add("plugins,n", po::value(&n)->default_value(n), "plugin files");
  add("repetitions,r", po::value(&repetitions)->default_value(repetitions), "of each measurement");
  std::string once;
  bool rescan = false;
  po::options_description inner("inner");
  inner.add_options()("once", po::value(&once))("rescan", po::bool_switch(&rescan));  // one measurement, for start_anew()
  po::options_description all;
  all.add(described).add(inner);
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, all), values);
  po::notify(values);
  if (values.count("help") != 0) {
    std::cout << described;
    return 0;
  }
  if (!once.empty()) {
    std::cout << start_once(once, rescan) << '\n';
    return 0;
  }
  if (n < 1 || n > 200) fail(ErrorKind::kUsage, "-n {}: expected 1 to 200", n);
  if (repetitions < 1 || repetitions > 1000) fail(ErrorKind::kUsage, "-r {}: expected 1 to 1000", repetitions);

  const Folder folder;
  const fs::path empty = folder.path / "empty", plugins = folder.path / "plugins", cache = folder.path / "cache";
  for (const fs::path& path : {empty, plugins, cache}) fs::create_directory(path);
  ::setenv("XDG_CACHE_HOME", cache.c_str(), 1);
  ::setenv("XDG_DATA_HOME", empty.c_str(), 1);
  copy_plugins(plugins, n);

  const Times without = measure(empty, false, repetitions);
  const Times cold = measure(plugins, true, repetitions);  // every file probed
  const Times kept = measure(plugins, false, repetitions);
  const auto line = [&](const std::string& what, const Times& t) {
    std::cout << fmt::format("{:<34} {:>8.2f} [{:.2f} .. {:.2f}] ms, adds {:.2f} ms\n", what, t.median, t.least, t.most,
                             t.median - without.median);
  };
  line("no plugin file", without);
  line(fmt::format("{} files, all probed", n), cold);
  line(fmt::format("{} files, verdicts kept", n), kept);
  const double added = kept.median - without.median;
  std::cout << fmt::format("aim: {} plugins with kept verdicts add less than {} ms: {}\n", n, kAim,
                           added < kAim ? "reached" : "MISSED");
  return 0;
}

}  // namespace
}  // namespace bitnet::bench

int main(int argc, char** argv) {
  return bitnet::bench::run_program("bitnet-bench-startup", [&] { return bitnet::bench::startup(argc, argv); });
}
