// cpu_avx512/packs_fives.h - three ternary weights in five bits: the layout, and accepts, pack_size and pack for it.
//
// Three weights have 27 values, which five bits hold: 1.67 bits a weight instead of 2, so that a token reads a sixth less. A
// block is 16 rows, a group 96 columns of a block: eight registers of 64 codes, in five lines of 64 bytes.
//   register i, byte 4r + t  c(12i + t) + 3 * c(12i + 4 + t) + 9 * c(12i + 8 + t) of row r, c the weights of these columns + 1
//   line k < 4               the low four bits of register 2k in the low halves of its bytes, those of register 2k + 1 above
//   line 4                   bit i of a byte: the fifth bit of register i
// A block is its groups one after the other. Rows and columns that fill up the last ones have weight 0. Baseline code.
#pragma once

#include <cstring>

#include "bitnet/kernels.h"
#include "bitnet/kit/packs_i2s128.hpp"
#include "kernels.h"

namespace bn::avx512::fives {

constexpr uint32_t kRows = 16, kColumns = 96, kBytes = 320;
// Blocks that a multiplication works on together; others that are left over are read half as fast.
constexpr uint32_t kBlocksTogether = 4, kRowsTogether = kBlocksTogether * kRows;

constexpr uint64_t groups_of(uint32_t cols) { return (static_cast<uint64_t>(cols) + kColumns - 1) / kColumns; }
constexpr uint64_t block_bytes(uint32_t cols) { return kBytes * groups_of(cols); }

static inline int32_t accepts(bn_device* device, const bn_tensor* w) {
  return kit::i2s128::accepts(device, w) == BN_NO ? BN_NO : BN_PACK;
}

static inline bn_status refuse_to_pack(bn_error* error) {
  return kit::set_error(
      error, BN_E_UNSUPPORTED,
      "pack: expected a ternary matrix with 1..%u columns, in layout bn.t2, or in bn.i2s128 with a multiple of 128", BN_K_MAX);
}

static inline bn_status pack_size(bn_device* device, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* error) {
  if (accepts(device, w) != BN_PACK) return refuse_to_pack(error);
  *bytes = (static_cast<uint64_t>(w->rows) + kRows - 1) / kRows * block_bytes(w->cols);
  if (layout != nullptr) {
    static const uint8_t fingerprint[16] = {0xc8, 0xad, 0x95, 0x7a, 0xf5, 0xdf, 0x90, 0x84,
                                            0xab, 0x30, 0x70, 0xf2, 0xf8, 0x91, 0x46, 0x23};
    layout->bits_num = 5;
    layout->bits_den = 3;
    layout->align = 64;
    layout->tile_rows = kRows;
    layout->tile_cols = kColumns;
    layout->flags = 0;
    std::strcpy(layout->id, "cpu_avx512.fives");
    std::memcpy(layout->fingerprint, fingerprint, sizeof fingerprint);
  }
  return BN_OK;
}

static inline bn_status pack(bn_device* device, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* error) {
  if (accepts(device, w) != BN_PACK) return refuse_to_pack(error);
  const uint32_t bad = pack_fives(*w, row0, row1, static_cast<uint8_t*>(dst));
  if (bad < row1) return kit::set_error(error, BN_E_DATA, "pack: row %u holds the code 3; codes are 0, 1, 2", bad);
  return BN_OK;
}

}  // namespace bn::avx512::fives
