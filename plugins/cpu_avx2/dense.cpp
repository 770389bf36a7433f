// cpu_avx2/dense.cpp - embeddings and output heads.
#include "bitnet/kit/vector/dense.hpp"

#include "kernels.h"
#include "simd.h"

namespace bn::avx2 {

static_assert(sizeof(kit::vector::DenseTiles) <= kScratchBytes);

bn_status dense(bn_device*, const bn_dense* a, uint32_t row0, uint32_t row1, void* scratch) {
  return kit::vector::dense<Avx2>(*a, row0, row1, static_cast<kit::vector::DenseTiles*>(scratch));
}

}  // namespace bn::avx2
