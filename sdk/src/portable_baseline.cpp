// portable_baseline.cpp - the reference bodies compiled for the baseline CPU, and the choice between the two variants.
#include "bitnet/kit/portable.h"
#include "bitnet/kit/portable_kernels.hpp"

extern "C" const bn_kernels_v1* bn_portable_kernels_fma(void);

extern "C" const bn_kernels_v1* bn_portable_kernels_baseline(void) { return &bn::kit::portable::kTable; }

extern "C" const bn_kernels_v1* bn_portable_kernels(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2")) return bn_portable_kernels_fma();
  return bn_portable_kernels_baseline();
#else
  return bn_portable_kernels_fma();  // every 64-bit Arm has FMA
#endif
}
