// broken/zoo.cpp - a small plugin with one fault, chosen at build time by ZOO_FAULT; the fault "none" makes a sound one.
#include <cfenv>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "bitnet/engine.h"
#include "bitnet/kernels.h"
#include "bitnet/kit/plugin.hpp"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.example.zoo", "name": "zoo", "version": "1.2.3", "kind": "cpu",
 "tiers": ["kernels"], "arch": ["x86_64", "aarch64"], "cpu": [], "numerics": "exact-1"})");

extern "C" bn_status zoo_absent_function();

namespace {

using bn::kit::set_error;

enum class Fault {
  none,
  entry_null,
  small_struct,
  no_function,
  no_id,
  other_id,
  no_device,
  endless_devices,
  enumerate_fails,
  enumerate_throws,
  bad_device_id,
  rude_text,
  open_fails,
  open_throws,
  open_null,
  small_kernels,
  no_matmul,
  no_granule,
  engine_stub,
  undefined_symbol,
  changes_rounding,
  constructor_throws,
  equal_ids
};
constexpr Fault kFault = Fault::ZOO_FAULT;

constexpr bool has(Fault fault) { return kFault == fault; }

// What linking with -ffast-math does to the host, and a rounding mode on top.
#if defined(__x86_64__)
void spoil_modes() {
  __builtin_ia32_ldmxcsr(0x9fc0);
  std::fesetround(FE_UPWARD);
}
#else
void spoil_modes() { std::fesetround(FE_UPWARD); }
#endif

__attribute__((constructor)) void constructor() {
  if (has(Fault::changes_rounding)) spoil_modes();
  if (has(Fault::constructor_throws)) throw std::runtime_error("not in the mood");
}

bn_status enumerate(const bn_host* host, uint32_t index, bn_device_info* info, bn_error* error) {
  if constexpr (has(Fault::undefined_symbol)) return zoo_absent_function();
  if (has(Fault::no_device)) return set_error(error, BN_E_UNSUPPORTED, "no zoo keeper in this\nmachine");
  if (has(Fault::enumerate_fails)) return set_error(error, BN_E_INTERNAL, "the register of animals is lost");
  if (has(Fault::enumerate_throws)) throw std::runtime_error("out of the cage");
  if (index > 1 && !has(Fault::endless_devices)) return set_error(error, BN_E_UNSUPPORTED, "two devices");
  host->log(host->ctx, 2, "counting", 8);
  info->kind = BN_DEV_CPU;
  info->mem_total = 64u << 20;
  std::strcpy(info->id, index == 0 ? "zoo0" : "zoo1");
  std::strcpy(info->name, "Zoo");
  if (has(Fault::endless_devices) && index > 1) std::sprintf(info->id, "zoo%u", index);
  if (has(Fault::equal_ids)) std::strcpy(info->id, "zoo");
  if (has(Fault::bad_device_id)) std::strcpy(info->id, "a b");
  if (has(Fault::rude_text)) std::memset(info->name, '\x1b', sizeof info->name);
  return BN_OK;
}

int closed = 0;
bn_device* const kDevice = reinterpret_cast<bn_device*>(&closed);

bn_status open(const bn_host*, const char* id, const char* options, bn_device** device, bn_error* error) {
  if (has(Fault::open_fails)) return set_error(error, BN_E_BUSY, "the %s is asleep", id);
  if (has(Fault::open_throws)) throw std::runtime_error("bitten");
  if (has(Fault::open_null)) return BN_OK;
  if (options != nullptr && std::strcmp(options, "{}") != 0) return set_error(error, BN_E_INVALID, "options %s", options);
  *device = kDevice;
  return BN_OK;
}

void close(bn_device*) { ++closed; }

int32_t accepts(bn_device*, const bn_tensor*) { return BN_PACK; }
bn_status pack_size(bn_device*, const bn_tensor*, uint64_t*, bn_format*, bn_error*) { return BN_E_UNSUPPORTED; }
bn_status pack(bn_device*, const bn_tensor*, uint32_t, uint32_t, void*, bn_error*) { return BN_E_UNSUPPORTED; }
bn_status matmul(bn_device*, const bn_matmul*, uint32_t, uint32_t, void*) { return BN_OK; }

// The required part alone: a table may end after matmul.
struct RequiredKernels {
  uint32_t struct_size, numerics;
  float tolerance;
  uint32_t row_granule, k_align, scratch_bytes;
  decltype(bn_kernels_v1::accepts) accepts;
  decltype(bn_kernels_v1::pack_size) pack_size;
  decltype(bn_kernels_v1::pack) pack;
  decltype(bn_kernels_v1::matmul) matmul;
};
static_assert(sizeof(RequiredKernels) == 56);

constexpr RequiredKernels kKernels = {
    has(Fault::small_kernels) ? 48u : 56u,   BN_EXACT_1, 0, has(Fault::no_granule) ? 0u : 1u, 64, 0, accepts, pack_size, pack,
    has(Fault::no_matmul) ? nullptr : matmul};

constexpr bn_engine_v1 kEngineWithoutFunctions = {
    sizeof(bn_engine_v1), BN_EXACT_1, 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};

const void* get_interface(bn_device*, const char* id) {
  if (std::strcmp(id, "zoo.closed") == 0) return &closed;
  if (std::strcmp(id, BN_ENGINE_ID) == 0) return has(Fault::engine_stub) ? &kEngineWithoutFunctions : nullptr;
  return std::strcmp(id, BN_KERNELS_ID) == 0 ? &kKernels : nullptr;
}

constexpr const char* kId = has(Fault::no_id) ? nullptr : has(Fault::other_id) ? "org.example.other" : "org.example.zoo";

constexpr bn_plugin kPlugin = {has(Fault::small_struct) ? 64u : 72u,
                               BN_ABI_MINOR,
                               kId,
                               "1.2.3",
                               "Zoo \x1b[31m",
                               0,
                               enumerate,
                               open,
                               close,
                               has(Fault::no_function) ? nullptr : get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return has(Fault::entry_null) ? nullptr : &kPlugin; }
