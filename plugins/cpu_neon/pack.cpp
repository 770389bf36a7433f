// cpu_neon/pack.cpp - bn.t2 rows into groups of 128 columns (bn.i2s128), the layout matmul.h reads.
#include "bitnet/kit/ternary.hpp"
#include "kernels.h"
#include "simd.h"

namespace bn::neon {

// 32 bytes of bn.t2 to one group; false: a code is 3. Code j of each byte is moved to its place in all four planes, which
// gives the bytes 4i + j of the group; the store of four vectors interleaves them.
static inline bool pack_group(const uint8_t* t2, uint8_t* group) {
  const uint8x8_t three = vdup_n_u8(3);
  uint8x8_t plane[4];
  uint8x8x4_t out;
  uint8x8_t invalid = vdup_n_u8(0);
  BN_UNROLL
  for (int p = 0; p < 4; ++p) {
    plane[p] = vld1_u8(t2 + 8 * p);
    invalid = vorr_u8(invalid, vand_u8(plane[p], vshr_n_u8(plane[p], 1)));
  }
  BN_UNROLL
  for (int j = 0; j < 4; ++j) {
    const int8x8_t down = vdup_n_s8(static_cast<int8_t>(-2 * j));
    uint8x8_t codes = vand_u8(vshl_u8(plane[0], down), three);
    BN_UNROLL
    for (int p = 1; p < 4; ++p) codes = vorr_u8(vshl_n_u8(codes, 2), vand_u8(vshl_u8(plane[p], down), three));
    out.val[j] = codes;
  }
  vst4_u8(group, out);
  return vmaxv_u8(vand_u8(invalid, vdup_n_u8(0x55))) == 0;
}

// The last columns of a row, fewer than a group; false: a code is 3.
static bool pack_rest(const uint8_t* t2, uint32_t cols, uint8_t* group) {
  int8_t trits[kGroup];
  kit::read_row(kit::Layout::kT2, t2, cols, trits);
  for (uint32_t c = 0; c < cols; ++c) {
    if (trits[c] > 1) return false;
  }
  kit::write_row_i2s128(trits, cols, group);
  return true;
}

uint32_t pack_rows(const bn_tensor& w, uint32_t row0, uint32_t row1, uint8_t* dst) {
  const uint64_t t2_bytes = (static_cast<uint64_t>(w.cols) + 3) / 4, out_bytes = packed_row_bytes(w.cols);
  const uint32_t full = w.cols / kGroup, rest = w.cols % kGroup;
  for (uint32_t r = row0; r < row1; ++r) {
    const uint8_t* in = static_cast<const uint8_t*>(w.data) + r * t2_bytes;
    uint8_t* out = dst + r * out_bytes;
    bool valid = true;
    for (uint32_t g = 0; g < full; ++g) valid &= pack_group(in + 32 * g, out + 32 * g);
    if (rest != 0) valid &= pack_rest(in + 32 * full, rest, out + 32 * full);
    if (!valid) return r;
  }
  return row1;
}

}  // namespace bn::neon
