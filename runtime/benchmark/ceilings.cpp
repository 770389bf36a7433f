// benchmark/ceilings.cpp - short passes over fresh memory and over registers, best of each.
#include "benchmark/ceilings.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "backend/cpu_features.h"
#include "benchmark/probes.h"
#include "benchmark/statistics.h"

namespace bitnet::benchmark {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBufferBytes = size_t{256} << 20;
constexpr size_t kPassBytes = size_t{64} << 20;    // each pass reads other memory than the three before it, and no cache has it
constexpr size_t kThreadBytes = size_t{32} << 20;  // at most, of a pass
constexpr size_t kSlack = size_t{1} << 20;         // behind the buffer: software prefetches run ahead
constexpr int kReadPasses = 8;                     // of each probe
constexpr int kDotPasses = 6;
constexpr size_t kDotSteps = 200'000;

// Where results go, so that they count as used.
std::atomic<uint64_t> sink{0};

bool runs_here(std::string_view feature) { return feature.empty() || backend::cpu_has(feature).value_or(false); }

// Memory that no cache holds, in huge pages if the kernel agrees: otherwise the TLB is measured too.
class Buffer {
 public:
  Buffer() {
    void* p = ::mmap(nullptr, kBufferBytes + kSlack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return;
    data_ = static_cast<char*>(p);
    ::madvise(data_, kBufferBytes + kSlack, MADV_HUGEPAGE);
    std::memset(data_, 1, kBufferBytes + kSlack);
  }
  ~Buffer() {
    if (data_ != nullptr) ::munmap(data_, kBufferBytes + kSlack);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  const char* data() const { return data_; }  // null: there is none

 private:
  char* data_ = nullptr;
};

}  // namespace

double Ceilings::gmacs_of(std::string_view name) const {
  for (const DotRate& dot : dots) {
    if (dot.name == name) return dot.gmacs;
  }
  return 0;
}

void Ceilings::raise(const Ceilings& other) {
  threads = other.threads;
  if (other.read_gbps > read_gbps) {
    read_gbps = other.read_gbps;
    read_probe = other.read_probe;
  }
  read_passes.insert(read_passes.end(), other.read_passes.begin(), other.read_passes.end());
  for (const DotRate& dot : other.dots) {
    const auto same = [&](const DotRate& mine) { return mine.name == dot.name; };
    const auto mine = std::find_if(dots.begin(), dots.end(), same);
    if (mine == dots.end()) {
      dots.push_back(dot);
    } else {
      mine->gmacs = std::max(mine->gmacs, dot.gmacs);
    }
  }
}

CeilingProbe::CeilingProbe(uint32_t threads) : team_(std::max(threads, 1u)) {}

Ceilings CeilingProbe::try_once() {
  Ceilings found;
  found.threads = team_.size();
  read(found);
  multiply(found);
  return found;
}

template <class Prepare, class F>
double CeilingProbe::seconds_of(Prepare&& prepare, F&& f) {
  Clock::time_point start, end;
  team_.run([&](uint32_t member) {
    prepare(member);
    team_.barrier();  // all are awake
    if (member == 0) start = Clock::now();
    f(member);
    team_.barrier();
    if (member == 0) end = Clock::now();
  });
  return std::chrono::duration<double>(end - start).count();
}

void CeilingProbe::read(Ceilings& found) {
  const Buffer buffer;
  if (buffer.data() == nullptr) return;
  const size_t n = team_.size();
  const size_t share = std::min(kThreadBytes, kPassBytes / n) / kReadGranule * kReadGranule;
  size_t pass = 0;
  for (const ReadProbe& probe : read_probes()) {
    if (!runs_here(probe.feature) || share == 0) continue;
    std::vector<double> passes;
    for (int i = 0; i < kReadPasses; ++i) {
      const char* start = buffer.data() + pass++ * kPassBytes % kBufferBytes;
      const double seconds = seconds_of(
          [&](uint32_t member) { forget(start + share * member, share); },
          [&](uint32_t member) { sink.fetch_add(probe.read(start + share * member, share), std::memory_order_relaxed); });
      passes.push_back(1e-9 * static_cast<double>(share * n) / seconds);
      if (passes.back() <= found.read_gbps) continue;
      found.read_gbps = passes.back();
      found.read_probe = probe.name;
    }
    if (median(passes) > median(found.read_passes)) found.read_passes = std::move(passes);
  }
}

void CeilingProbe::multiply(Ceilings& found) {
  for (const DotProbe& probe : dot_probes()) {
    if (!runs_here(probe.feature)) continue;
    double best = 0;
    for (int i = 0; i < kDotPasses; ++i) {
      const double seconds =
          seconds_of([](uint32_t) {}, [&](uint32_t) { sink.fetch_add(probe.multiply(kDotSteps), std::memory_order_relaxed); });
      best = std::max(best, 1e-9 * static_cast<double>(kDotSteps * probe.macs_per_step * team_.size()) / seconds);
    }
    found.dots.push_back({std::string(probe.name), best});
  }
}

std::string_view instruction_of(const std::vector<std::string>& required_features, std::string_view device_name) {
  std::string_view strongest;
  for (const DotProbe& probe : dot_probes()) {
    const bool required =
        std::find(required_features.begin(), required_features.end(), probe.feature) != required_features.end();
    const bool named = !probe.marker.empty() && device_name.find(probe.marker) != std::string_view::npos;
    if ((required || named) && runs_here(probe.feature)) strongest = probe.name;
  }
  return strongest;
}

}  // namespace bitnet::benchmark
