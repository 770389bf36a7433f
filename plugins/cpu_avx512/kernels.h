// cpu_avx512/kernels.h - the ops of this plugin, one source each; plugin.cpp puts them into the bn.kernels/1 table.
//
// Arguments, ranges and results are those of bitnet/kernels.h; each op equals its body in bitnet/kit/ops.hpp bit for bit.
// The sources behind it are compiled for AVX-512 and hold nothing but static functions besides these (no std:: templates: the
// linker could give an AVX-512 copy to baseline code).
#pragma once

#include "bitnet/kernels.h"
#include "bitnet/kit/packs_i2s128.hpp"

namespace bn::avx512 {

// Columns of a packed row are padded with weight 0 to whole groups; x must be readable as far.
using kit::i2s128::kGroup, kit::i2s128::packed_row_bytes;

// Private memory of one op call, bytes: the largest of what the sources keep there, each checked by its source.
inline constexpr uint32_t kScratchBytes = 840 * 1024;

// Rows [row0, row1) of a bn.t2 matrix into dst, the start of the whole packed matrix. Returns the first row that holds the
// invalid code 3, or row1.
uint32_t pack_rows(const bn_tensor& w, uint32_t row0, uint32_t row1, uint8_t* dst);

// The same of bn.t2 or bn.i2s128 into the layout of packs_fives.h.
uint32_t pack_fives(const bn_tensor& w, uint32_t row0, uint32_t row1, uint8_t* dst);

bn_status matmul(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch);
// The same, faster for many tokens on some CPUs.
bn_status table_matmul(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch);
// The same two with weights in the layout of packs_fives.h, for CPUs with VBMI.
bn_status matmul_fives(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch);
bn_status table_matmul_fives(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch);
bn_status dense(bn_device*, const bn_dense* a, uint32_t row0, uint32_t row1, void* scratch);
bn_status norm(bn_device*, const bn_norm* a, uint32_t vec0, uint32_t vec1, void* scratch);
bn_status rope(bn_device*, const bn_rope* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void* scratch);
bn_status attention(bn_device*, const bn_attn* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void* scratch);
bn_status attention_parts(bn_device*, const bn_attn* a, const bn_attn_parts* parts, uint32_t tok0, uint32_t tok1,
                          uint32_t head0, uint32_t head1, uint32_t page0, uint32_t page1, void* scratch);
bn_status merge_parts(bn_device*, const bn_attn* a, const bn_attn_parts* parts, uint32_t tok0, uint32_t tok1, uint32_t head0,
                      uint32_t head1, void* scratch);
bn_status glu(bn_device*, const bn_glu* a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1, void* scratch);

}  // namespace bn::avx512
