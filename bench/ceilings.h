// bench/ceilings.h - what this machine can do at best: the numbers against which kernels are judged.
#pragma once

namespace bitnet::bench {

// 0: not measured (no AVX2).
struct Ceilings {
  double read_gbps_1 = 0, read_gbps_n = 0;          // 1e9 bytes/s read from memory by 1 and by `threads` threads
  double maddubs_gmacs_1 = 0, maddubs_gmacs_n = 0;  // 1e9 int8 multiply-accumulates/s, vpmaddubsw + vpaddw
  int threads = 0;
};

// Takes about a second and 512 MB of memory. Best of 32 short passes each, as a shared machine can only be too slow;
// CPU time for one thread, wall time for several: other busy programs still lower the figures of several.
//  read     sum of 64 MB that no cache holds, 32 bytes at a time, with software prefetch; n threads share them.
//  maddubs  vpmaddubsw of two registers into one of 12 int16 accumulators by vpaddw, no loads, no dependencies between the
//           accumulators: 32 multiply-accumulates per pair of instructions. No kernel that uses the pair can be faster.
Ceilings measure_ceilings(int threads);

}  // namespace bitnet::bench
