// device/rotate_head.h - one head of q or k of one token, by one warp: its norm, if the family has one, then RoPE.
#pragma once

#include "bitnet/kernels.h"
#include "bitnet/kit/arithmetic.hpp"
#include "elementwise.h"

namespace bn_cuda {

BN_DEVICE void store_element(uint16_t* to, float value) { *to = bn::kit::f32_to_f16(value); }
BN_DEVICE void store_element(float* to, float value) { *to = value; }
// Element i of the cache.
BN_DEVICE void store_kv(void* cache, uint32_t dtype, uint64_t i, float value) {
  if (dtype == BN_DT_F16) {
    store_element(static_cast<uint16_t*>(cache) + i, value);
  } else {
    store_element(static_cast<float*>(cache) + i, value);
  }
}

// S16 of x with itself. All lanes of the warp call it and get the sum; lane l and l+16 keep the same one of the 16 sums.
BN_DEVICE float warp_sum_of_squares(const float* x, uint32_t n) {
  float total = 0.0f;
  for (uint32_t c = 0; c < n; c += 256) {
    float sum = 0.0f;
    for (uint32_t i = c + lane_index() % 16; i < n && i < c + 256; i += 16) sum = bn::kit::fma(x[i], x[i], sum);
    total = total + sum;
  }
  for (uint32_t width = 8; width > 0; width /= 2) total = total + shuffle_xor(total, width);
  return total;
}

// x: [head_dim], gain: [head_dim] or null. Calls put(d, value) once for every element d, from any lane, after the sum over x is
// done; a lane reads both elements of a pair before it puts them, so put may write x.
template <class Put>
BN_DEVICE void rotate_head(const RopeArgs& a, const float* x, const float* gain, uint32_t position, Put&& put) {
  float r = 1.0f;
  if (gain != nullptr) {
    const float mean = warp_sum_of_squares(x, a.head_dim) / static_cast<float>(a.head_dim);
    r = 1.0f / __builtin_sqrtf(mean + a.eps);
  }
  const auto normed = [&](uint32_t d) { return gain != nullptr ? (x[d] * gain[d]) * r : x[d]; };
  const uint32_t half = a.rope_dim / 2;
  const float *cosine = a.cos + uint64_t{position} * half, *sine = a.sin + uint64_t{position} * half;
  for (uint32_t i = lane_index(); i < half; i += 32) {
    const uint32_t d0 = a.rope_kind == BN_ROPE_PAIRS ? 2 * i : i;
    const uint32_t d1 = a.rope_kind == BN_ROPE_PAIRS ? 2 * i + 1 : i + half;
    const float x0 = normed(d0), x1 = normed(d1);
    put(d0, bn::kit::fma(x0, cosine[i], -(x1 * sine[i])));
    put(d1, bn::kit::fma(x0, sine[i], x1 * cosine[i]));
  }
  for (uint32_t d = 2 * half + lane_index(); d < a.head_dim; d += 32) put(d, normed(d));
}

}  // namespace bn_cuda
