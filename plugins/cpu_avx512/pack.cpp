// cpu_avx512/pack.cpp - bn.t2 rows into groups of 128 columns (bn.i2s128), the layout matmul.cpp reads.
#include "bitnet/kit/vector/pack_avx2.hpp"
#include "kernels.h"

namespace bn::avx512 {

uint32_t pack_rows(const bn_tensor& w, uint32_t row0, uint32_t row1, uint8_t* dst) {
  return kit::vector::pack_rows_avx2(w, row0, row1, dst);
}

}  // namespace bn::avx512
