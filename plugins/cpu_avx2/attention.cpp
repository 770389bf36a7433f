// cpu_avx2/attention.cpp - attention over paged KV.
#include "bitnet/kit/vector/attention.hpp"

#include "kernels.h"
#include "simd.h"

namespace bn::avx2 {

bn_status attention(bn_device*, const bn_attn* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void*) {
  return kit::vector::attention<Avx2>(*a, tok0, tok1, head0, head1);
}

}  // namespace bn::avx2
