// cpu_portable/plugin.cpp - the reference kernels of the SDK kit as a backend: plain C++, any CPU, the one to compare with.
//
// Everything it computes is in sdk/include/bitnet/kit/ops.hpp. This file is what any kernels plugin has to say about
// itself: manifest, devices, table.
#include "bitnet/kit/plugin.hpp"

#include <cstring>

#include "bitnet/kit/portable.h"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.cpu-portable", "name": "cpu_portable", "version": "0.1.0",
 "kind": "cpu", "tiers": ["kernels"], "arch": ["x86_64", "aarch64"], "cpu": [], "numerics": "exact-1"})");

namespace {

using bn::kit::set_error;

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
  info->kind = BN_DEV_CPU;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, "CPU, portable C++");
  return BN_OK;
}

// The kernels keep no state, so a device is nothing but an address.
bn_device* const kDevice = reinterpret_cast<bn_device*>(1);

bn_status open(const bn_host*, const char*, const char*, bn_device** device, bn_error*) {
  *device = kDevice;
  return BN_OK;
}

void close(bn_device*) {}

const void* get_interface(bn_device*, const char* id) {
  return std::strcmp(id, BN_KERNELS_ID) == 0 ? bn_portable_kernels() : nullptr;
}

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.cpu-portable", "0.1.0", "bitnet-run", 0, enumerate, open, close,
    get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
