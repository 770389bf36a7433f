// bitnet/kit/packs_i2s128.hpp - answers of plugins whose kernels read groups of 128 columns: accepts, pack_size and pack of
// bn.kernels/1.
//
// bn.i2s128 with whole groups is read in place; bn.t2 is packed into it, its rows padded with weight 0. Baseline code.
#pragma once

#include <cstring>

#include "bitnet/kernels.h"
#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/ternary.hpp"

namespace bn::kit::i2s128 {

inline constexpr uint32_t kGroup = 128;  // columns in 32 bytes

// Bytes of a packed row.
constexpr uint64_t packed_row_bytes(uint32_t cols) { return (static_cast<uint64_t>(cols) + kGroup - 1) / kGroup * 32; }

static inline int32_t accepts(bn_device*, const bn_tensor* w) {
  if (w->dtype != BN_DT_TERNARY || w->cols == 0 || w->cols > BN_K_MAX) return BN_NO;
  switch (layout_of(w->format)) {
    case Layout::kI2s128:
      return w->cols % kGroup == 0 ? BN_NATIVE : BN_NO;
    case Layout::kT2:
      return BN_PACK;
    default:
      return BN_NO;
  }
}

static inline bn_status refuse_to_pack(bn_error* error) {
  return set_error(error, BN_E_UNSUPPORTED, "pack: expected a ternary matrix in layout bn.t2 with 1..%u columns", BN_K_MAX);
}

static inline bn_status pack_size(bn_device* device, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* error) {
  if (accepts(device, w) != BN_PACK) return refuse_to_pack(error);
  *bytes = w->rows * packed_row_bytes(w->cols);
  if (layout != nullptr) {
    static const uint8_t fingerprint[16] = BN_FINGERPRINT_I2S128;
    layout->bits_num = 2;
    layout->bits_den = 1;
    layout->align = 32;
    layout->tile_rows = 1;
    layout->tile_cols = kGroup;
    layout->flags = 0;
    std::strcpy(layout->id, "bn.i2s128");
    std::memcpy(layout->fingerprint, fingerprint, sizeof fingerprint);
  }
  return BN_OK;
}

// PackRows packs rows [row0, row1) of a bn.t2 matrix into dst, the start of the whole packed matrix, and returns the first row
// that holds the invalid code 3, or row1.
template <uint32_t (*PackRows)(const bn_tensor& w, uint32_t row0, uint32_t row1, uint8_t* dst)>
static inline bn_status pack(bn_device* device, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* error) {
  if (accepts(device, w) != BN_PACK) return refuse_to_pack(error);
  const uint32_t bad = PackRows(*w, row0, row1, static_cast<uint8_t*>(dst));
  if (bad < row1) return set_error(error, BN_E_DATA, "pack: row %u holds the code 3; codes are 0, 1, 2", bad);
  return BN_OK;
}

}  // namespace bn::kit::i2s128
