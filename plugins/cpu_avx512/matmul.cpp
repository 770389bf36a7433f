// cpu_avx512/matmul.cpp - ternary weights times int8 activations with vpdpbusd, a policy of bitnet/kit/vector/matmul.hpp.
#include "bitnet/kit/vector/matmul.hpp"

#include "kernels.h"
#include "transpose.h"

namespace bn::avx512 {

struct Vnni {
  using R = __m512i;
  // 16 int32 sums. A type of its own because gcc 12 copies and spills __m512i that are accumulated so (measured: less than half
  // of the speed).
  typedef int32_t Sum __attribute__((vector_size(64)));
  static constexpr uint32_t kMost = BN_K_MAX, kLanes = 16;
  static constexpr int kBundles = 4, kTile = 6;
  static constexpr uint32_t kSteps = 96;
  static constexpr uint32_t kFewTokens = 16;
  static constexpr int kRowsEach = 2, kFew = 4, kFewTile = 5, kShare = 4, kStreams = 4;

  static inline R zero() { return _mm512_setzero_si512(); }
  static inline Sum zero_sum() { return Sum{}; }
  static inline R load(const void* p) { return _mm512_load_si512(p); }
  static inline void store(void* p, R a) { _mm512_store_si512(p, a); }
  static inline R set(int32_t x) { return _mm512_set1_epi32(x); }
  static inline R add(R a, R b) { return _mm512_add_epi32(a, b); }
  static inline R byte_and(R a, int byte) { return _mm512_and_si512(a, _mm512_set1_epi8(static_cast<char>(byte))); }
  static inline R right(R a, int n) { return _mm512_srli_epi16(a, static_cast<unsigned>(n)); }
  static inline Sum multiply_add(Sum s, R codes, R x) {
    return reinterpret_cast<Sum>(_mm512_dpbusd_epi32(reinterpret_cast<R>(s), codes, x));
  }
  static inline R widen(Sum s) { return reinterpret_cast<R>(s); }

  static inline R load_rows(const uint8_t* w, uint64_t stride) { return load_two(w, w + stride); }
  static inline R load_x(const int8_t* x) { return _mm512_broadcast_i64x4(half(x)); }

  // x in the order of the planes of 64 bytes of a row, two groups: plane 0 of both, plane 1 of both, ... A last single group
  // gets zeros beside it.
  static inline const int8_t* ordered(const int8_t* x, uint32_t groups, int8_t* place) {
    int8_t* out = place;
    for (uint32_t g = 0; g < groups; g += 2, x += 2 * kGroup) {
      for (int plane = 0; plane < 4; ++plane, out += 64) {
        const __m256i second = g + 1 < groups ? half(x + kGroup + 32 * plane) : _mm256_setzero_si256();
        store(out, _mm512_inserti64x4(_mm512_castsi256_si512(half(x + 32 * plane)), second, 1));
      }
    }
    return place;
  }

  // Adds 64 bytes of a row. Nothing is shifted: plane g is masked where it stands and counts 4^(3-g) times, into sums of its
  // own, which are shifted back at the end (at most 32768 columns of 128 * 127: below 2^31). That leaves 4 ANDs and 4 vpdpbusd.
  static inline void add_planes(R b, const int8_t* x, Sum* s) {
    s[0] = multiply_add(s[0], byte_and(b, 0xC0), load(x));
    s[1] = multiply_add(s[1], byte_and(b, 0x30), load(x + 64));
    s[2] = multiply_add(s[2], byte_and(b, 0x0C), load(x + 128));
    s[3] = multiply_add(s[3], byte_and(b, 0x03), load(x + 192));
  }
  template <int Rows>
  static inline void dot_rows(const uint8_t* w, uint64_t apart, uint32_t groups, const int8_t* x, int32_t* dot) {
    constexpr uint32_t kAhead = kit::vector::kWeightsAhead / Rows;
    Sum s[Rows][4];
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) s[r][0] = s[r][1] = s[r][2] = s[r][3] = Sum{};
    for (; groups >= 2; groups -= 2, w += 64, x += 256) {
      BN_UNROLL
      for (int r = 0; r < Rows; ++r) {
        _mm_prefetch(reinterpret_cast<const char*>(w + r * apart + kAhead), _MM_HINT_NTA);
        add_planes(_mm512_loadu_si512(w + r * apart), x, s[r]);
      }
    }
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) {
      if (groups != 0) add_planes(_mm512_zextsi256_si512(half(w + r * apart)), x, s[r]);
      dot[r] = _mm512_reduce_add_epi32(widen((s[r][0] >> 6) + (s[r][1] >> 4) + (s[r][2] >> 2) + s[r][3]));
    }
  }

  // Register p holds rows 2p and 2p + 1.
  static inline void sum_rows(const R* a, int32_t* dot) {
    const R ab = add(_mm512_unpacklo_epi32(a[0], a[1]), _mm512_unpackhi_epi32(a[0], a[1]));
    const R cd = add(_mm512_unpacklo_epi32(a[2], a[3]), _mm512_unpackhi_epi32(a[2], a[3]));
    const R all = add(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i even = _mm512_castsi512_si256(all), odd = _mm512_extracti64x4_epi64(all, 1);
    const __m128i e = _mm_add_epi32(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
    const __m128i o = _mm_add_epi32(_mm256_castsi256_si128(odd), _mm256_extracti128_si256(odd, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dot), _mm_unpacklo_epi32(e, o));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dot + 4), _mm_unpackhi_epi32(e, o));
  }

  static inline void unpack_group(const uint8_t* const* row, uint64_t offset, uint8_t* out, uint64_t out_stride) {
    R word[8];
    transpose_group([&](int i) { return row[i] + offset; }, word);
    BN_UNROLL
    for (int plane = 0; plane < 4; ++plane) {
      BN_UNROLL
      for (int j = 0; j < 8; ++j) store(out + (8 * plane + j) * out_stride, byte_and(right(word[j], 6 - 2 * plane), 3));
    }
  }
};
static_assert(sizeof(kit::vector::Tiles<Vnni>) <= kScratchBytes);

bn_status matmul(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  kit::vector::matmul<Vnni>(*a, row0, row1, scratch);
  return BN_OK;
}

}  // namespace bn::avx512
