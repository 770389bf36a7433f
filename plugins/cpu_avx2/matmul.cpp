// cpu_avx2/matmul.cpp - ternary weights times int8 activations with vpmaddubsw, which adds pairs c*x + c'*x' of at most 2*2*127
// = 508 to int16 lanes.
#include "codes.h"

namespace bn::avx2 {

// Zen 5, one core, of 237 GMAC/s and 39 GB/s: 512 tokens 212 GMAC/s, 8 tokens 160, one token 30 GB/s.
struct Maddubs : EightRows<Maddubs> {
  // 16 int16 sums. A type of its own because gcc 12 copies and spills __m256i that are accumulated as int16 (measured: half of
  // the speed).
  typedef int16_t Sum __attribute__((vector_size(32)));
  static constexpr uint32_t kMost = 64;  // 64 * 508 still fits int16
  static constexpr int kBundles = 2, kTile = 6, kFew = 4, kShare = 1;
  static constexpr uint32_t kSteps = 64;

  static inline Sum zero_sum() { return Sum{}; }
  static inline Sum multiply_add(Sum s, R codes, R x) { return s + reinterpret_cast<Sum>(_mm256_maddubs_epi16(codes, x)); }
  static inline R widen(Sum s) { return _mm256_madd_epi16(reinterpret_cast<R>(s), _mm256_set1_epi16(1)); }

  // Planes 0 and 1 sit two bits above 2 and 3 in the nibbles of each byte. One shift by 4 and four ANDs make all planes if 2
  // and 0 may keep their factor 4: they go to a sum of their own, which is shifted back after eight groups, before it can
  // overflow (8 * 2 * 4 * 508 = 32512). That leaves 13 vector operations for 32 bytes.
  static inline void add_group(const uint8_t* w, const int8_t* x, Sum* ones, Sum* fours) {
    const R b = load_any(w), s = right(b, 4);
    *fours = multiply_add(*fours, byte_and(s, 0x0C), load_any(x));
    *ones = multiply_add(*ones, byte_and(s, 0x03), load_any(x + 32));
    *fours = multiply_add(*fours, byte_and(b, 0x0C), load_any(x + 64));
    *ones = multiply_add(*ones, byte_and(b, 0x03), load_any(x + 96));
  }
  template <int Rows>
  static inline void dot_rows(const uint8_t* w, uint64_t, uint32_t groups, const int8_t* x, int32_t* dot) {
    R total = zero();
    while (groups >= 2) {
      Sum ones{}, fours{};
      const uint32_t n = groups < 8 ? groups & ~1u : 8;
      groups -= n;
      for (const uint8_t* const end = w + 32 * n; w != end; w += 64, x += 2 * kGroup) {
        _mm_prefetch(reinterpret_cast<const char*>(w + kit::vector::kWeightsAhead), _MM_HINT_NTA);
        add_group(w, x, &ones, &fours);
        add_group(w + 32, x + kGroup, &ones, &fours);
      }
      total = add(total, widen(ones + (fours >> 2)));
    }
    if (groups != 0) {
      Sum ones{}, fours{};
      add_group(w, x, &ones, &fours);
      total = add(total, widen(ones + (fours >> 2)));
    }
    dot[0] = sum(total);
  }
};
static_assert(sizeof(kit::vector::Tiles<Maddubs>) <= kScratchBytes);

bn_status matmul(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  kit::vector::matmul<Maddubs>(*a, row0, row1, scratch);
  return BN_OK;
}

}  // namespace bn::avx2
