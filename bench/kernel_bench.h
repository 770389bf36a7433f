// bench/kernel_bench.h - what the files of bitnet-bench-kernels share: a plugin, the ceilings, the sizes.
//
// Not in namespace bitnet, whose `benchmark` is another than Google's.
// Threads one.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

#include "benchmark/ceilings.h"
#include "bitnet/kernels.h"

namespace kernel_bench {

using bitnet::benchmark::Ceilings;

// A 2B model.
inline constexpr uint32_t kWidth = 2560, kFfn = 6912, kHeads = 20, kKvHeads = 5, kHeadDim = 128, kVocabulary = 128256;

struct Plugin {
  std::string name;
  bn_device* device = nullptr;
  const bn_kernels_v1* table = nullptr;
  std::string instruction;  // that bounds its int8 products; empty: unknown
};

// Every op of a plugin, beside the ceilings of one thread. Registers; nothing runs yet.
void register_ops(const Plugin& plugin, const Ceilings& ceilings);
// Its pack().
void register_pack(const Plugin& plugin);
// Weight formats of files: writing (TernaryEncoder) and reading (the runtime's decode_rows); independent of
// plugins.
void register_formats();

}  // namespace kernel_bench
