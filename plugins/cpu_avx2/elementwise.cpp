// cpu_avx2/elementwise.cpp - norm and quantisation, RoPE, the gated activations.
#include "bitnet/kit/vector/elementwise.hpp"

#include "bitnet/kit/vector/norm.hpp"
#include "kernels.h"
#include "simd.h"

namespace bn::avx2 {

bn_status norm(bn_device*, const bn_norm* a, uint32_t vec0, uint32_t vec1, void*) {
  kit::vector::norm<Avx2>(*a, vec0, vec1);
  return BN_OK;
}

bn_status rope(bn_device*, const bn_rope* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void*) {
  kit::vector::rope<Avx2>(*a, tok0, tok1, head0, head1);
  return BN_OK;
}

bn_status glu(bn_device*, const bn_glu* a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1, void*) {
  return kit::vector::glu<Avx2>(*a, tok0, tok1, col0, col1);
}

}  // namespace bn::avx2
