// cpu_neon/simd.h - what the sources of this plugin share about vectors.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

// Before a loop with a constant count: unrolls it early, so that local arrays of vectors become registers.
#define BN_UNROLL _Pragma("GCC unroll 32")
