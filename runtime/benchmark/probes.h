// benchmark/probes.h - the inner loops that show what a core can do: reading memory, multiplying int8 in registers.
//
// One file per processor family (probes_x86.cpp, probes_generic.cpp), chosen by the build. The caller checks the feature
// (backend/cpu_features.h) before it calls the function.
// Threads  pure but for the memory they read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bitnet::benchmark {

// Reads [data, data + bytes) once and returns a number that depends on all of it. data: 64-byte aligned; bytes: a multiple of
// kReadGranule.
struct ReadProbe {
  std::string_view name;     // instructions and streams, "avx2 x4"
  std::string_view feature;  // that the CPU must have; empty: none
  uint64_t (*read)(const char* data, size_t bytes);
};
inline constexpr size_t kReadGranule = 4096;

// Takes [data, data + bytes) out of all caches, so that the next read comes from memory. Does nothing where programs may not.
void forget(const char* data, size_t bytes);

// `steps` rounds of independent multiply-accumulates on registers, without loads.
struct DotProbe {
  std::string_view name;     // "maddubs", "vnni256", "vnni512"
  std::string_view feature;  // that the CPU must have: "avx2", "avxvnni", "avx512vnni"
  std::string_view marker;   // a device whose name has this word uses it, though its plugin's manifest may not require it
  uint64_t macs_per_step;    // int8 multiply-accumulates
  uint64_t (*multiply)(size_t steps);
};

// All of the family; of dot probes the stronger instruction comes later.
std::span<const ReadProbe> read_probes();
std::span<const DotProbe> dot_probes();

}  // namespace bitnet::benchmark
