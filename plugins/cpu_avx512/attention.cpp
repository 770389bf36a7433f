// cpu_avx512/attention.cpp - attention over paged KV.
#include "bitnet/kit/vector/attention_parts.hpp"
#include "bitnet/kit/vector/prompt_attention.hpp"
#include "kernels.h"
#include "simd.h"

namespace bn::avx512 {

static_assert(sizeof(kit::vector::PromptPlace) <= kScratchBytes);

bn_status attention(bn_device*, const bn_attn* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void* scratch) {
  return kit::vector::prompt_attention<Avx512>(*a, tok0, tok1, head0, head1, scratch);
}

bn_status attention_parts(bn_device*, const bn_attn* a, const bn_attn_parts* parts, uint32_t tok0, uint32_t tok1,
                          uint32_t head0, uint32_t head1, uint32_t page0, uint32_t page1, void*) {
  return kit::vector::attention_parts<Avx512>(*a, *parts, tok0, tok1, head0, head1, page0, page1);
}

bn_status merge_parts(bn_device*, const bn_attn* a, const bn_attn_parts* parts, uint32_t tok0, uint32_t tok1, uint32_t head0,
                      uint32_t head1, void*) {
  kit::vector::merge_parts<Avx512>(*a, *parts, tok0, tok1, head0, head1);
  return BN_OK;
}

}  // namespace bn::avx512
