// device/dense_lanes.h - eight successive elements of a row of a dense table: what one thread of the head takes of each 16.
//
// S16 has 16 lanes and chunks of 256. Two threads share a chunk: `part` 0 and 1 own lanes 0..7 and 8..15, so a load of both is
// 32 successive bytes of a f16 row. Chunks are independent until their lanes are added to the totals, chunks rising.
// A `Lanes` type has Raw, load() of elements [c, c+8) and convert() to floats. The plain dtypes have one each, for rows of a
// multiple of 8 columns; AnyLanes takes every dtype and width. The formulas are those of bitnet/kit/dense_rows.hpp.
#pragma once

#include "bitnet/kit/dense_rows.hpp"
#include "head.h"

namespace bn_cuda {

struct alignas(8) Words2 {
  uint32_t w[2];
};

struct F32Lanes {
  struct Raw {
    Words4 half[2];
  };
  BN_DEVICE Raw load(const HeadArgs&, const uint8_t* row, uint32_t c) {
    return {{load_stream(row + 4ull * c), load_stream(row + 4ull * c + 16)}};
  }
  BN_DEVICE void convert(const Raw& raw, float (&w)[8]) {
    BN_UNROLL
    for (int j = 0; j < 8; ++j) w[j] = bn::kit::float_of(raw.half[j / 4].w[j % 4]);
  }
};

struct F16Lanes {
  using Raw = Words4;
  BN_DEVICE Raw load(const HeadArgs&, const uint8_t* row, uint32_t c) { return load_stream(row + 2ull * c); }
  BN_DEVICE void convert(const Raw& raw, float (&w)[8]) {
    BN_UNROLL
    for (int j = 0; j < 8; ++j) w[j] = half_to_float(static_cast<uint16_t>(raw.w[j / 2] >> (16 * (j % 2))));
  }
};

struct Bf16Lanes {
  using Raw = Words4;
  BN_DEVICE Raw load(const HeadArgs&, const uint8_t* row, uint32_t c) { return load_stream(row + 2ull * c); }
  BN_DEVICE void convert(const Raw& raw, float (&w)[8]) {
    BN_UNROLL
    for (int j = 0; j < 8; ++j) w[j] = bn::kit::float_of(j % 2 == 0 ? raw.w[j / 2] << 16 : raw.w[j / 2] & 0xFFFF0000u);
  }
};

struct I8Lanes {
  using Raw = Words2;
  BN_DEVICE Raw load(const HeadArgs&, const uint8_t* row, uint32_t c) { return *reinterpret_cast<const Words2*>(row + c); }
  // b + 128 in the low bits of 2^23: exact, and cheaper than a conversion.
  BN_DEVICE void convert(const Raw& raw, float (&w)[8]) {
    BN_UNROLL
    for (int j = 0; j < 8; ++j) {
      const uint32_t byte = raw.w[j / 4] >> (8 * (j % 4)) & 255u;
      w[j] = bn::kit::float_of(0x4B000000u | (byte ^ 128u)) - 8388736.0f;
    }
  }
};

struct AnyLanes {
  struct Raw {
    float w[8];
  };

  // Byte j of 8 at p, which is even.
  BN_DEVICE void bytes8(const uint8_t* p, uint32_t (&b)[8]) {
    BN_UNROLL
    for (int j = 0; j < 8; j += 2) {
      const uint32_t pair = *reinterpret_cast<const uint16_t*>(p + j);
      b[j] = pair & 255u;
      b[j + 1] = pair >> 8;
    }
  }

  BN_DEVICE Raw load(const HeadArgs& a, const uint8_t* row, uint32_t c) {
    switch (a.dtype) {
      case BN_DT_Q8_0:
        return q8_0(row + c / 32 * 34, c % 32);
      case BN_DT_Q4_0:
        return q4_0(row + c / 32 * 18, c % 32);
      case BN_DT_Q4_K:
        return q45_k(row + c / 256 * 144, nullptr, 16, c % 256);
      case BN_DT_Q5_K:
        return q45_k(row + c / 256 * 176, row + c / 256 * 176 + 16, 48, c % 256);
      case BN_DT_Q6_K:
        return q6_k(row + c / 256 * 210, c % 256);
      default:
        return plain(a, row, c);
    }
  }
  BN_DEVICE void convert(const Raw& raw, float (&w)[8]) {
    BN_UNROLL
    for (int j = 0; j < 8; ++j) w[j] = raw.w[j];
  }

 private:
  BN_DEVICE float element(uint32_t dtype, const uint8_t* row, uint32_t c) {
    if (dtype == BN_DT_F16) return bn::kit::load_f16(row + 2ull * c);
    if (dtype == BN_DT_BF16) return bn::kit::bf16_to_f32(bn::kit::load_u16(row + 2ull * c));
    if (dtype == BN_DT_F32) return *reinterpret_cast<const float*>(row + 4ull * c);
    return static_cast<float>(static_cast<int8_t>(row[c]));
  }
  BN_DEVICE Raw plain(const HeadArgs& a, const uint8_t* row, uint32_t c) {
    Raw raw;
    BN_UNROLL
    for (uint32_t j = 0; j < 8; ++j) raw.w[j] = c + j < a.n_embd ? element(a.dtype, row, c + j) : 0.0f;
    return raw;
  }

  BN_DEVICE Raw q8_0(const uint8_t* b, uint32_t i) {
    const float d = bn::kit::load_f16(b);
    uint32_t q[8];
    bytes8(b + 2 + i, q);
    Raw raw;
    BN_UNROLL
    for (int j = 0; j < 8; ++j) raw.w[j] = d * static_cast<float>(static_cast<int8_t>(q[j]));
    return raw;
  }

  BN_DEVICE Raw q4_0(const uint8_t* b, uint32_t i) {
    const float d = bn::kit::load_f16(b);
    uint32_t q[8];
    bytes8(b + 2 + i % 16, q);
    Raw raw;
    BN_UNROLL
    for (int j = 0; j < 8; ++j) raw.w[j] = d * static_cast<float>(static_cast<int>(q[j] >> (i / 16 * 4) & 15u) - 8);
    return raw;
  }

  BN_DEVICE Raw q45_k(const uint8_t* b, const uint8_t* high, uint32_t nibbles, uint32_t i) {
    const uint32_t sub = i / 32;
    float scale, minimum;
    bn::kit::k_scale(b + 4, static_cast<int>(sub), &scale, &minimum);
    const float step = bn::kit::load_f16(b) * scale, offset = bn::kit::load_f16(b + 2) * minimum;
    uint32_t q[8], h[8] = {};
    bytes8(b + nibbles + 32 * (sub / 2) + i % 32, q);
    if (high != nullptr) bytes8(high + i % 32, h);
    Raw raw;
    BN_UNROLL
    for (int j = 0; j < 8; ++j) {
      const uint32_t code = (q[j] >> (4 * (sub % 2)) & 15u) + (h[j] >> sub & 1u) * 16;
      raw.w[j] = step * static_cast<float>(static_cast<int>(code)) - offset;
    }
    return raw;
  }

  BN_DEVICE Raw q6_k(const uint8_t* b, uint32_t i) {
    const uint32_t half = i / 128, part = i % 128 / 32, l = i % 32;
    uint32_t low[8], high[8];
    bytes8(b + 64 * half + 32 * (part % 2) + l, low);
    bytes8(b + 128 + 32 * half + l, high);
    const float scale = static_cast<float>(static_cast<int8_t>(b[192 + 8 * half + 2 * part + l / 16]));
    const float step = bn::kit::load_f16(b + 208) * scale;
    Raw raw;
    BN_UNROLL
    for (int j = 0; j < 8; ++j) {
      const uint32_t code = (low[j] >> (4 * (part / 2)) & 15u) | (high[j] >> (2 * part) & 3u) << 4;
      raw.w[j] = step * static_cast<float>(static_cast<int>(code) - 32);
    }
    return raw;
  }
};

// lane[t][j] += the products of this thread's half of the chunk at column c0, for T vectors. x: the chunk of the first vector,
// 16-byte aligned; the vectors are x_stride apart and hold zeros behind n_embd. kInFlight: loads on their way at once.
template <class Lanes, uint32_t T, uint32_t kInFlight>
BN_DEVICE void add_half_chunk(const HeadArgs& a, const uint8_t* row, uint32_t c0, uint32_t part, const float* x,
                              uint32_t x_stride, float (&lane)[T][8]) {
  for (uint32_t g = 0; g < 16; g += kInFlight) {
    typename Lanes::Raw raw[kInFlight];
    BN_UNROLL
    for (uint32_t u = 0; u < kInFlight; ++u) {
      const uint32_t c = c0 + 16 * (g + u) + 8 * part;
      raw[u] = c < a.n_embd ? Lanes::load(a, row, c) : typename Lanes::Raw{};
    }
    BN_UNROLL
    for (uint32_t u = 0; u < kInFlight; ++u) {
      float w[8];
      Lanes::convert(raw[u], w);
      BN_UNROLL
      for (uint32_t t = 0; t < T; ++t) {
        const Words4* xs = reinterpret_cast<const Words4*>(x + t * x_stride + 16 * (g + u) + 8 * part);
        const Words4 halves[2] = {xs[0], xs[1]};
        BN_UNROLL
        for (uint32_t j = 0; j < 8; ++j) {
          lane[t][j] = bn::kit::fma(w[j], bn::kit::float_of(halves[j / 4].w[j % 4]), lane[t][j]);
        }
      }
    }
  }
}

// The fold of S16 over the two threads that own its totals. Both get it.
BN_DEVICE float fold_pair(const float (&total)[8]) {
  float v[8];
  BN_UNROLL
  for (int j = 0; j < 8; ++j) v[j] = total[j] + shuffle_xor(total[j], 1);
  BN_UNROLL
  for (int width = 4; width > 0; width /= 2) {
    BN_UNROLL
    for (int j = 0; j < width; ++j) v[j] = v[j] + v[j + width];
  }
  return v[0];
}

BN_DEVICE bool is_finite(float x) { return (bn::kit::bits_of(x) & 0x7F800000u) != 0x7F800000u; }

}  // namespace bn_cuda
