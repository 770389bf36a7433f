// bitnet/kit/dense_rows.hpp - weights of embeddings and output heads to float: one formula per dtype, every product and
// difference rounded. Block formats are those of GGUF.
#pragma once

#include <cstdint>

#include "bitnet/formats.h"
#include "bitnet/kit/arithmetic.hpp"

namespace bn::kit {

BN_KIT_FN uint16_t load_u16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
BN_KIT_FN float load_f16(const uint8_t* p) { return f16_to_f32(load_u16(p)); }

// Storage: `block` elements in `bytes` bytes. block 0: not a dense dtype.
struct DenseDtype {
  uint32_t block, bytes;
};
BN_KIT_FN DenseDtype dense_dtype(uint32_t dtype) {
  switch (dtype) {
    case BN_DT_F32:
      return {1, 4};
    case BN_DT_F16:
      return {1, 2};
    case BN_DT_BF16:
      return {1, 2};
    case BN_DT_I8_ROW:
      return {1, 1};
    case BN_DT_Q8_0:
      return {32, 34};
    case BN_DT_Q4_0:
      return {32, 18};
    case BN_DT_Q4_K:
      return {256, 144};
    case BN_DT_Q5_K:
      return {256, 176};
    case BN_DT_Q6_K:
      return {256, 210};
    default:
      return {0, 0};
  }
}
BN_KIT_FN uint64_t dense_row_bytes(uint32_t dtype, uint32_t cols) {
  const DenseDtype d = dense_dtype(dtype);
  return static_cast<uint64_t>(cols) / d.block * d.bytes;
}

// Q8_0: f16 d, int8 q[32]; w = d*q.
BN_KIT_FN void decode_q8_0(const uint8_t* b, float* w) {
  const float d = load_f16(b);
  for (int j = 0; j < 32; ++j) w[j] = d * static_cast<float>(static_cast<int8_t>(b[2 + j]));
}

// Q4_0: f16 d, 16 bytes; low nibbles are elements 0..15, high nibbles 16..31; w = d*(nibble-8).
BN_KIT_FN void decode_q4_0(const uint8_t* b, float* w) {
  const float d = load_f16(b);
  for (int j = 0; j < 16; ++j) {
    w[j] = d * static_cast<float>((b[2 + j] & 15) - 8);
    w[j + 16] = d * static_cast<float>((b[2 + j] >> 4) - 8);
  }
}

// The 6-bit scale and minimum of sub-block `sub` (0..7) of Q4_K and Q5_K, from their 12 packed bytes.
BN_KIT_FN void k_scale(const uint8_t* s, int sub, float* scale, float* minimum) {
  const int sc = sub < 4 ? s[sub] & 63 : (s[sub + 4] & 15) | (s[sub - 4] >> 6) << 4;
  const int mn = sub < 4 ? s[sub + 4] & 63 : (s[sub + 4] >> 4) | (s[sub] >> 6) << 4;
  *scale = static_cast<float>(sc);
  *minimum = static_cast<float>(mn);
}

// Q4_K (high == nullptr): f16 d, f16 dmin, 12 scale bytes, nibbles[128]; Q5_K adds one high bit per element.
// w = (d*scale)*q - dmin*minimum; chunk of 64: low nibbles are its first 32 elements, high nibbles the others.
BN_KIT_FN void decode_k(const uint8_t* b, const uint8_t* high, const uint8_t* nibbles, float* w) {
  const float d = load_f16(b), dmin = load_f16(b + 2);
  for (int sub = 0; sub < 8; ++sub) {
    float scale, minimum;
    k_scale(b + 4, sub, &scale, &minimum);
    const float step = d * scale, offset = dmin * minimum;
    for (int l = 0; l < 32; ++l) {
      int q = nibbles[32 * (sub / 2) + l] >> (4 * (sub % 2)) & 15;
      if (high != nullptr) q += (high[l] >> sub & 1) * 16;
      w[32 * sub + l] = step * static_cast<float>(q) - offset;
    }
  }
}

// Q6_K: ql[128], qh[64], int8 scales[16], f16 d; w = (d*scale)*(q-32).
BN_KIT_FN void decode_q6_k(const uint8_t* b, float* w) {
  const float d = load_f16(b + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t *low = b + 64 * half, *high = b + 128 + 32 * half, *scale = b + 192 + 8 * half;
    for (int l = 0; l < 32; ++l) {
      for (int part = 0; part < 4; ++part) {
        const int nibble = low[l + 32 * (part % 2)] >> (4 * (part / 2)) & 15;
        const int q = (nibble | (high[l] >> (2 * part) & 3) << 4) - 32;
        const float step = d * static_cast<float>(static_cast<int8_t>(scale[2 * part + l / 16]));
        w[128 * half + 32 * part + l] = step * static_cast<float>(q);
      }
    }
  }
}

// Elements [c0, c0+n) of one stored row as float; c0 and n are multiples of the dtype's block. I8_ROW gives the integers
// (the row scale is applied last, by the caller).
BN_KIT_FN void decode_dense(uint32_t dtype, const uint8_t* row, uint32_t c0, uint32_t n, float* w) {
  const DenseDtype storage = dense_dtype(dtype);
  const uint8_t* p = row + static_cast<uint64_t>(c0) / storage.block * storage.bytes;
  switch (dtype) {  // one element a block, in loops that compilers vectorise
    case BN_DT_F32:
      std::memcpy(w, p, 4ull * n);
      return;
    case BN_DT_F16:
      for (uint64_t i = 0; i < n; ++i) w[i] = load_f16(p + 2 * i);
      return;
    case BN_DT_BF16:
      for (uint64_t i = 0; i < n; ++i) w[i] = bf16_to_f32(load_u16(p + 2 * i));
      return;
    case BN_DT_I8_ROW:
      for (uint64_t i = 0; i < n; ++i) w[i] = static_cast<float>(static_cast<int8_t>(p[i]));
      return;
    default:
      break;
  }
  for (uint32_t i = 0; i < n; i += storage.block, p += storage.bytes) {
    switch (dtype) {
      case BN_DT_Q8_0:
        decode_q8_0(p, w + i);
        break;
      case BN_DT_Q4_0:
        decode_q4_0(p, w + i);
        break;
      case BN_DT_Q4_K:
        decode_k(p, nullptr, p + 16, w + i);
        break;
      case BN_DT_Q5_K:
        decode_k(p, p + 16, p + 48, w + i);
        break;
      case BN_DT_Q6_K:
        decode_q6_k(p, w + i);
        break;
      default:
        return;
    }
  }
}

}  // namespace bn::kit
