// cpu_avx512/table_matmul.cpp - many tokens with the layout of published files, a policy of table_tiles.h.
//
// A group of 128 columns (bn.i2s128: column 32 * plane + p is bits 6 - 2 * plane of byte p):
//   table p, p < 16    columns 96 + p, 64 + p, 32 + p
//   20 dots of four    columns [0, 32), [48, 64), [80, 96), [112, 128)
#include "table_tiles.h"

namespace bn::avx512 {
namespace {

inline __m512i byte_and(__m512i a, int byte) { return _mm512_and_si512(a, _mm512_set1_epi8(static_cast<char>(byte))); }
template <int N>
inline __m512i right(__m512i a) {
  return N == 0 ? a : _mm512_srli_epi16(a, N);
}

// Numbers of tables 4j .. 4j + 3 of 16 rows, from their bytes.
inline __m512i numbers_of(__m512i bytes) {
  const __m512i low = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12));
  const __m512i high = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 9, 18, 27, 0, 9, 18, 27, 0, 9, 18, 27, 0, 9, 18, 27));
  return _mm512_add_epi8(_mm512_shuffle_epi8(low, byte_and(bytes, 15)),
                         _mm512_shuffle_epi8(high, byte_and(right<4>(bytes), 15)));
}

struct Planes {
  static constexpr uint32_t kGroup = avx512::kGroup, kGroups = 2, kFewestTokens = 12, kLines = tables::kRows;
  static constexpr int kDots = 20, kTables = 16, kParts = 4;
  using Place = tables::Place<Planes>;

  static inline int dot_column(int i, int k) { return k < 2 ? 8 * i + 4 * k : 16 + 32 * (k - 1) + 4 * i; }
  static inline const uint8_t* line(const bn_matmul& a, uint32_t r, uint32_t g, uint32_t i) {
    return static_cast<const uint8_t*>(a.packed) + (r + i) * packed_row_bytes(a.w->cols) + uint64_t{32} * g;
  }

  static inline void unpack(const bn_matmul& a, uint32_t r, uint32_t g0, uint32_t n, Place* place) {
    const uint64_t stride = packed_row_bytes(a.w->cols);
    const uint8_t* w = line(a, r, g0, 0);
    for (uint32_t g = 0; g < n; ++g) {
      for (int pair = 0; pair < tables::kBundles / 2; ++pair) unpack(w + 32 * pair * stride + 32 * g, stride, g, pair, place);
    }
  }

  // One group of two bundles, the 32 rows at w, `stride` bytes from each other, into pair `pair` of group g of the block.
  static inline void unpack(const uint8_t* w, uint64_t stride, uint32_t g, int pair, Place* place) {
    __m512i word[2][8];
    BN_UNROLL
    for (int b = 0; b < 2; ++b) {
      transpose_group([&](int i) { return w + static_cast<uint64_t>(16 * b + i) * stride; }, word[b]);
      BN_UNROLL
      for (int i = 0; i < 4; ++i) {
        auto* out = &place->codes[g][5 * i][2 * pair + b];
        const auto put = [&](int k, __m512i codes) { _mm512_store_si512(out + k * tables::kBundles, byte_and(codes, 3)); };
        put(0, right<6>(word[b][2 * i]));
        put(1, right<6>(word[b][2 * i + 1]));
        put(2, right<4>(word[b][4 + i]));
        put(3, right<2>(word[b][4 + i]));
        put(4, word[b][4 + i]);
      }
    }
    BN_UNROLL
    for (int j = 0; j < 4; ++j) tables::put_numbers(numbers_of(word[0][j]), numbers_of(word[1][j]), g, 4 * j, pair, place);
  }

  static inline void three(const int8_t* x, int32_t* out) {
    const auto load = [&](int column) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + column)); };
    const __m128i c1 = load(32), c2 = load(64), c3 = load(96), none = _mm_setzero_si128();
    const __m128i low = _mm_unpacklo_epi8(c3, c2), high = _mm_unpackhi_epi8(c3, c2);
    const __m128i low1 = _mm_unpacklo_epi8(c1, none), high1 = _mm_unpackhi_epi8(c1, none);
    const auto put = [&](int i, __m128i v) { _mm_store_si128(reinterpret_cast<__m128i*>(out + i), v); };
    put(0, _mm_unpacklo_epi16(low, low1));
    put(4, _mm_unpackhi_epi16(low, low1));
    put(8, _mm_unpacklo_epi16(high, high1));
    put(12, _mm_unpackhi_epi16(high, high1));
  }
};

}  // namespace

bn_status table_matmul(bn_device* device, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  return tables::matmul<Planes, matmul>(device, a, row0, row1, scratch);
}

}  // namespace bn::avx512
