// cpu_neon/plugin.cpp - the NEON backend at the plugin boundary: manifest, device, answers about formats, tables of ops.
//
// Compiled for the baseline CPU: it asks the system which of three variants of matmul this CPU can run.
#include "bitnet/kit/plugin.hpp"

#include <asm/hwcap.h>
#include <sys/auxv.h>

#include <cstring>

#include "bitnet/kit/packs_i2s128.hpp"
#include "bitnet/kit/vector/dense_types.hpp"
#include "kernels.h"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.cpu-neon", "name": "cpu_neon", "version": "0.1.0",
 "kind": "cpu", "tiers": ["kernels"], "arch": ["aarch64"], "cpu": ["asimd"], "numerics": "exact-1"})");

namespace {

using bn::kit::set_error;

// Rows are worked on in eights: ranges that start so waste nothing. Any range is correct.
constexpr uint32_t kRowGranule = 8;

using Matmul = bn_status (*)(bn_device*, const bn_matmul*, uint32_t, uint32_t, void*);

constexpr bn_kernels_v1 table_with(Matmul matmul) {
  return {sizeof(bn_kernels_v1),
          BN_EXACT_1,
          0.0f,
          kRowGranule,
          bn::kit::i2s128::kGroup,
          bn::neon::kScratchBytes,
          bn::kit::i2s128::accepts,
          bn::kit::i2s128::pack_size,
          bn::kit::i2s128::pack<bn::neon::pack_rows>,
          matmul,
          bn::kit::vector::kDenseDtypes,
          bn::neon::dense,
          bn::neon::norm,
          bn::neon::rope,
          bn::neon::attention,
          bn::neon::glu,
          bn::neon::attention_parts,
          bn::neon::merge_parts};
}

// What matmul is compiled for. A device is a variant: the kernels keep no state.
struct Variant {
  const char* device_name;
  unsigned long hwcap, hwcap2;  // bits of AT_HWCAP and AT_HWCAP2 that it needs
  bn_kernels_v1 table;
};
constexpr Variant kVariants[] = {
    // best first
    {"CPU, NEON with i8mm", HWCAP_ASIMDDP, HWCAP2_I8MM, table_with(bn::neon::matmul_i8mm)},
    {"CPU, NEON with dotprod", HWCAP_ASIMDDP, 0, table_with(bn::neon::matmul_dotprod)},
    {"CPU, NEON", 0, 0, table_with(bn::neon::matmul)},
};

const Variant& best_variant() {
  const unsigned long hwcap = ::getauxval(AT_HWCAP), hwcap2 = ::getauxval(AT_HWCAP2);
  const Variant* variant = kVariants;
  while ((hwcap & variant->hwcap) != variant->hwcap || (hwcap2 & variant->hwcap2) != variant->hwcap2) ++variant;
  return *variant;  // the last one needs nothing
}

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
  info->kind = BN_DEV_CPU;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, best_variant().device_name);
  return BN_OK;
}

bn_status open(const bn_host*, const char*, const char*, bn_device** device, bn_error*) {
  *device = reinterpret_cast<bn_device*>(const_cast<Variant*>(&best_variant()));
  return BN_OK;
}

void close(bn_device*) {}

const void* get_interface(bn_device* device, const char* id) {
  return std::strcmp(id, BN_KERNELS_ID) == 0 ? &reinterpret_cast<const Variant*>(device)->table : nullptr;
}

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.cpu-neon", "0.1.0", "bitnet-run", 0, enumerate, open, close,
    get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
