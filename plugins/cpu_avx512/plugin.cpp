// cpu_avx512/plugin.cpp - the AVX-512 backend at the plugin boundary: manifest, device, answers about formats, table of ops.
//
// Compiled for the baseline CPU: this file runs before anybody knows that the machine has AVX-512.
#include "bitnet/kit/plugin.hpp"

#include <cstring>

#include "bitnet/kit/options.hpp"
#include "bitnet/kit/packs_i2s128.hpp"
#include "bitnet/kit/vector/dense_types.hpp"
#include "kernels.h"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.cpu-avx512", "name": "cpu_avx512", "version": "0.1.0",
 "kind": "cpu", "tiers": ["kernels"], "arch": ["x86_64"], "cpu": ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"], "numerics": "exact-1"})");

namespace {

using bn::kit::Option;
using bn::kit::read_option;
using bn::kit::set_error;

// avx512f includes that the system saves zmm registers.
bool cpu_has_features() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
  if (!cpu_has_features()) return set_error(error, BN_E_UNSUPPORTED, "this CPU lacks AVX-512 (F, BW, DQ, VL) or its VNNI");
  info->kind = BN_DEV_CPU;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, "CPU, AVX-512 VNNI");
  return BN_OK;
}

void close(bn_device*) {}

// Rows are worked on in bundles of 16: ranges that start so waste nothing. Any range is correct.
constexpr uint32_t kRowGranule = 16;

constexpr bn_kernels_v1 table_with(bn_status (*matmul)(bn_device*, const bn_matmul*, uint32_t, uint32_t, void*)) {
  return {sizeof(bn_kernels_v1),
          BN_EXACT_1,
          0.0f,
          kRowGranule,
          bn::kit::i2s128::kGroup,
          bn::avx512::kScratchBytes,
          bn::kit::i2s128::accepts,
          bn::kit::i2s128::pack_size,
          bn::kit::i2s128::pack<bn::avx512::pack_rows>,
          matmul,
          bn::kit::vector::kDenseDtypes,
          bn::avx512::dense,
          bn::avx512::norm,
          bn::avx512::rope,
          bn::avx512::attention,
          bn::avx512::glu,
          bn::avx512::attention_parts,
          bn::avx512::merge_parts};
}

// The kernels keep no state: a device is the address of its table.
constexpr bn_kernels_v1 kDots = table_with(bn::avx512::matmul), kTables = table_with(bn::avx512::table_matmul);

// Option prompts: how many tokens are multiplied, "tables" or "dots" (table_matmul.cpp); absent: what is faster on this CPU.
bn_status open(const bn_host*, const char*, const char* options, bn_device** device, bn_error* error) {
  if (!cpu_has_features()) return set_error(error, BN_E_UNSUPPORTED, "this CPU lacks AVX-512 (F, BW, DQ, VL) or its VNNI");
  char prompts[16] = "";
  const Option found = read_option(options, "prompts", prompts, sizeof prompts);
  if (found == Option::kNotAnObject) return set_error(error, BN_E_INVALID, "options: not a JSON object: %.160s", options);
  const bool tables = std::strcmp(prompts, "tables") == 0, dots = std::strcmp(prompts, "dots") == 0;
  if (found != Option::kAbsent && !tables && !dots) {
    return set_error(error, BN_E_INVALID, "option prompts: expected \"tables\" or \"dots\", found: %.160s", options);
  }
  const bn_kernels_v1* table = tables || (!dots && __builtin_cpu_is("amd")) ? &kTables : &kDots;
  *device = reinterpret_cast<bn_device*>(const_cast<bn_kernels_v1*>(table));
  return BN_OK;
}

const void* get_interface(bn_device* device, const char* id) { return std::strcmp(id, BN_KERNELS_ID) == 0 ? device : nullptr; }

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.cpu-avx512", "0.1.0", "bitnet-run", 0, enumerate, open, close,
    get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
