/* bitnet/plugin.h - the backend plugin ABI, major 1, minor 0 (draft): entry, host services, devices, status.
 *
 * C99 and C++17, no dependency, 64-bit targets. Tables: kernels.h (tier 1, the runtime runs the model) and engine.h
 * (tier 2, the plugin runs it). Data: formats.h (tensors), model.h (the model as data). sdk/README.md explains.
 *
 * The rules.
 *  1 One exported symbol: bitnet_plugin_v1. Another major version is another symbol.
 *  2 Fields, functions and enum values are only appended: never inserted, moved, retyped or reused.
 *  3 Whoever allocates a struct sets struct_size. A reader tests BN_HAS() before touching a field newer than 1.0,
 *    accepts every size >= the 1.0 size, never tests for equality, treats absent as zero and writes no field its
 *    caller lacks. An array of structs carries its stride: index it with BN_AT().
 *  4 Flags at bit 32 and above, every bit named `must`, and every enum value change results: a plugin that does not
 *    know one answers BN_E_UNSUPPORTED. Unknown flags below bit 32 are ignored.
 *  5 Memory is freed by the side that allocated it. Nothing changes owner, errors included.
 *  6 Nothing is thrown, longjmp'ed, exit()ed or abort()ed across this boundary. No output, signal handler, locale,
 *    floating-point mode, environment variable or working directory is touched.
 *  7 Static constructors and bitnet_plugin_v1() run at baseline CPU flags and touch no device, file, thread or
 *    environment. enumerate() too is baseline code.
 *  8 After BN_E_DEVICE_LOST the device's handles accept only unload/destroy/close, which must return without touching
 *    the device; any other call answers BN_E_DEVICE_LOST.
 *  9 One thread at a time per session. Different sessions, and every function of bn_kernels_v1, run concurrently.
 *    Functions of bn_kernels_v1 do not allocate, lock, block or keep thread state.
 * 10 A table that says BN_EXACT_1 gives the bits of the canonical order (sdk/README.md) for every op it offers,
 *    whatever the ranges, threads, batch or prompt split.
 * 11 Pointers are valid during the call; with BN_TENSOR_PERSISTENT, until unload.
 * 12 Cancel, budget and heartbeat of bn_call are served at least every 50 ms.
 */
#ifndef BITNET_PLUGIN_H
#define BITNET_PLUGIN_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define BN_ABI_MINOR 0u
typedef char bn_assert_64bit[sizeof(void*) == 8 ? 1 : -1];

#if defined(_WIN32)
#  define BN_CALL __cdecl
#  define BN_EXPORT __declspec(dllexport)
#else
#  define BN_CALL
#  define BN_EXPORT __attribute__((visibility("default")))
#endif

/* Did the allocator of *p know `field`? */
#define BN_HAS(p, field) ((p)->struct_size >= (uint32_t)((const char*)(&(p)->field + 1) - (const char*)(p)))
/* Element i of an array of structs whose elements are `stride` bytes apart. */
#define BN_AT(type, base, stride, i) ((const type*)(const void*)((const char*)(base) + (size_t)(stride) * (size_t)(i)))

/* Static facts as JSON, read from the file before any code of the plugin runs. BN_MANIFEST("{...}") once per plugin, at
 * file scope. Keys: "schema": 1, "abi": [1, 0], "id": reverse DNS, "name": the short name users type, "version",
 * "kind": "cpu" | "gpu" | "npu" | "test", "tiers": ["kernels", "engine"], "arch": ["x86_64", ...],
 * "cpu": features the machine must have ("avx2", "fma", "f16c", ...), "numerics": "exact-1" | "approx-1". */
#if defined(__has_attribute)
#  if __has_attribute(retain) /* survives -Wl,--gc-sections */
#    define BN_RETAIN_ __attribute__((retain))
#  endif
#endif
#if !defined(BN_RETAIN_)
#  define BN_RETAIN_
#endif
#define BN_MANIFEST(json) \
  BN_RETAIN_ __attribute__((section(".bnplug"), used, aligned(8))) static const char bn_manifest_[] = json

/* ---------------------------------------------------------------------------------------------------- status */
typedef int32_t bn_status;
enum { /* what the runtime does next */
       BN_OK = 0,
       BN_E_INVALID = 1,     /* a bug of the caller: report, no retry, no fallback */
       BN_E_UNSUPPORTED = 2, /* next backend of the list; the message is shown as the reason */
       BN_E_NO_MEMORY = 3,   /* device healthy: retry smaller, then next backend */
       BN_E_BUSY = 4,        /* exclusive device taken: next backend now, may come back later */
       BN_E_CANCELLED = 5,   /* state consistent, session usable */
       BN_E_TIMEOUT = 6,     /* budget used up, state consistent, session usable */
       BN_E_DATA = 7,        /* bytes of weights or tokens rejected: one more backend, then error */
       BN_E_DEVICE_LOST = 8, /* rule 8; this device is not used again by this process */
       BN_E_INTERNAL = 9     /* session dead; next backend, device not used again by this process */
};
typedef struct bn_error { /* allocated by the caller; may be NULL */
  uint32_t struct_size;
  bn_status code;
  int64_t native_code; /* a cudaError_t, an errno */
  char message[240];   /* UTF-8, NUL-terminated by the plugin */
} bn_error;

/* --------------------------------------------------------------------------------------------- host services */
typedef struct bn_host {
  uint32_t struct_size, abi_minor;
  void* ctx;
  void(BN_CALL* log)(void* ctx, int32_t level /* 0 error .. 4 trace */, const char* msg, uint64_t len);
  void*(BN_CALL* alloc)(void* ctx, uint64_t bytes, uint64_t align); /* NULL when exhausted */
  void(BN_CALL* release)(void* ctx, void* p);
  /* fn(arg, i) for i in [0,n) on the host's pool, then returns; not re-entrant */
  void(BN_CALL* parallel_for)(void* ctx, uint32_t n, void(BN_CALL* fn)(void*, uint32_t), void* arg);
  const void*(BN_CALL* get_interface)(void* ctx, const char* id); /* NULL: not offered */
  const char* plugin_path;                                        /* absolute path of the file this plugin was loaded from */
} bn_host;

/* ---------------------------------------------------------------------------------------- plugin and devices */
typedef struct bn_device bn_device; /* opaque, owned by the plugin */
enum { BN_DEV_CPU = 1, BN_DEV_GPU = 2, BN_DEV_NPU = 3, BN_DEV_TEST = 4 };
typedef struct bn_device_info {
  uint32_t struct_size, kind;
  uint64_t mem_total, mem_free; /* bytes; 0: uses host memory */
  uint64_t flags;
  char id[64]; /* stable across runs: "cpu", "0000:c1:00.0", a UUID */
  char name[128];
} bn_device_info;

typedef struct bn_plugin { /* smallest legal struct_size: 72 */
  uint32_t struct_size, abi_minor;
  const char* id; /* reverse DNS, for ever: "org.example.bn-avx2" */
  const char *version, *vendor;
  uint64_t flags;
  /* index 0,1,2,.. until BN_E_UNSUPPORTED, whose message says why there is no (further) device. One that begins with "no
   * device" is the normal case of a machine without one: nobody is told who did not ask for this backend. */
  bn_status(BN_CALL* enumerate)(const bn_host*, uint32_t index, bn_device_info*, bn_error*);
  /* options_json: an object, or NULL; unknown keys are ignored, unknown values are BN_E_INVALID */
  bn_status(BN_CALL* open)(const bn_host*, const char* device_id, const char* options_json, bn_device**, bn_error*);
  void(BN_CALL* close)(bn_device*);
  const void*(BN_CALL* get_interface)(bn_device*, const char* id); /* NULL: not offered */
} bn_plugin;
#define BN_KERNELS_ID "bn.kernels/1"
#define BN_ENGINE_ID "bn.engine/1"

/* NULL: this plugin needs a newer host than 1.host_abi_minor */
typedef const bn_plugin*(BN_CALL* bn_entry_fn)(uint32_t host_abi_minor);
BN_EXPORT const bn_plugin* BN_CALL bitnet_plugin_v1(uint32_t host_abi_minor);

#ifdef __cplusplus
}
#endif
#endif
