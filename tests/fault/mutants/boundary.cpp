// mutants/boundary.cpp - defects that show before or at the boundary; each needs a file of its own: BN_DEFECT names it.
#include <unistd.h>

#include <cfenv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/portable.h"

#if BN_HAS_MANIFEST
BN_MANIFEST("{\"schema\": 1, \"abi\": [1, 0], \"id\": \"" BN_MANIFEST_ID
            "\", \"name\": \"boundary\", \"version\": \"0.1.0\", \"kind\": \"test\", "
            "\"tiers\": [\"kernels\"], \"arch\": [\"x86_64\", \"aarch64\"], \"cpu\": [], \"numerics\": \"exact-1\"}");
#endif

namespace bitnet::mutants {

using bn::kit::set_error;

// What a defect may change; each hook does nothing in the correct plugin.
struct Correct {
  static void in_constructor() {}
  static void in_enumerate(const bn_host*, bn_device_info*, bn_error*) {}
  static void in_open(const bn_host*) {}
  static bool entry_refuses(uint32_t) { return false; }
  static bool offers(const char* id) { return std::strcmp(id, BN_KERNELS_ID) == 0; }
  static constexpr bool kSaysWhy = true, kWritable = false, kNullable = true;
};
struct none : Correct {};
struct no_manifest : Correct {};
struct false_manifest : Correct {};
struct extra_export : Correct {};
struct static_scratch : Correct {
  static constexpr bool kWritable = true;
};
struct constructor_thread : Correct {
  static void in_constructor() {
    std::thread([] { pause(); }).detach();
  }
};
struct constructor_prints : Correct {
  static void in_constructor() { std::puts("hello"); }
};
struct constructor_exits : Correct {
  static void in_constructor() { std::exit(0); }
};
struct exit_crashes : Correct {
  static void in_open(const bn_host*) {
    std::atexit([] { std::abort(); });
  }
};
struct flushes_to_zero : Correct {
  static void in_enumerate(const bn_host*, bn_device_info*, bn_error*) {
    fenv_t e;
    std::fegetenv(&e);
    e.__mxcsr |= 0x8040;
    std::fesetenv(&e);
  }
};
struct takes_signals : Correct {
  static void in_open(const bn_host*) {
    std::signal(SIGTERM, [](int) {});
  }
};
struct sets_environment : Correct {
  static void in_open(const bn_host*) { setenv("OMP_NUM_THREADS", "1", 1); }
};
struct changes_folder : Correct {
  static void in_open(const bn_host*) {
    if (chdir("/") != 0) std::abort();
  }
};
struct refuses_newer_host : Correct {
  static bool entry_refuses(uint32_t minor) { return minor > 0; }
};
struct offers_any_version : Correct {
  static bool offers(const char* id) { return std::strncmp(id, BN_KERNELS_ID, 10) == 0; }
};
struct says_nothing : Correct {
  static constexpr bool kSaysWhy = false;
};
struct needs_error : Correct {
  static constexpr bool kNullable = false;
};
struct clears_too_much : Correct {
  static void in_enumerate(const bn_host*, bn_device_info* info, bn_error*) {
    std::memset(reinterpret_cast<char*>(info) + sizeof(bn_device_info), 0, 8);
  }
};
struct host_size_equality : Correct {
  static void in_open(const bn_host* host) {
    if (host->struct_size != sizeof(bn_host)) throw 1;
  }
};
struct host_memory_lost : Correct {
  static void in_open(const bn_host* host) { host->alloc(host->ctx, 64, 64); }
};
using Defect = BN_DEFECT;

namespace {

#if BN_HAS_CONSTRUCTOR
__attribute__((constructor)) void construct() { Defect::in_constructor(); }
#endif

[[maybe_unused]] float scratch_buffer[64];

template <bool kWritable>
bn_status keep_state() {
  if constexpr (kWritable) scratch_buffer[0] += 1.0f;
  return BN_OK;
}

bn_status enumerate(const bn_host* host, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) {
    if (!Defect::kNullable) error->code = BN_E_UNSUPPORTED;
    return set_error(error, BN_E_UNSUPPORTED, "%s", Defect::kSaysWhy ? "one device" : "");
  }
  info->kind = BN_DEV_TEST;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, "CPU, with a defect");
  Defect::in_enumerate(host, info, error);
  return BN_OK;
}

bn_status open(const bn_host* host, const char*, const char*, bn_device** device, bn_error* error) {
  return bn::kit::guard(error, [&]() -> bn_status {
    Defect::in_open(host);
    *device = reinterpret_cast<bn_device*>(1);
    return keep_state<Defect::kWritable>();
  });
}

void close(bn_device*) {}

const void* get_interface(bn_device*, const char* id) { return Defect::offers(id) ? bn_portable_kernels() : nullptr; }

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.boundary", "0.1.0", "bitnet-run", 0, enumerate, open, close,
    get_interface};

}  // namespace
}  // namespace bitnet::mutants

// Seen from outside only where the file is linked without the version script.
extern "C" BN_EXPORT const int bn_boundary_extra;
const int bn_boundary_extra = 1;

const bn_plugin* bitnet_plugin_v1(uint32_t minor) {
  return bitnet::mutants::Defect::entry_refuses(minor) ? nullptr : &bitnet::mutants::kPlugin;
}
