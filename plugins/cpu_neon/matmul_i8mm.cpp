// cpu_neon/matmul_i8mm.cpp - ternary matmul for CPUs with SMMLA (Armv8.6: Neoverse V1 and N2, Graviton3, ...).
//
// SMMLA multiplies 2 tokens x 8 columns by 8 columns x 2 rows into a 2x2 tile of int32: twice the products of SDOT. A single
// token would leave half of it empty, so few tokens go by SDOT.
#include "matmul.h"
#include "sdot.h"

namespace {

// Halves of 8 columns of two tokens: {a, b}.
static inline int8x16_t low_halves(int8x16_t a, int8x16_t b) {
  return vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b)));
}
static inline int8x16_t high_halves(int8x16_t a, int8x16_t b) {
  return vreinterpretq_s8_s64(vzip2q_s64(vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b)));
}

struct I8mm : SdotSums {
  static constexpr uint32_t kTokens = 8;

  // A step holds four pairs of rows; of a pair the first 8 columns of both rows, then the other 8.
  static void put(uint8_t* step, uint32_t r, uint8x16_t codes) {
    uint8_t* pair = step + 32 * (r / 2) + 8 * (r % 2);
    vst1_u8(pair, vget_low_u8(codes));
    vst1_u8(pair + 16, vget_high_u8(codes));
  }

  // 16 sums of 2 tokens by 2 rows, four pairs of x and of rows.
  static void tile(const uint8_t* step, const int8_t* const* x, uint32_t steps, int32_t (*dot)[kRows]) {
    int32x4_t sum[4][4];  // [tokens 2i and 2i+1][rows 2j and 2j+1]
    BN_UNROLL
    for (int i = 0; i < 16; ++i) sum[i / 4][i % 4] = vdupq_n_s32(0);
    for (uint32_t s = 0; s < steps; ++s, step += kStepBytes) {
      int8x16_t low[4], high[4];
      BN_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int8x16_t even = vld1q_s8(x[2 * i] + 16 * s), odd = vld1q_s8(x[2 * i + 1] + 16 * s);
        low[i] = low_halves(even, odd);
        high[i] = high_halves(even, odd);
      }
      BN_UNROLL
      for (int j = 0; j < 4; ++j) {
        const int8x16_t w_low = vreinterpretq_s8_u8(vld1q_u8(step + 32 * j));
        const int8x16_t w_high = vreinterpretq_s8_u8(vld1q_u8(step + 32 * j + 16));
        BN_UNROLL
        for (int i = 0; i < 4; ++i) sum[i][j] = vmmlaq_s32(vmmlaq_s32(sum[i][j], low[i], w_low), high[i], w_high);
      }
    }
    BN_UNROLL
    for (int i = 0; i < 4; ++i) {
      BN_UNROLL
      for (int j = 0; j < 4; ++j) {
        int32_t *even = dot[2 * i] + 2 * j, *odd = dot[2 * i + 1] + 2 * j;
        vst1_s32(even, vadd_s32(vld1_s32(even), vget_low_s32(sum[i][j])));
        vst1_s32(odd, vadd_s32(vld1_s32(odd), vget_high_s32(sum[i][j])));
      }
    }
  }
};

}  // namespace

namespace bn::neon {

bn_status matmul_i8mm(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  return multiply<I8mm>(*a, row0, row1, scratch);
}

}  // namespace bn::neon
