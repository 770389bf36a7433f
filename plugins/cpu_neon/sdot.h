// cpu_neon/sdot.h - sums by SDOT: four products of int8 added to each of four int32 lanes. For sources built with +dotprod.
#pragma once

#include <arm_neon.h>

namespace {

struct SdotSums {
  using Sum = int32x4_t;
  static Sum zero() { return vdupq_n_s32(0); }
  static void add(Sum* sum, int8x16_t codes, int8x16_t x) { *sum = vdotq_s32(*sum, codes, x); }
  static int32x4_t lanes(Sum sum) { return sum; }
};

}  // namespace
