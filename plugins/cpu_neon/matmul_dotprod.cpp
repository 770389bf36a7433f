// cpu_neon/matmul_dotprod.cpp - ternary matmul for CPUs with SDOT (Armv8.2 and later: Cortex-A76, Neoverse N1, ...).
#include "matmul.h"
#include "sdot.h"

namespace {

struct Dotprod : SdotSums {
  static constexpr uint32_t kTokens = 3;

  static void put(uint8_t* step, uint32_t r, uint8x16_t codes) { vst1q_u8(step + 16 * r, codes); }
  static void tile(const uint8_t* step, const int8_t* const* x, uint32_t steps, int32_t (*dot)[kRows]) {
    tile_of_rows<Dotprod>(step, x, steps, dot);
  }
};

}  // namespace

namespace bn::neon {

bn_status matmul_dotprod(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  return multiply<Dotprod>(*a, row0, row1, scratch);
}

}  // namespace bn::neon
