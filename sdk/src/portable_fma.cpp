// portable_fma.cpp - the reference bodies compiled with the CPU's fused multiply-add; same source, same bits.
#include "bitnet/kit/portable_kernels.hpp"

extern "C" const bn_kernels_v1* bn_portable_kernels_fma(void);
extern "C" const bn_kernels_v1* bn_portable_kernels_fma(void) { return &bn::kit::portable::kTable; }
