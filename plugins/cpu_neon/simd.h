// cpu_neon/simd.h - the policy of bitnet/kit/vector for NEON: the 16 lanes of S16 are four registers of 128 bits.
//
// Only for sources that are compiled for every 64-bit Arm (kernels.h).
#pragma once

#include <arm_neon.h>

#include "bitnet/kit/vector/arithmetic.hpp"

namespace bn::neon {

// Four vectors; members, not an array, so that the compiler keeps them in registers.
struct Floats {
  float32x4_t a, b, c, d;
};
struct Ints {
  int32x4_t a, b, c, d;
};

// Applies f to each quarter.
template <class F>
static inline Floats each(F f, Floats x) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
template <class F>
static inline Floats each(F f, Floats x, Floats y) {
  return {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};
}
template <class F>
static inline Floats each(F f, Floats x, Floats y, Floats z) {
  return {f(x.a, y.a, z.a), f(x.b, y.b, z.b), f(x.c, y.c, z.c), f(x.d, y.d, z.d)};
}

struct Neon {
  using F = Floats;
  using I = Ints;
  using Part = Neon;  // 32 registers hold sums of whole F
  static constexpr int kParts = 1, kLanes = 16;
  static constexpr int kScores = 4, kSums = 1;  // 16 registers of sums out of 32, here and below
  static constexpr uint32_t kByteRows = 1;
  static constexpr int kTileRows = 2, kTileTokens = 2;

  static inline F load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
  static inline void store(float* p, F x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
  }
  static inline F load_first(const float* p, uint32_t n) {
    if (n >= 16) return load(p);
    float part[16] = {};
    std::memcpy(part, p, sizeof(float) * n);
    return load(part);
  }
  static inline void store_first(float* p, uint32_t n, F x) {
    if (n >= 16) return store(p, x);
    float part[16];
    store(part, x);
    std::memcpy(p, part, sizeof(float) * n);
  }
  static inline F load_half(const void* p) {
    const __fp16* h = static_cast<const __fp16*>(p);
    const float16x8_t low = vld1q_f16(h), high = vld1q_f16(h + 8);
    return {vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low), vcvt_f32_f16(vget_low_f16(high)), vcvt_high_f32_f16(high)};
  }
  static inline float half(const uint8_t* p) {
    __fp16 h;
    std::memcpy(&h, p, sizeof h);
    return h;
  }
  static inline F from_i8(kit::vector::Bytes v) {
    const int8x16_t q = reinterpret_cast<int8x16_t>(v);
    const int16x8_t low = vmovl_s8(vget_low_s8(q)), high = vmovl_high_s8(q);
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))};
  }
  static inline F load_i8(const void* p) { return from_i8(kit::vector::load_bytes(p)); }
  static inline F join(const F* part) { return part[0]; }
  static inline F from_u16_high(const void* p) {
    const uint16_t* h = static_cast<const uint16_t*>(p);
    const uint16x8_t low = vld1q_u16(h), high = vld1q_u16(h + 8);
    return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(low), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(low, 16)),
            vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(high), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(high, 16))};
  }
  static inline void load_pairs(const float* p, F* even, F* odd) {
    const float32x4x2_t a = vld2q_f32(p), b = vld2q_f32(p + 8), c = vld2q_f32(p + 16), d = vld2q_f32(p + 24);
    *even = {a.val[0], b.val[0], c.val[0], d.val[0]};
    *odd = {a.val[1], b.val[1], c.val[1], d.val[1]};
  }
  static inline void store_pairs(float* p, F even, F odd) {
    vst2q_f32(p, (float32x4x2_t{{even.a, odd.a}}));
    vst2q_f32(p + 8, (float32x4x2_t{{even.b, odd.b}}));
    vst2q_f32(p + 16, (float32x4x2_t{{even.c, odd.c}}));
    vst2q_f32(p + 24, (float32x4x2_t{{even.d, odd.d}}));
  }

  static inline F set(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x)}; }
  static inline F zero() { return set(0.0f); }
  static inline void keep(F* x) { __asm__("" : "+w"(x->a), "+w"(x->b), "+w"(x->c), "+w"(x->d)); }
  static inline F add(F x, F y) {
    return each([](auto u, auto v) { return vaddq_f32(u, v); }, x, y);
  }
  static inline F sub(F x, F y) {
    return each([](auto u, auto v) { return vsubq_f32(u, v); }, x, y);
  }
  static inline F mul(F x, F y) {
    return each([](auto u, auto v) { return vmulq_f32(u, v); }, x, y);
  }
  static inline F div(F x, F y) {
    return each([](auto u, auto v) { return vdivq_f32(u, v); }, x, y);
  }
  static inline F fma(F x, F y, F z) {
    return each([](auto u, auto v, auto w) { return vfmaq_f32(w, u, v); }, x, y, z);
  }
  static inline F fms(F x, F y, F z) { return fma(x, y, negative(z)); }
  // Comparisons and a choice: FMAX and FMIN would give NaN when one of the two is NaN.
  static inline F larger(F x, F y) {
    return each([](auto u, auto v) { return vbslq_f32(vcgtq_f32(u, v), u, v); }, x, y);
  }
  static inline F smaller(F x, F y) {
    return each([](auto u, auto v) { return vbslq_f32(vcltq_f32(u, v), u, v); }, x, y);
  }
  static inline F magnitude(F x) {
    return each([](auto u) { return vabsq_f32(u); }, x);
  }
  static inline F negative(F x) {
    return each([](auto u) { return vnegq_f32(u); }, x);
  }
  static inline F power_of_two(F n) {
    return each([](auto u) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(u), vdupq_n_s32(127)), 23)); },
                n);
  }
  static inline F if_at_least(F x, F least, F y) {
    const auto choose = [](auto u, auto v, auto w) {
      return vreinterpretq_f32_u32(vandq_u32(vcgeq_f32(u, v), vreinterpretq_u32_f32(w)));
    };
    return each(choose, x, least, y);
  }
  static inline F or_nan(F x, F y) {
    return each([](auto u, auto v) { return vbslq_f32(vceqq_f32(u, u), v, u); }, x, y);
  }

  // kit::fold16 up to four lanes.
  static inline float32x4_t fold_to_four(F x) { return vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d)); }
  // Lanes 0 + 2 and 1 + 3 of x, then those of y.
  static inline float32x4_t fold_to_two(float32x4_t x, float32x4_t y) {
    const float64x2_t u = vreinterpretq_f64_f32(x), v = vreinterpretq_f64_f32(y);
    return vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(u, v)), vreinterpretq_f32_f64(vzip2q_f64(u, v)));
  }
  static inline float fold(F x) {
    const float32x4_t four = fold_to_four(x);
    return vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
  }
  static inline void fold_scores(const F* x, float scale, float* out) {
    const float32x4_t first = fold_to_two(fold_to_four(x[0]), fold_to_four(x[1]));
    const float32x4_t second = fold_to_two(fold_to_four(x[2]), fold_to_four(x[3]));
    vst1q_f32(out, vmulq_n_f32(vpaddq_f32(first, second), scale));
  }
  static inline float largest(F x) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.a, x.b), vmaxq_f32(x.c, x.d))); }

  static inline I truncate(F x) { return {vcvtq_s32_f32(x.a), vcvtq_s32_f32(x.b), vcvtq_s32_f32(x.c), vcvtq_s32_f32(x.d)}; }
  static inline I add(I x, I y) { return {vaddq_s32(x.a, y.a), vaddq_s32(x.b, y.b), vaddq_s32(x.c, y.c), vaddq_s32(x.d, y.d)}; }
  static inline int32_t sum(I x) { return vaddvq_s32(vaddq_s32(vaddq_s32(x.a, x.b), vaddq_s32(x.c, x.d))); }
  static inline void store_codes(int8_t* p, I x) {
    const int16x8_t low = vmovn_high_s32(vmovn_s32(x.a), x.b), high = vmovn_high_s32(vmovn_s32(x.c), x.d);
    vst1q_s8(p, vmovn_high_s16(vmovn_s16(low), high));
  }
};

}  // namespace bn::neon
