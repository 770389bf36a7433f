// bitnet/kit/portable_kernels.hpp - the reference bodies as a bn.kernels/1 table, compiled with the includer's flags.
//
// cpu_portable offers this table; the runtime takes from it the ops that another plugin leaves out.
#pragma once

#include "bitnet/kit/ops.hpp"
#include "bitnet/kit/plugin.hpp"

namespace bn::kit::portable {

// Both 2-bit layouts are read as they lie; i2s128 rows are whole groups of 128.
static int32_t accepts(bn_device*, const bn_tensor* w) {
  if (w->dtype != BN_DT_TERNARY || w->cols == 0 || w->cols > BN_K_MAX) return BN_NO;
  const Layout layout = layout_of(w->format);
  if (layout == Layout::kI2s128) return w->cols % 128 == 0 ? BN_NATIVE : BN_NO;
  return layout == Layout::kT2 ? BN_NATIVE : BN_NO;
}
static bn_status pack_size(bn_device*, const bn_tensor*, uint64_t*, bn_format*, bn_error* error) {
  return set_error(error, BN_E_UNSUPPORTED, "this backend reads both layouts in place and packs nothing");
}
static bn_status pack(bn_device*, const bn_tensor*, uint32_t, uint32_t, void*, bn_error* error) {
  return set_error(error, BN_E_UNSUPPORTED, "this backend reads both layouts in place and packs nothing");
}
static bn_status run_matmul(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  matmul(*a, row0, row1, static_cast<int8_t*>(scratch));
  return BN_OK;
}
static bn_status run_dense(bn_device*, const bn_dense* a, uint32_t row0, uint32_t row1, void*) {
  dense(*a, row0, row1);
  return BN_OK;
}
static bn_status run_norm(bn_device*, const bn_norm* a, uint32_t vec0, uint32_t vec1, void*) {
  norm(*a, vec0, vec1);
  return BN_OK;
}
static bn_status run_rope(bn_device*, const bn_rope* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void*) {
  rope(*a, tok0, tok1, head0, head1);
  return BN_OK;
}
static bn_status run_attention(bn_device*, const bn_attn* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1,
                               void*) {
  attention(*a, tok0, tok1, head0, head1);
  return BN_OK;
}
static bn_status run_glu(bn_device*, const bn_glu* a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1, void*) {
  glu(*a, tok0, tok1, col0, col1);
  return BN_OK;
}

static bn_status run_attention_parts(bn_device*, const bn_attn* a, const bn_attn_parts* parts, uint32_t tok0, uint32_t tok1,
                                     uint32_t head0, uint32_t head1, uint32_t page0, uint32_t page1, void*) {
  attention_parts(*a, *parts, tok0, tok1, head0, head1, page0, page1);
  return BN_OK;
}
static bn_status run_merge_parts(bn_device*, const bn_attn* a, const bn_attn_parts* parts, uint32_t tok0, uint32_t tok1,
                                 uint32_t head0, uint32_t head1, void*) {
  merge_parts(*a, *parts, tok0, tok1, head0, head1);
  return BN_OK;
}

static constexpr uint64_t kDenseDtypes = 1ull << BN_DT_F32 | 1ull << BN_DT_F16 | 1ull << BN_DT_BF16 | 1ull << BN_DT_I8_ROW |
                                         1ull << BN_DT_Q8_0 | 1ull << BN_DT_Q4_0 | 1ull << BN_DT_Q4_K | 1ull << BN_DT_Q5_K |
                                         1ull << BN_DT_Q6_K;

static constexpr bn_kernels_v1 kTable = {sizeof(bn_kernels_v1),
                                         BN_EXACT_1,
                                         0.0f,
                                         1,
                                         1,
                                         BN_K_MAX,
                                         accepts,
                                         pack_size,
                                         pack,
                                         run_matmul,
                                         kDenseDtypes,
                                         run_dense,
                                         run_norm,
                                         run_rope,
                                         run_attention,
                                         run_glu,
                                         run_attention_parts,
                                         run_merge_parts};

}  // namespace bn::kit::portable
