// cpu_avx512/plugin.cpp - the AVX2 backend at the plugin boundary: manifest, device, answers about formats, table of ops.
//
// Compiled for the baseline CPU: this file runs before anybody knows that the machine has AVX-512.
#include "bitnet/kit/plugin.hpp"

#include <cstring>

#include "bitnet/kit/ternary.hpp"
#include "bitnet/kit/vector/dense_types.hpp"
#include "kernels.h"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.cpu-avx512", "name": "cpu_avx512", "version": "0.1.0",
 "kind": "cpu", "tiers": ["kernels"], "arch": ["x86_64"], "cpu": ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"], "numerics": "exact-1"})");

namespace {

using bn::kit::Layout;
using bn::kit::layout_of;
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

// The kernels keep no state, so a device is nothing but an address.
bn_device* const kDevice = reinterpret_cast<bn_device*>(1);

bn_status open(const bn_host*, const char*, const char*, bn_device** device, bn_error* error) {
  if (!cpu_has_features()) return set_error(error, BN_E_UNSUPPORTED, "this CPU lacks AVX-512 (F, BW, DQ, VL) or its VNNI");
  *device = kDevice;
  return BN_OK;
}

void close(bn_device*) {}

// Groups of 128 columns are read in place; bn.t2 is packed into them, its rows padded with weight 0.
int32_t accepts(bn_device*, const bn_tensor* w) {
  if (w->dtype != BN_DT_TERNARY || w->cols == 0 || w->cols > BN_K_MAX) return BN_NO;
  switch (layout_of(w->format)) {
    case Layout::kI2s128:
      return w->cols % bn::avx512::kGroup == 0 ? BN_NATIVE : BN_NO;
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
  *bytes = w->rows * bn::avx512::packed_row_bytes(w->cols);
  if (layout != nullptr) {
    static const uint8_t fingerprint[16] = BN_FINGERPRINT_I2S128;
    layout->bits_num = 2;
    layout->bits_den = 1;
    layout->align = 32;
    layout->tile_rows = 1;
    layout->tile_cols = bn::avx512::kGroup;
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
  const uint32_t bad = bn::avx512::pack_rows(*w, row0, row1, static_cast<uint8_t*>(dst));
  if (bad < row1) return set_error(error, BN_E_DATA, "pack: row %u holds the code 3; codes are 0, 1, 2", bad);
  return BN_OK;
}

// Rows are worked on in bundles of 16: ranges that start so waste nothing. Any range is correct.
constexpr uint32_t kRowGranule = 16;

constexpr bn_kernels_v1 kTable = {sizeof(bn_kernels_v1),
                                  BN_EXACT_1,
                                  0.0f,
                                  kRowGranule,
                                  bn::avx512::kGroup,
                                  bn::avx512::kScratchBytes,
                                  accepts,
                                  pack_size,
                                  pack,
                                  bn::avx512::matmul,
                                  bn::kit::vector::kDenseDtypes,
                                  bn::avx512::dense,
                                  bn::avx512::norm,
                                  bn::avx512::rope,
                                  bn::avx512::attention,
                                  bn::avx512::glu};

const void* get_interface(bn_device*, const char* id) { return std::strcmp(id, BN_KERNELS_ID) == 0 ? &kTable : nullptr; }

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.cpu-avx512", "0.1.0", "bitnet-run", 0, enumerate, open, close,
    get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
