// benchmark/probes_x86.cpp - probes for x86-64: AVX2 and AVX-512 loads; vpmaddubsw + vpaddw, vpdpbusd of 256 and of 512 bits.
//
// Every function is compiled for its instructions by attribute and runs only where the CPU has the feature named beside it at
// the end. The multiplications are assembler, as compilers spill and move registers in such loops.
#include <immintrin.h>

#include "benchmark/probes.h"

namespace bitnet::benchmark {
namespace {

constexpr size_t kAhead = 2048;  // bytes that the software prefetch runs ahead, in each stream

// A thread reads `kStreams` parts of its range side by side: one stream does not keep enough lines in flight.
template <size_t kStreams>
__attribute__((target("avx2"))) uint64_t read_avx2(const char* data, size_t bytes) {
  const size_t part = bytes / kStreams;
  __m256i sum[kStreams][2] = {};
  for (size_t i = 0; i < part; i += 64) {
    for (size_t s = 0; s < kStreams; ++s) {
      const char* p = data + s * part + i;
      _mm_prefetch(p + kAhead, _MM_HINT_T0);
      sum[s][0] = _mm256_add_epi64(sum[s][0], _mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
      sum[s][1] = _mm256_add_epi64(sum[s][1], _mm256_load_si256(reinterpret_cast<const __m256i*>(p + 32)));
    }
  }
  __m256i all = _mm256_setzero_si256();
  for (const auto& pair : sum) all = _mm256_add_epi64(all, _mm256_add_epi64(pair[0], pair[1]));
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), all);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

template <size_t kStreams>
__attribute__((target("avx512f"))) uint64_t read_avx512(const char* data, size_t bytes) {
  const size_t part = bytes / kStreams;
  __m512i sum[kStreams] = {};
  for (size_t i = 0; i < part; i += 64) {
    for (size_t s = 0; s < kStreams; ++s) {
      const char* p = data + s * part + i;
      _mm_prefetch(p + kAhead, _MM_HINT_T0);
      sum[s] = _mm512_add_epi64(sum[s], _mm512_load_si512(p));
    }
  }
  __m512i all = _mm512_setzero_si512();
  for (const __m512i& one : sum) all = _mm512_add_epi64(all, one);
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(lanes, all);
  uint64_t total = 0;
  for (const uint64_t lane : lanes) total += lane;
  return total;
}

// 12 pairs a step into 12 sums: no dependence between neighbours.
__attribute__((target("avx2"))) uint64_t maddubs(size_t steps) {
  const __m256i codes = _mm256_set1_epi8(1), x = _mm256_set1_epi8(3);
  __m256i s0 = codes, s1 = codes, s2 = codes, s3 = codes, s4 = codes, s5 = codes;
  __m256i s6 = codes, s7 = codes, s8 = codes, s9 = codes, s10 = codes, s11 = codes, t, u;
#define PAIRS(a, b)                                             \
  "vpmaddubsw %[x], %[c], %[t]\n vpmaddubsw %[x], %[c], %[u]\n" \
  "vpaddw %[t], %[" a "], %[" a "]\n vpaddw %[u], %[" b "], %[" b "]\n"
  for (size_t i = 0; i < steps; ++i) {
    __asm__ volatile(PAIRS("s0", "s1") PAIRS("s2", "s3") PAIRS("s4", "s5") PAIRS("s6", "s7") PAIRS("s8", "s9")
                         PAIRS("s10", "s11")
                     : [s0] "+x"(s0), [s1] "+x"(s1), [s2] "+x"(s2), [s3] "+x"(s3), [s4] "+x"(s4), [s5] "+x"(s5), [s6] "+x"(s6),
                       [s7] "+x"(s7), [s8] "+x"(s8), [s9] "+x"(s9), [s10] "+x"(s10), [s11] "+x"(s11), [t] "=&x"(t), [u] "=&x"(u)
                     : [c] "x"(codes), [x] "x"(x));
  }
#undef PAIRS
  return static_cast<uint64_t>(_mm256_extract_epi64(s0, 0));
}

// 12 vpdpbusd a step into 12 sums; the registers are named in the text, any contents will do.
__attribute__((target("avx2"))) uint64_t vnni256(size_t steps) {
  for (size_t i = 0; i < steps; ++i) {
    __asm__ volatile(".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n %{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm\\n\n .endr\n"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
  }
  _mm256_zeroupper();
  return steps;
}

__attribute__((target("avx512f"))) uint64_t vnni512(size_t steps) {
  for (size_t i = 0; i < steps; ++i) {
    __asm__ volatile(".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n vpdpbusd %%zmm14, %%zmm15, %%zmm\\n\n .endr\n"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
  }
  _mm256_zeroupper();
  return steps;
}

constexpr ReadProbe kRead[] = {{"avx2 x1", "avx2", read_avx2<1>},
                               {"avx2 x4", "avx2", read_avx2<4>},
                               {"avx512 x1", "avx512f", read_avx512<1>},
                               {"avx512 x4", "avx512f", read_avx512<4>}};

constexpr DotProbe kDot[] = {{"maddubs", "avx2", "AVX2", 12 * 32, maddubs},
                             {"vnni256", "avxvnni", "AVX-VNNI", 12 * 32, vnni256},
                             {"vnni512", "avx512vnni", "AVX512-VNNI", 12 * 64, vnni512}};

}  // namespace

void forget(const char* data, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) _mm_clflush(data + i);
  _mm_mfence();
}

std::span<const ReadProbe> read_probes() { return kRead; }
std::span<const DotProbe> dot_probes() { return kDot; }

}  // namespace bitnet::benchmark
