// mutants/plugin.cpp - the correct plugin: entry, device, packing; and the choice of a mutant by name.
#include "bitnet/kit/plugin.hpp"

#include <cstring>
#include <memory>
#include <string>

#include "bitnet/kit/portable.h"
#include "bitnet/kit/ternary.hpp"
#include "mutants.h"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.mutants", "name": "mutants", "version": "0.1.0",
 "kind": "test", "tiers": ["kernels"], "arch": ["x86_64", "aarch64"], "cpu": [], "numerics": "exact-1"})");

namespace bitnet::mutants {
namespace {

using bn::kit::Layout;
using bn::kit::set_error;

int32_t accepts(bn_device*, const bn_tensor* w) {
  if (w->dtype != BN_DT_TERNARY || w->cols == 0 || w->cols > BN_K_MAX) return BN_NO;
  return bn::kit::layout_of(w->format) == Layout::kT2 ? BN_PACK : BN_NO;
}

bn_status pack_size(bn_device*, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error*) {
  *bytes = row_stride(*w) * w->rows;
  layout->bits_num = 8;
  layout->bits_den = layout->align = layout->tile_rows = 1;
  layout->tile_cols = kAlign;
  std::strcpy(layout->id, "org.bitnet-run.bytes");
  return BN_OK;
}

bn_status pack(bn_device*, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error*) {
  for (uint32_t r = row0; r < row1; ++r) {
    int8_t* row = static_cast<int8_t*>(dst) + r * row_stride(*w);
    std::memset(row, 0, row_stride(*w));
    bn::kit::read_row(Layout::kT2, static_cast<const uint8_t*>(w->data) + r * bn::kit::row_bytes(Layout::kT2, w->cols), w->cols,
                      row);
  }
  return BN_OK;
}

bn_status matmul(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void*) {
  for (uint32_t r = row0; r < row1; ++r) {
    const int8_t* w = static_cast<const int8_t*>(a->packed) + r * row_stride(*a->w);
    for (uint32_t t = 0; t < a->m; ++t) {
      const int8_t* x = a->x + uint64_t{t} * a->x_stride;
      int32_t dot = 0;
      for (uint32_t c = 0; c < a->w->cols; ++c) dot += w[c] * x[c];
      a->y[uint64_t{t} * a->y_stride + r] = static_cast<float>(dot) * (a->x_scale[t] * bn::kit::row_scale(*a->w, r));
    }
  }
  return BN_OK;
}

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
  info->kind = BN_DEV_TEST;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, "CPU, with a defect");
  return BN_OK;
}

// Applies the mutant that the options name; false: there is none of that name.
bool apply(const char* options, bn_device& device) {
  const char* key = options == nullptr ? nullptr : std::strstr(options, "\"mutant\"");
  if (key == nullptr) return true;
  const char* begin = std::strchr(key + 8, '"') + 1;
  const std::string name(begin, std::strchr(begin, '"'));
  for (const Mutant* list : {kMatmulMutants, kFormatMutants, kOpMutants}) {
    for (const Mutant* m = list; m->name != nullptr; ++m) {
      if (name != m->name) continue;
      m->apply(device);
      return true;
    }
  }
  return false;
}

bn_status open(const bn_host*, const char*, const char* options, bn_device** out, bn_error* error) {
  return bn::kit::guard(error, [&]() -> bn_status {
    auto device = std::make_unique<bn_device>();
    device->table = correct_kernels();
    if (!apply(options, *device)) return set_error(error, BN_E_INVALID, "no such mutant: %.160s", options);
    *out = device.release();
    return BN_OK;
  });
}

void close(bn_device* device) {
  if (!device->leaks) delete device;
}

const void* get_interface(bn_device* device, const char* id) {
  return std::strcmp(id, BN_KERNELS_ID) == 0 ? &device->table : nullptr;
}

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.mutants", "0.1.0", "bitnet-run", 0, enumerate, open, close, get_interface};

}  // namespace

bn_kernels_v1 correct_kernels() {
  bn_kernels_v1 t = *bn_portable_kernels();
  t.k_align = kAlign;
  t.scratch_bytes = 256;
  t.accepts = accepts;
  t.pack_size = pack_size;
  t.pack = pack;
  t.matmul = matmul;
  return t;
}

}  // namespace bitnet::mutants

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &bitnet::mutants::kPlugin; }
