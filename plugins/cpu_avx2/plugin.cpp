// cpu_avx2/plugin.cpp - the AVX2 backend at the plugin boundary: manifest, device, answers about formats, table of ops.
//
// Compiled for the baseline CPU: this file runs before anybody knows that the machine has AVX2.
#include "bitnet/kit/plugin.hpp"

#include <cpuid.h>

#include <cstring>

#include "bitnet/kit/options.hpp"
#include "bitnet/kit/packs_i2s128.hpp"
#include "bitnet/kit/vector/dense_types.hpp"
#include "kernels.h"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.cpu-avx2", "name": "cpu_avx2", "version": "0.1.0",
 "kind": "cpu", "tiers": ["kernels"], "arch": ["x86_64"], "cpu": ["avx2", "fma", "f16c"], "numerics": "exact-1"})");

namespace {

using bn::kit::Option;
using bn::kit::read_option;
using bn::kit::set_error;

// clang 14 has no name for f16c, so that one is read from CPUID; avx2 includes that the system saves ymm registers.
bool cpu_has_features() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 &&
         (ecx & bit_F16C) != 0;
}

bool cpu_has_vnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & 1u << 4) != 0;
}

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
  if (!cpu_has_features()) return set_error(error, BN_E_UNSUPPORTED, "this CPU lacks avx2, fma or f16c");
  info->kind = BN_DEV_CPU;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, cpu_has_vnni() ? "CPU, AVX2 with AVX-VNNI" : "CPU, AVX2");
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
          bn::avx2::kScratchBytes,
          bn::kit::i2s128::accepts,
          bn::kit::i2s128::pack_size,
          bn::kit::i2s128::pack<bn::avx2::pack_rows>,
          matmul,
          bn::kit::vector::kDenseDtypes,
          bn::avx2::dense,
          bn::avx2::norm,
          bn::avx2::rope,
          bn::avx2::attention,
          bn::avx2::glu,
          bn::avx2::attention_parts,
          bn::avx2::merge_parts};
}

// The kernels keep no state: a device is the address of its table.
constexpr bn_kernels_v1 kPlain = table_with(bn::avx2::matmul), kVnni = table_with(bn::avx2::matmul_vnni);

// Option isa: "avx2" does without VNNI where the CPU has it; "avx2_vnni" asks for it; absent: what the CPU has.
bn_status open(const bn_host*, const char*, const char* options, bn_device** device, bn_error* error) {
  if (!cpu_has_features()) return set_error(error, BN_E_UNSUPPORTED, "this CPU lacks avx2, fma or f16c");
  char isa[16] = "";
  const Option found = read_option(options, "isa", isa, sizeof isa);
  if (found == Option::kNotAnObject) return set_error(error, BN_E_INVALID, "options: not a JSON object: %.160s", options);
  const bool plain = std::strcmp(isa, "avx2") == 0, vnni = std::strcmp(isa, "avx2_vnni") == 0;
  if (found != Option::kAbsent && !plain && !vnni) {
    return set_error(error, BN_E_INVALID, "option isa: expected \"avx2\" or \"avx2_vnni\", found: %.160s", options);
  }
  if (vnni && !cpu_has_vnni()) return set_error(error, BN_E_UNSUPPORTED, "option isa: this CPU lacks avx_vnni");
  const bn_kernels_v1* table = !plain && cpu_has_vnni() ? &kVnni : &kPlain;
  *device = reinterpret_cast<bn_device*>(const_cast<bn_kernels_v1*>(table));
  return BN_OK;
}

const void* get_interface(bn_device* device, const char* id) { return std::strcmp(id, BN_KERNELS_ID) == 0 ? device : nullptr; }

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.cpu-avx2", "0.1.0", "bitnet-run", 0, enumerate, open, close,
    get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
