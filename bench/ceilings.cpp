// bench/ceilings.cpp - read bandwidth and the rate of vpmaddubsw + vpaddw.
#include "ceilings.h"

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#  include <immintrin.h>
#endif

namespace bitnet::bench {
namespace {

#if defined(__x86_64__)

// Compiled for AVX2 by attribute: only these two functions may run after the check in measure_ceilings().
__attribute__((target("avx2"))) uint64_t read_all(const char* data, size_t bytes) {
  __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
  for (size_t i = 0; i < bytes; i += 128) {
    _mm_prefetch(data + i + 4096, _MM_HINT_T0);
    _mm_prefetch(data + i + 4096 + 64, _MM_HINT_T0);
    for (size_t j = 0; j < 4; ++j) {
      sum[j] = _mm256_add_epi64(sum[j], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + i + 32 * j)));
    }
  }
  alignas(32) uint64_t lanes[4];
  const __m256i all = _mm256_add_epi64(_mm256_add_epi64(sum[0], sum[1]), _mm256_add_epi64(sum[2], sum[3]));
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), all);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

// `steps` times 12 pairs, in assembler, as compilers spill and move registers in such a loop.
__attribute__((target("avx2"))) uint64_t multiply_registers(size_t steps) {
  const __m256i codes = _mm256_set1_epi8(1), x = _mm256_set1_epi8(3);
  __m256i s0 = codes, s1 = codes, s2 = codes, s3 = codes, s4 = codes, s5 = codes;
  __m256i s6 = codes, s7 = codes, s8 = codes, s9 = codes, s10 = codes, s11 = codes, t, u;
#  define PAIRS(a, b)                                             \
    "vpmaddubsw %[x], %[c], %[t]\n vpmaddubsw %[x], %[c], %[u]\n" \
    "vpaddw %[t], %[" a "], %[" a "]\n vpaddw %[u], %[" b "], %[" b "]\n"
  for (size_t i = 0; i < steps; ++i) {
    __asm__ volatile(PAIRS("s0", "s1") PAIRS("s2", "s3") PAIRS("s4", "s5") PAIRS("s6", "s7") PAIRS("s8", "s9")
                         PAIRS("s10", "s11")
                     : [s0] "+x"(s0), [s1] "+x"(s1), [s2] "+x"(s2), [s3] "+x"(s3), [s4] "+x"(s4), [s5] "+x"(s5), [s6] "+x"(s6),
                       [s7] "+x"(s7), [s8] "+x"(s8), [s9] "+x"(s9), [s10] "+x"(s10), [s11] "+x"(s11), [t] "=&x"(t), [u] "=&x"(u)
                     : [c] "x"(codes), [x] "x"(x));
  }
#  undef PAIRS
  return static_cast<uint64_t>(_mm256_extract_epi64(s0, 0));
}

double now(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Seconds for part(i), i in [0, threads), each on a thread of its own. One thread: its CPU time, so that other programs on
// its core do not count; several: wall time, as they must run at once.
double seconds_of(int threads, const std::function<void(int)>& part) {
  const clockid_t clock = threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  const double start = now(clock);
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(part, i);
  part(0);
  for (auto& t : others) t.join();
  return now(clock) - start;
}

// Where results go, so that they count as used.
volatile uint64_t result_sink;

// Passes are short, so that on a shared machine some of them run undisturbed.
constexpr int kPasses = 32;

// Each pass reads another 64 MB, so nothing of it is left in a cache.
double read_gbps(const char* data, size_t bytes, int threads) {
  constexpr size_t kPass = size_t{64} << 20;
  const size_t share = kPass / static_cast<size_t>(threads) / 128 * 128;
  double best = 0;
  for (size_t pass = 0; pass < kPasses; ++pass) {
    const char* start = data + pass * kPass % bytes;
    const double seconds =
        seconds_of(threads, [&](int i) { result_sink = read_all(start + share * static_cast<size_t>(i), share); });
    best = std::max(best, 1e-9 * static_cast<double>(share) * threads / seconds);
  }
  return best;
}

double maddubs_gmacs(int threads) {
  constexpr size_t kSteps = 1'000'000;
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const double seconds = seconds_of(threads, [](int) { result_sink = multiply_registers(kSteps); });
    best = std::max(best, 1e-9 * kSteps * 12 * 32 * threads / seconds);
  }
  return best;
}

#endif

}  // namespace

Ceilings measure_ceilings(int threads) {
  Ceilings c;
  c.threads = std::max(threads, 1);
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2")) return c;
  constexpr size_t kBytes = size_t{512} << 20, kSlack = 8192;  // slack: the prefetches run ahead
  const std::unique_ptr<char, decltype(&std::free)> buffer(static_cast<char*>(std::aligned_alloc(4096, kBytes + kSlack)),
                                                           &std::free);
  if (buffer == nullptr) return c;
  std::memset(buffer.get(), 1, kBytes + kSlack);
  c.read_gbps_1 = read_gbps(buffer.get(), kBytes, 1);
  c.read_gbps_n = read_gbps(buffer.get(), kBytes, c.threads);
  c.maddubs_gmacs_1 = maddubs_gmacs(1);
  c.maddubs_gmacs_n = maddubs_gmacs(c.threads);
#endif
  return c;
}

}  // namespace bitnet::bench
