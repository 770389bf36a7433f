// plugin.cpp - backend "acme" at the plugin boundary: manifest, device, answers about formats, table of ops.
//
// Runs before anybody knows what this CPU can do: compile it without special CPU flags. To make it yours, replace acme,
// com.example.acme and Example Inc. here and acme in CMakeLists.txt; then make dot.cpp fast.
#include "bitnet/kit/plugin.hpp"

#include <cstring>

#include "matmul.h"

// Read from the file before any of this code runs. "cpu": what the machine must have, for example ["avx2"].
BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "com.example.acme", "name": "acme", "version": "0.1.0",
 "kind": "cpu", "tiers": ["kernels"], "arch": ["x86_64", "aarch64"], "cpu": [], "numerics": "exact-1"})");

namespace {

using bn::kit::set_error;

// One device. A machine that lacks something answers BN_E_UNSUPPORTED and says what.
bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
  info->kind = BN_DEV_CPU;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, "CPU, acme kernels");
  return BN_OK;
}

// The kernels keep no state, so a device is nothing but an address.
bn_device* const kDevice = reinterpret_cast<bn_device*>(1);

bn_status open(const bn_host*, const char*, const char*, bn_device** device, bn_error*) {
  *device = kDevice;
  return BN_OK;
}

void close(bn_device*) {}

// bn.t2, the layout everybody must take, is packed into our own; the runtime converts all others to it. Formats are
// recognised by their fingerprint, never by a name.
int32_t accepts(bn_device*, const bn_tensor* w) {
  static const uint8_t t2[16] = BN_FINGERPRINT_T2;
  if (w->dtype != BN_DT_TERNARY || w->format == nullptr || w->cols == 0 || w->cols > BN_K_MAX) return BN_NO;
  return std::memcmp(w->format->fingerprint, t2, sizeof t2) == 0 ? BN_PACK : BN_NO;
}

bn_status pack_size(bn_device* device, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* error) {
  if (accepts(device, w) != BN_PACK) return set_error(error, BN_E_UNSUPPORTED, "pack: expected a ternary matrix in bn.t2");
  *bytes = w->rows * acme::row_bytes(w->cols);
  if (layout != nullptr) {
    layout->bits_num = 2;
    layout->bits_den = 1;
    layout->align = 32;
    layout->tile_rows = 1;
    layout->tile_cols = acme::kGroup;
    std::strcpy(layout->id, "acme.p128");
  }
  return BN_OK;
}

bn_status pack(bn_device* device, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* error) {
  if (accepts(device, w) != BN_PACK) return set_error(error, BN_E_UNSUPPORTED, "pack: expected a ternary matrix in bn.t2");
  const uint32_t bad = acme::pack_rows(*w, row0, row1, static_cast<uint8_t*>(dst));
  if (bad < row1) return set_error(error, BN_E_DATA, "pack: row %u holds the code 3; codes are 0, 1, 2", bad);
  return BN_OK;
}

bn_status matmul(bn_device*, const bn_matmul* args, uint32_t row0, uint32_t row1, void*) {
  acme::matmul(*args, row0, row1);
  return BN_OK;
}

// The optional ops stay null: the runtime uses its own for them, with the same bits.
constexpr bn_kernels_v1 kTable = {
    sizeof(bn_kernels_v1),
    BN_EXACT_1,
    0.0f,          // tolerance: none, the bits are exact
    1,             // row_granule: any range of rows is fine
    acme::kGroup,  // k_align: activations come zero padded to whole groups
    0,             // scratch_bytes
    accepts,
    pack_size,
    pack,
    matmul,
    0,        // dense_dtypes
    nullptr,  // dense
    nullptr,  // norm
    nullptr,  // rope
    nullptr,  // attention
    nullptr   // glu
};

const void* get_interface(bn_device*, const char* id) { return std::strcmp(id, BN_KERNELS_ID) == 0 ? &kTable : nullptr; }

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "com.example.acme", "0.1.0", "Example Inc.", 0, enumerate, open, close, get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
