// bitnet/kit/vector/dense_types.hpp - sixteen weights of a row of each dense dtype as floats, by the formulas of
// kit/dense_rows.hpp.
//
// One struct per dtype. chunk: bytes of 256 elements; unit: bytes of one element where a row may end anywhere, else 0;
// get<V>(p, s): elements [16 s, 16 s + 16) of the chunk at p.
#pragma once

#include "bitnet/kit/dense_rows.hpp"
#include "bitnet/kit/vector/arithmetic.hpp"

namespace bn::kit::vector {

// 16 int8 times step.
template <class V>
static inline typename V::F scaled(Bytes q, float step) {
  return V::mul(V::set(step), V::from_i8(q));
}
// Bits [shift, shift + width) of each byte.
static inline Bytes bits(Bytes v, uint32_t shift, uint32_t width) {
  const UBytes shifted = reinterpret_cast<UBytes>(v) >> static_cast<uint8_t>(shift);
  return reinterpret_cast<Bytes>(shifted & static_cast<uint8_t>((1u << width) - 1));
}

struct F32 {
  static constexpr uint32_t chunk = 1024, unit = 4;
  template <class V>
  static inline typename V::F get(const uint8_t* p, uint32_t s) {
    return V::load(reinterpret_cast<const float*>(p + 64 * s));
  }
};
struct F16 {
  static constexpr uint32_t chunk = 512, unit = 2;
  template <class V>
  static inline typename V::F get(const uint8_t* p, uint32_t s) {
    return V::load_half(p + 32 * s);
  }
};
struct Bf16 {
  static constexpr uint32_t chunk = 512, unit = 2;
  template <class V>
  static inline typename V::F get(const uint8_t* p, uint32_t s) {
    return V::from_u16_high(p + 32 * s);
  }
};
struct I8Row {
  static constexpr uint32_t chunk = 256, unit = 1;
  template <class V>
  static inline typename V::F get(const uint8_t* p, uint32_t s) {
    return V::load_i8(p + 16 * s);
  }
};
struct Q8_0 {
  static constexpr uint32_t chunk = 8 * 34, unit = 0;
  template <class V>
  static inline typename V::F get(const uint8_t* p, uint32_t s) {
    const uint8_t* b = p + 34 * (s / 2);
    return V::mul(V::set(V::half(b)), V::load_i8(b + 2 + 16 * (s % 2)));
  }
};
struct Q4_0 {
  static constexpr uint32_t chunk = 8 * 18, unit = 0;
  template <class V>
  static inline typename V::F get(const uint8_t* p, uint32_t s) {
    const uint8_t* b = p + 18 * (s / 2);
    return scaled<V>(bits(load_bytes(b + 2), 4 * (s % 2), 4) - 8, V::half(b));
  }
};
// Q4_K and, with the fifth bits of Q5_K in `high`, Q5_K.
template <class V>
static inline typename V::F get_k(const uint8_t* b, const uint8_t* high, const uint8_t* quants, uint32_t s) {
  const uint32_t sub = s / 2, l = 16 * (s % 2);
  float scale, minimum;
  k_scale(b + 4, static_cast<int>(sub), &scale, &minimum);
  Bytes q = bits(load_bytes(quants + 32 * (sub / 2) + l), 4 * (sub % 2), 4);
  if (high != nullptr) q = q | bits(load_bytes(high + l), sub, 1) << 4;
  return V::sub(scaled<V>(q, V::half(b) * scale), V::set(V::half(b + 2) * minimum));
}
struct Q4K {
  static constexpr uint32_t chunk = 144, unit = 0;
  template <class V>
  static inline typename V::F get(const uint8_t* p, uint32_t s) {
    return get_k<V>(p, nullptr, p + 16, s);
  }
};
struct Q5K {
  static constexpr uint32_t chunk = 176, unit = 0;
  template <class V>
  static inline typename V::F get(const uint8_t* p, uint32_t s) {
    return get_k<V>(p, p + 16, p + 48, s);
  }
};
struct Q6K {
  static constexpr uint32_t chunk = 210, unit = 0;
  template <class V>
  static inline typename V::F get(const uint8_t* p, uint32_t s) {
    const uint32_t half = s / 8, part = s % 8 / 2, l = 16 * (s % 2);
    const Bytes low = bits(load_bytes(p + 64 * half + l + 32 * (part % 2)), 4 * (part / 2), 4);
    const Bytes high = bits(load_bytes(p + 128 + 32 * half + l), 2 * part, 2);
    const Bytes q = (low | high << 4) - 32;
    return scaled<V>(q, V::half(p + 208) * static_cast<float>(static_cast<int8_t>(p[192 + 8 * half + 2 * part + s % 2])));
  }
};

// Every dtype dense() knows, for bn_kernels_v1.dense_dtypes.
inline constexpr uint64_t kDenseDtypes = 1ull << BN_DT_F32 | 1ull << BN_DT_F16 | 1ull << BN_DT_BF16 | 1ull << BN_DT_I8_ROW |
                                         1ull << BN_DT_Q8_0 | 1ull << BN_DT_Q4_0 | 1ull << BN_DT_Q4_K | 1ull << BN_DT_Q5_K |
                                         1ull << BN_DT_Q6_K;

// Elements [16 s, n) of a chunk, fewer than 16, then zeros: +0 products leave every total of S16 as it is.
template <class V, class Dtype>
static inline typename V::F get_last(const uint8_t* p, uint32_t s, uint32_t n) {
  if constexpr (Dtype::unit == 0) {
    return Dtype::template get<V>(p, s);  // rows of block formats are whole blocks of at least 32
  } else {
    uint8_t rest[64] = {};
    std::memcpy(rest, p + 16 * Dtype::unit * s, Dtype::unit * (n - 16 * s));
    return Dtype::template get<V>(rest, 0);
  }
}

}  // namespace bn::kit::vector
