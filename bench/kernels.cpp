// bench/kernels.cpp - "bitnet-bench-kernels": speed of every op of every CPU kernels plugin, one thread, beside the ceilings.
//
// Counters  GB/s    bytes of weights (or KV) per second    of_read           share of the read bandwidth of one thread
//           GMAC/s  multiply-accumulates per second        of_<instruction>  share of that instruction's rate from registers
// `dispatch` is a call of matmul through the table with no row to do; of_matmul_o its share of that op, measured beside it.
// Times are CPU times of the thread. `--benchmark_filter=cpu_avx2/matmul` and the other flags of Google Benchmark apply.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "backend/device.h"
#include "backend/registry.h"
#include "base/error.h"
#include "kernel_bench.h"
#include "program.h"

namespace kernel_bench {
namespace {

namespace backend = bitnet::backend;

constexpr int kCeilingTries = 3;

// Arguments: folders or files of plugins; without any, those of the build tree.
backend::Registry find_plugins(int argc, char** argv) {
  backend::DiscoveryOptions options;
  std::error_code ignored;
  options.program_path = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  for (int i = 1; i < argc; ++i) (std::filesystem::is_directory(argv[i]) ? options.dirs : options.files).emplace_back(argv[i]);
  return backend::Registry::discover(options);
}

// The first device with kernels; false with a line that says why not.
bool open_plugin(const backend::Plugin& found, std::vector<backend::OpenDevice>& devices, Plugin& plugin) try {
  if (!found.usable) bitnet::fail(bitnet::ErrorKind::kNoBackend, "{}", found.reason);
  if (found.kind != "cpu") bitnet::fail(bitnet::ErrorKind::kNoBackend, "its kind is {}, not cpu", found.kind);
  backend::OpenDevice device(found, found.devices.front().id);
  plugin.table = device.kernels();
  if (plugin.table == nullptr) bitnet::fail(bitnet::ErrorKind::kNoBackend, "it offers no kernels");
  plugin.name = found.name;
  plugin.device = device.handle();
  plugin.instruction = bitnet::benchmark::instruction_of(found.cpu, found.devices.front().name);
  devices.push_back(std::move(device));
  return true;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bitnet-bench-kernels: skipped %s: %s\n", bitnet::printable(found.path).c_str(), e.what());
  return false;
}

Ceilings measure_ceilings() {
  bitnet::benchmark::CeilingProbe probe(1);
  Ceilings ceilings;
  for (int i = 0; i < kCeilingTries; ++i) ceilings.raise(probe.try_once());
  std::printf("ceilings, one thread: read %.1f GB/s", ceilings.read_gbps);
  for (const auto& dot : ceilings.dots) std::printf(", %s %.1f GMAC/s", dot.name.c_str(), dot.gmacs);
  std::printf("\n");
  return ceilings;
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const backend::Registry registry = find_plugins(argc, argv);
  const Ceilings ceilings = measure_ceilings();
  std::vector<backend::OpenDevice> devices;
  for (const backend::Plugin& found : registry.plugins()) {
    Plugin plugin;
    if (!open_plugin(found, devices, plugin)) continue;
    register_ops(plugin, ceilings);
    register_pack(plugin);
  }
  register_formats();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace kernel_bench

int main(int argc, char** argv) {
  return bitnet::bench::run_program("bitnet-bench-kernels", [&] { return kernel_bench::run(argc, argv); });
}
