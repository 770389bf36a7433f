// dot.cpp - the inner loop, the part worth making fast. Plain C++, written so that compilers turn it into vector code.
//
// The only source that may be compiled with special CPU flags (KERNELS in CMakeLists.txt): no templates or inline functions of
// the standard library in here, the linker might take them for the other sources too.
#include "matmul.h"

namespace acme {

int32_t dot_codes(const uint8_t* row, const int8_t* x, uint32_t groups) {
  constexpr uint32_t kBytes = kGroup / 4;
  // A lane gains at most 4 * 2 * 127 per group: 32 groups fit in int16, and int16 has twice the lanes of int32.
  constexpr uint32_t kGroupsPerSum = 32;
  int32_t total = 0;
  for (uint32_t g0 = 0; g0 < groups; g0 += kGroupsPerSum) {
    const uint32_t g1 = g0 + kGroupsPerSum < groups ? g0 + kGroupsPerSum : groups;
    int16_t sum[kBytes] = {};
    for (uint32_t g = g0; g < g1; ++g, row += kBytes, x += kGroup) {
      for (uint32_t j = 0; j < kBytes; ++j) {
        const int b = row[j];
        const int four = (b & 3) * x[j] + (b >> 2 & 3) * x[j + 32] + (b >> 4 & 3) * x[j + 64] + (b >> 6) * x[j + 96];
        sum[j] = static_cast<int16_t>(sum[j] + four);
      }
    }
    for (uint32_t j = 0; j < kBytes; ++j) total += sum[j];
  }
  return total;
}

}  // namespace acme
