// cpu_avx2/matmul_vnni.cpp - ternary weights times int8 activations with vpdpbusd, where AVX2 has it (AVX-VNNI).
#include "codes.h"

namespace bn::avx2 {

// Zen 5, one core, of 267 GMAC/s and 39 GB/s: 512 tokens 240 GMAC/s, 8 tokens 200, one token 33 GB/s.
struct Vnni : EightRows<Vnni> {
  // 8 int32 sums. A type of its own because gcc 12 copies and spills __m256i that are accumulated so (measured: half of the
  // speed).
  typedef int32_t Sum __attribute__((vector_size(32)));
  static constexpr uint32_t kMost = BN_K_MAX;
  static constexpr int kBundles = 2, kTile = 6, kFew = 2, kShare = 2;
  static constexpr uint32_t kSteps = 128;

  static inline Sum zero_sum() { return Sum{}; }
  static inline Sum multiply_add(Sum s, R codes, R x) {
    return reinterpret_cast<Sum>(_mm256_dpbusd_avx_epi32(reinterpret_cast<R>(s), codes, x));
  }
  static inline R widen(Sum s) { return reinterpret_cast<R>(s); }

  // Nothing is shifted: plane g is masked where it stands and counts 4^(3-g) times, into sums of its own, which are shifted
  // back at the end (at most 32768 columns of 128 * 127: below 2^31). That leaves 4 ANDs and 4 vpdpbusd.
  static inline void add_group(const uint8_t* w, const int8_t* x, Sum* s) {
    const R b = load_any(w);
    s[0] = multiply_add(s[0], byte_and(b, 0xC0), load_any(x));
    s[1] = multiply_add(s[1], byte_and(b, 0x30), load_any(x + 32));
    s[2] = multiply_add(s[2], byte_and(b, 0x0C), load_any(x + 64));
    s[3] = multiply_add(s[3], byte_and(b, 0x03), load_any(x + 96));
  }
  template <int Rows>
  static inline void dot_rows(const uint8_t* w, uint64_t, uint32_t groups, const int8_t* x, int32_t* dot) {
    Sum s[4] = {};
    for (; groups >= 2; groups -= 2, w += 64, x += 2 * kGroup) {
      _mm_prefetch(reinterpret_cast<const char*>(w + kit::vector::kWeightsAhead), _MM_HINT_NTA);
      add_group(w, x, s);
      add_group(w + 32, x + kGroup, s);
    }
    if (groups != 0) add_group(w, x, s);
    dot[0] = sum(widen((s[0] >> 6) + (s[1] >> 4) + (s[2] >> 2) + s[3]));
  }
};
static_assert(sizeof(kit::vector::Tiles<Vnni>) <= kScratchBytes);

bn_status matmul_vnni(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  kit::vector::matmul<Vnni>(*a, row0, row1, scratch);
  return BN_OK;
}

}  // namespace bn::avx2
