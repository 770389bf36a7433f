// cpu_neon/matmul.cpp - ternary matmul for every 64-bit Arm: widening multiply-adds into int16.
#include "matmul.h"

namespace {

// Codes are at most 2 and |x| at most 127, so 128 products of at most 254 (64 vectors, two products a lane) fit int16: 32512.
struct Baseline {
  using Sum = int16x8_t;
  static constexpr uint32_t kTokens = 3;

  static Sum zero() { return vdupq_n_s16(0); }
  static void add(Sum* sum, int8x16_t codes, int8x16_t x) {
    *sum = vmlal_high_s8(vmlal_s8(*sum, vget_low_s8(codes), vget_low_s8(x)), codes, x);
  }
  static int32x4_t lanes(Sum sum) { return vpaddlq_s16(sum); }
  static void put(uint8_t* step, uint32_t r, uint8x16_t codes) { vst1q_u8(step + 16 * r, codes); }
  static void tile(const uint8_t* step, const int8_t* const* x, uint32_t steps, int32_t (*dot)[kRows]) {
    tile_of_rows<Baseline>(step, x, steps, dot);
  }
};

}  // namespace

namespace bn::neon {

bn_status matmul(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  return multiply<Baseline>(*a, row0, row1, scratch);
}

}  // namespace bn::neon
