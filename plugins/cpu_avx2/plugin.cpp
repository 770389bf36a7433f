// cpu_avx2/plugin.cpp - the AVX2 backend at the plugin boundary: manifest, device, answers about formats, table of ops.
//
// Compiled for the baseline CPU: this file runs before anybody knows that the machine has AVX2.
#include "bitnet/kit/plugin.hpp"

#include <cpuid.h>

#include <cstring>

#include "bitnet/kit/options.hpp"
#include "bitnet/kit/ternary.hpp"
#include "bitnet/kit/vector/dense_types.hpp"
#include "kernels.h"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.cpu-avx2", "name": "cpu_avx2", "version": "0.1.0",
 "kind": "cpu", "tiers": ["kernels"], "arch": ["x86_64"], "cpu": ["avx2", "fma", "f16c"], "numerics": "exact-1"})");

namespace {

using bn::kit::Layout;
using bn::kit::layout_of;
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

// Groups of 128 columns are read in place; bn.t2 is packed into them, its rows padded with weight 0.
int32_t accepts(bn_device*, const bn_tensor* w) {
  if (w->dtype != BN_DT_TERNARY || w->cols == 0 || w->cols > BN_K_MAX) return BN_NO;
  switch (layout_of(w->format)) {
    case Layout::kI2s128:
      return w->cols % bn::avx2::kGroup == 0 ? BN_NATIVE : BN_NO;
    case Layout::kT2:
      return BN_PACK;
    default:
      return BN_NO;
  }
}

bn_status pack_size(bn_device* device, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* error) {
  if (accepts(device, w) != BN_PACK) {
    return set_error(error, BN_E_UNSUPPORTED, "pack: expected a ternary matrix in layout bn.t2 with 1..%u columns", BN_K_MAX);
  }
  *bytes = w->rows * bn::avx2::packed_row_bytes(w->cols);
  if (layout != nullptr) {
    static const uint8_t fingerprint[16] = BN_FINGERPRINT_I2S128;
    layout->bits_num = 2;
    layout->bits_den = 1;
    layout->align = 32;
    layout->tile_rows = 1;
    layout->tile_cols = bn::avx2::kGroup;
    layout->flags = 0;
    std::strcpy(layout->id, "bn.i2s128");
    std::memcpy(layout->fingerprint, fingerprint, sizeof fingerprint);
  }
  return BN_OK;
}

bn_status pack(bn_device* device, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* error) {
  if (accepts(device, w) != BN_PACK) {
    return set_error(error, BN_E_UNSUPPORTED, "pack: expected a ternary matrix in layout bn.t2 with 1..%u columns", BN_K_MAX);
  }
  const uint32_t bad = bn::avx2::pack_rows(*w, row0, row1, static_cast<uint8_t*>(dst));
  if (bad < row1) return set_error(error, BN_E_DATA, "pack: row %u holds the code 3; codes are 0, 1, 2", bad);
  return BN_OK;
}

// Rows are worked on in bundles of 16: ranges that start so waste nothing. Any range is correct.
constexpr uint32_t kRowGranule = 16;

constexpr bn_kernels_v1 table_with(bn_status (*matmul)(bn_device*, const bn_matmul*, uint32_t, uint32_t, void*)) {
  return {sizeof(bn_kernels_v1),
          BN_EXACT_1,
          0.0f,
          kRowGranule,
          bn::avx2::kGroup,
          bn::avx2::kScratchBytes,
          accepts,
          pack_size,
          pack,
          matmul,
          bn::kit::vector::kDenseDtypes,
          bn::avx2::dense,
          bn::avx2::norm,
          bn::avx2::rope,
          bn::avx2::attention,
          bn::avx2::glu};
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
