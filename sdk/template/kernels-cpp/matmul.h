// matmul.h - ternary matmul in a layout of our own, and how weights get into it.
//
// Layout  a row is ceil(cols/128) groups of 32 bytes; column j of a group is in byte j mod 32, bits 2(j/32) and 2(j/32)+1,
//         as code w+1 in {0,1,2}. So 32 neighbouring bytes meet 32 neighbouring activations, four times. Columns past the
//         end hold code 1, and the runtime pads activations with zeros.
// Threads all functions are pure; ranges of rows run concurrently.
#pragma once

#include <cstdint>

#include "bitnet/kernels.h"

namespace acme {

constexpr uint32_t kGroup = 128;

constexpr uint64_t row_bytes(uint32_t cols) { return (static_cast<uint64_t>(cols) + kGroup - 1) / kGroup * (kGroup / 4); }

// Rows [row0, row1) of bn.t2 to our layout; dst is the start of the whole buffer. Returns the first row with an illegal
// code, or row1.
uint32_t pack_rows(const bn_tensor& w, uint32_t row0, uint32_t row1, uint8_t* dst);

// Sum of code * x over whole groups of one row, exact. In dot.cpp.
int32_t dot_codes(const uint8_t* row, const int8_t* x, uint32_t groups);

// y[t][r] = (float)dot * (x_scale[t] * w_scale[r]) for r in [row0, row1) and every token t.
void matmul(const bn_matmul& args, uint32_t row0, uint32_t row1);

}  // namespace acme
