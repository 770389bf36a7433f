/* bitnet/kit/portable.h - the portable kernels as a library (bitnet::portable), for plugins and hosts that want every op
 * without writing it. */
#ifndef BITNET_KIT_PORTABLE_H
#define BITNET_KIT_PORTABLE_H
#include "bitnet/kernels.h"
#ifdef __cplusplus
extern "C" {
#endif

/* A constant table. The same source is compiled twice, without and with the CPU's fused multiply-add; this picks the one
 * this machine can run. Both give the same bits. The device argument of its functions is ignored and may be NULL. */
const bn_kernels_v1* bn_portable_kernels(void);

/* The variant without hardware FMA, for tests of the above. */
const bn_kernels_v1* bn_portable_kernels_baseline(void);

#ifdef __cplusplus
}
#endif
#endif
