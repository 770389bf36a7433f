// bitnet/kit/vector/arithmetic.hpp - the canonical arithmetic on 16 floats at a time, for kernels written once over a policy.
//
// A policy V names the vectors of one instruction set; its 16 floats are the 16 lanes of S16, whatever registers hold them (one
// of AVX-512, two of AVX2, four of NEON). Every function is `static inline` and does exactly what it says:
//
//   F, I                       16 floats, 16 int32
//   Part, kParts               one register as a policy of its own, of Part::kLanes floats, and how many of them are an F.
//                              It has load, store, load_first, store_first, load_half, set, zero, keep, add, mul, fma
//   join(parts)                the F of kParts registers
//   kScores                    attention: Part::F sums of keys times queries in registers at once: 4, 8 or 16
//   kSums                      attention: Part::F of each of four outputs in registers at once
//   kByteRows                  dense, one token: rows of int8 in work together, two chains of an F for each; 1: four chains
//   kTileRows, kTileTokens     dense, several tokens: Part::F sums in registers at once; kTileRows divides 8
//   load(p), store(p, a)       16 floats, any alignment
//   load_first(p, n)           the first n of 16 (n >= 1; 16 or more: all), zeros after them; nothing past them is read
//   store_first(p, n, a)       writes nothing past the first n
//   load_half(p), half(p)      16 IEEE halfs to floats; one half to a float
//   from_i8(Bytes), load_i8(p) 16 int8 to floats; from_u16_high(p): 16 uint16 as the upper halfs of floats (bf16)
//   load_pairs(p, &a, &b)      32 floats: the even ones, the odd ones; store_pairs(p, a, b)
//   set(x), zero()
//   keep(&a)                   a stays in its register: the compiler may not load it again
//   add, sub, mul, div(a, b), fma(a, b, c) = a*b + c, fms(a, b, c) = a*b - c    one rounding each
//   larger(a, b)               a > b ? a : b; smaller(a, b): a < b ? a : b (both give b when one is NaN)
//   magnitude(a), negative(a)  sign bit cleared, flipped
//   power_of_two(n)            2^n for integral n in [-126, 127]
//   if_at_least(x, least, a)   a where x >= least, else +0; or_nan(x, a): x where x is NaN, else a
//   fold(a)                    kit::fold16; fold_scores(a[kScores], scale, out): fold of each, times scale
//   largest(a)                 of the 16; no NaN
//   truncate(a) -> I, add(I, I), sum(I), store_codes(int8_t*, I): 16 codes in -127..127
//
// Functions here are static templates over a type of the plugin, so no other object file can lend or take their code.
#pragma once

#include <cstdint>
#include <cstring>

#include "bitnet/kit/arithmetic.hpp"

// Before a loop with a constant count: unrolls it early. Without it gcc 12 keeps local arrays of vectors in memory, with a
// store of every element before and after each inner loop (half of the speed).
#define BN_UNROLL _Pragma("GCC unroll 16")

namespace bn::kit::vector {

// 16 bytes; the compiler's own vectors, so that one source serves every instruction set.
typedef int8_t Bytes __attribute__((vector_size(16)));
typedef uint8_t UBytes __attribute__((vector_size(16)));

static inline Bytes load_bytes(const void* p) {
  Bytes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

static inline void ask_for(const void* p, uint64_t bytes) {  // into L2
  for (uint64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(p) + i, 0, 2);
}
static inline void ask_into_l1(const void* p, uint64_t bytes) {
  for (uint64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(p) + i, 0, 3);
}

// kit::round_half_even
template <class V>
static inline typename V::F round_half_even(typename V::F x) {
  const auto magic = V::set(12582912.0f);
  return V::sub(V::add(x, magic), magic);
}

// kit::exp1: the same operations, so the same bits.
template <class V>
static inline typename V::F exp1(typename V::F x) {
  const auto z = V::smaller(V::set(88.0f), x);
  const auto n = round_half_even<V>(V::mul(z, V::set(0x1.715476p+0f)));
  auto r = V::fma(n, V::set(-0x1.62e4p-1f), z);
  r = V::fma(n, V::set(-0x1.7f7d1cp-20f), r);
  auto p = V::set(0x1.a01a02p-13f);
  p = V::fma(p, r, V::set(0x1.6c16c2p-10f));
  p = V::fma(p, r, V::set(0x1.111112p-7f));
  p = V::fma(p, r, V::set(0x1.555556p-5f));
  p = V::fma(p, r, V::set(0x1.555556p-3f));
  p = V::fma(p, r, V::set(0.5f));
  p = V::fma(p, r, V::set(1.0f));
  p = V::fma(p, r, V::set(1.0f));
  return V::or_nan(x, V::if_at_least(x, V::set(-87.0f), V::mul(p, V::power_of_two(n))));
}

}  // namespace bn::kit::vector
