// device/block_norm.h - a block works on one vector: its sum S16, its largest element, its int8 codes, with the bits of kit
// norm().
//
// Call from all threads of a block. Order: measure_vector() (holds one sync_block), then quantise_vector() and what else needs
// its numbers; then the caller's sync_block() before anyone reads another thread's codes or uses `scratch` for something else.
// x and gain: 16-byte aligned, gain may be null. With u = x*gain (x where gain is null), each rounded:
//   code = norm_code(u, 127/largest), x_scale = (largest/127)*r, y = u*r.
#pragma once

#include "bitnet/kit/ops.hpp"
#include "simt.h"

namespace bn_cuda {

// r: 1/sqrt(S16(x,x)/n + eps), 1 where eps < 0. largest: of |u|, at least 1e-5/r as norm() has it. The same in all threads.
struct VectorNumbers {
  float r, largest;
};
BN_BOTH float scale_of(VectorNumbers v) { return (v.largest / 127.0f) * v.r; }

// Bytes of scratch in shared memory for measure_vector().
BN_BOTH constexpr uint32_t measure_bytes(uint32_t n) { return ((n + 255) / 256 * 16 + 32) * 4; }

template <class T>
BN_DEVICE T sum_of_warp(T v) {
  for (uint32_t m = 16; m > 0; m /= 2) v += shuffle_xor(v, m);
  return v;
}
// Never gives NaN: a NaN among the values counts as 0, as in norm().
BN_DEVICE float max_of_warp(float v) {
  for (uint32_t m = 16; m > 0; m /= 2) {
    const float other = shuffle_xor(v, m);
    v = other > v ? other : v;
  }
  return v;
}

// One lane of one chunk of S16: 16 elements, 16 apart. Adds what they give to *top; its sum is the result.
BN_DEVICE float measure_lane(const float* x, const float* gain, uint32_t first, uint32_t n, float* top) {
  float lane = 0.0f;
  BN_UNROLL
  for (uint32_t half = 0; half < 16; half += 8) {  // 16 loads in flight
    float v[8], g[8] = {};
    BN_UNROLL
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t at = first + 16 * (half + i);
      v[i] = at < n ? x[at] : 0.0f;
      if (gain != nullptr) g[i] = at < n ? gain[at] : 0.0f;
    }
    BN_UNROLL
    for (uint32_t i = 0; i < 8; ++i) {
      lane = bn::kit::fma(v[i], v[i], lane);
      const float u = __builtin_fabsf(gain != nullptr ? v[i] * g[i] : v[i]);
      *top = u > *top ? u : *top;
    }
  }
  return lane;
}

// Elements 4i..4i+3 of u; 0 behind n.
struct Quad {
  float v[4];
};
BN_DEVICE Quad load_quad(const float* p, uint32_t i, uint32_t n) {
  Quad quad = {};
  if (4 * i + 4 <= n) {
    const Words4 words = *reinterpret_cast<const Words4*>(p + 4 * i);
    BN_UNROLL
    for (uint32_t j = 0; j < 4; ++j) quad.v[j] = bn::kit::float_of(words.w[j]);
  } else {
    BN_UNROLL
    for (uint32_t j = 0; j < 4; ++j) quad.v[j] = 4 * i + j < n ? p[4 * i + j] : 0.0f;
  }
  return quad;
}
BN_DEVICE Quad load_product(const float* x, const float* gain, uint32_t i, uint32_t n) {
  Quad u = load_quad(x, i, n);
  if (gain == nullptr) return u;
  const Quad g = load_quad(gain, i, n);
  BN_UNROLL
  for (uint32_t j = 0; j < 4; ++j) u.v[j] = u.v[j] * g.v[j];
  return u;
}

// Sum of squares and largest |u| of a vector, the same in all threads.
struct Measured {
  float squares, top;
};

// The sum, if it is wanted, is S16: totals of its 16 lanes are made by every warp for itself, chunks rising, then fold16 as an
// exchange.
BN_DEVICE Measured measure_in_order(const float* x, const float* gain, uint32_t n, bool wants_sum, float* scratch) {
  const uint32_t chunks = (n + 255) / 256;
  float* tops = scratch + 16 * chunks;
  float top = 0.0f;
  for (uint32_t i = thread_index(); i < 16 * chunks; i += n_threads()) {
    scratch[i] = measure_lane(x, gain, i / 16 * 256 + i % 16, n, &top);
  }
  top = max_of_warp(top);
  if (lane_index() == 0) tops[warp_index()] = top;
  sync_block();
  float total = 0.0f;
  for (uint32_t c = 0; wants_sum && c < chunks; ++c) total += scratch[16 * c + lane_index() % 16];
  for (uint32_t m = 8; m > 0; m /= 2) total = total + shuffle_xor(total, m);
  return {total, max_of_warp(lane_index() < n_threads() / 32 ? tops[lane_index()] : 0.0f)};
}

// The sum is of what a thread has in quads of 16 bytes, then of lanes, then of warps: a quarter of the loads of the other, no
// chain of chunks. At most 16 warps. Predicted gain on an H200 for 2560 columns: 0.2 us of the 0.7 until codes are there.
BN_DEVICE Measured measure_freely(const float* x, const float* gain, uint32_t n, float* scratch) {
  float *sums = scratch, *tops = scratch + 16, sum = 0.0f, top = 0.0f;
  BN_ROLLED
  for (uint32_t i = thread_index(); 4 * i < n; i += n_threads()) {
    const Quad u = load_quad(x, i, n);
    const Quad g = gain != nullptr ? load_quad(gain, i, n) : Quad{{1.0f, 1.0f, 1.0f, 1.0f}};
    BN_UNROLL
    for (uint32_t j = 0; j < 4; ++j) {
      sum = bn::kit::fma(u.v[j], u.v[j], sum);
      const float size = __builtin_fabsf(u.v[j] * g.v[j]);
      top = size > top ? size : top;
    }
  }
  sum = sum_of_warp(sum);
  top = max_of_warp(top);
  if (lane_index() == 0) sums[warp_index()] = sum, tops[warp_index()] = top;
  sync_block();
  const bool there = lane_index() < n_threads() / 32;
  return {sum_of_warp(there ? sums[lane_index()] : 0.0f), max_of_warp(there ? tops[lane_index()] : 0.0f)};
}

// free_order: not the bits of the kit, but near.
BN_DEVICE VectorNumbers measure_vector(const float* x, const float* gain, uint32_t n, float eps, bool free_order,
                                       float* scratch) {
  const Measured m = free_order ? measure_freely(x, gain, n, scratch) : measure_in_order(x, gain, n, eps >= 0.0f, scratch);
  const float root = eps >= 0.0f ? __builtin_sqrtf(m.squares / static_cast<float>(n) + eps) : 1.0f;
  const float r = eps >= 0.0f ? 1.0f / root : 1.0f, least = 1e-5f * root;
  return {r, m.top > least ? m.top : least};
}

// Codes to q (4-byte aligned, global or shared memory), zeros in [n, n_padded); n_padded: a multiple of 4, at least n.
// Result: the sum of the codes that this thread wrote.
BN_DEVICE int32_t quantise_vector(const float* x, const float* gain, uint32_t n, uint32_t n_padded, float largest, int8_t* q) {
  const float k = 127.0f / largest;
  int32_t sum = 0;
  for (uint32_t i = thread_index(); i < n_padded / 4; i += n_threads()) {
    const Quad u = load_product(x, gain, i, n);
    uint32_t word = 0;
    BN_UNROLL
    for (uint32_t j = 0; j < 4; ++j) {
      const int8_t code = 4 * i + j < n ? bn::kit::norm_code(u.v[j], k) : int8_t{0};
      sum += code;
      word |= static_cast<uint32_t>(static_cast<uint8_t>(code)) << (8 * j);
    }
    reinterpret_cast<uint32_t*>(q)[i] = word;
  }
  return sum;
}

}  // namespace bn_cuda
