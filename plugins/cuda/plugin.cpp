// cuda/plugin.cpp - backend "cuda": entry, manifest, the GPUs of this machine. The engine is in engine/.
#include "bitnet/kit/plugin.hpp"

#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "engine/table.h"
#include "gpu/faulty_gpu.h"

#if defined(BN_CUDA_EMULATED)
#  define BN_CUDA_ID "org.bitnet-run.cuda-emulated"
BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.cuda-emulated", "name": "cuda_emulated", "version": "0.1.0",
 "kind": "test", "tiers": ["engine"], "arch": ["x86_64", "aarch64"], "cpu": [], "numerics": "exact-1"})");
#else
#  define BN_CUDA_ID "org.bitnet-run.cuda"
BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.cuda", "name": "cuda", "version": "0.1.0",
 "kind": "gpu", "tiers": ["engine"], "arch": ["x86_64"], "cpu": [], "numerics": "exact-1"})");
#endif

namespace {

using bn::kit::guard;
using bn::kit::set_error;
using bn_cuda::DeviceFacts;

// Why there is no device, or it cannot be looked at.
bn_status unusable(const std::string& why, bn_error* error) { return set_error(error, BN_E_UNSUPPORTED, "%s", why.c_str()); }

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    uint32_t n = 0;
    std::string why;
    DeviceFacts facts;
    if (bn_cuda::count_gpus(&n, &why) != 0) return unusable(why, error);
    if (index >= n) return set_error(error, BN_E_UNSUPPORTED, "%u of them", n);
    if (bn_cuda::describe_gpu(index, &facts, &why) != 0) return unusable(why, error);
    info->kind = BN_DEV_GPU;
    info->mem_total = facts.memory_bytes;
    info->mem_free = 0;
    std::snprintf(info->id, sizeof info->id, "%s", facts.id.c_str());
    std::snprintf(info->name, sizeof info->name, "%s", facts.name.c_str());
    return BN_OK;
  });
}

// Index of the device, or n.
uint32_t find_device(const char* id, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) {
    DeviceFacts facts;
    std::string why;
    if (bn_cuda::describe_gpu(i, &facts, &why) == 0 && (id == nullptr || facts.id == id)) return i;
  }
  return n;
}

bn_status open_device(const bn_host* host, const char* id, const char* options_json, bn_device** out, bn_error* error) {
  const bn_cuda::Options options = bn_cuda::read_options(options_json);
  uint32_t n = 0;
  std::string why;
  if (bn_cuda::count_gpus(&n, &why) != 0) return unusable(why, error);
  const uint32_t index = find_device(id, n);
  if (index == n)
    return set_error(error, BN_E_INVALID, "no device '%.60s' among the %u that are here", id == nullptr ? "" : id, n);
  std::unique_ptr<bn_cuda::Gpu> gpu;
  if (const int code = bn_cuda::open_gpu(index, &gpu, &why); code != 0) {
    if (error != nullptr) error->native_code = code;
    return set_error(error, bn_cuda::status_of(code), "%s", why.c_str());
  }
  if (!options.faults.empty()) gpu = std::make_unique<bn_cuda::FaultyGpu>(std::move(gpu), options.faults);
  *out = new bn_device(std::move(gpu), options, host);
  return BN_OK;
}

bn_status open(const bn_host* host, const char* id, const char* options_json, bn_device** out, bn_error* error) {
  if (bn_cuda::is_lost()) return bn_cuda::report_lost(error);
  return guard(error, [&]() -> bn_status {
    try {
      return open_device(host, id, options_json, out, error);
    } catch (const std::invalid_argument& e) {
      return set_error(error, BN_E_INVALID, "%s", e.what());
    }
  });
}

void close(bn_device* device) { delete device; }

const void* get_interface(bn_device* device, const char* id) {
  return std::strcmp(id, BN_ENGINE_ID) == 0 ? bn_cuda::engine_table(*device) : nullptr;
}

constexpr bn_plugin kPlugin = {sizeof(bn_plugin), BN_ABI_MINOR, BN_CUDA_ID, "0.1.0",      "bitnet-run", 0,
                               enumerate,         open,         close,      get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
