// cpu_avx512/table_matmul_fives.cpp - many tokens with weights of five bits for three (packs_fives.h), a policy of
// table_tiles.h.
//
// Of a group of 96 columns the first 60 are dots, the codes of the last 36 are numbers of tables as they stand.
#include "fives.h"
#include "table_tiles.h"

namespace bn::avx512 {
namespace {

struct Fives {
  static constexpr uint32_t kGroup = fives::kColumns, kGroups = 3, kFewestTokens = 24;
  static constexpr uint32_t kBlockLines = kGroups * fives::kBytes / 64, kLines = tables::kBundles * kBlockLines;
  static constexpr int kDots = 15, kTables = 12, kParts = 3;
  using Place = tables::Place<Fives>;

  static inline int dot_column(int i, int k) { return 20 * i + 4 * k; }
  static inline const uint8_t* line(const bn_matmul& a, uint32_t r, uint32_t g, uint32_t i) {
    return static_cast<const uint8_t*>(a.packed) + (r / fives::kRows + i / kBlockLines) * fives::block_bytes(a.w->cols) +
           uint64_t{fives::kBytes} * g + 64 * (i % kBlockLines);
  }

  static inline void unpack(const bn_matmul& a, uint32_t r, uint32_t g0, uint32_t n, Place* place) {
    const uint64_t stride = fives::block_bytes(a.w->cols);
    const uint8_t* w = line(a, r, g0, 0);
    for (uint32_t g = 0; g < n; ++g, w += fives::kBytes) {
      for (int pair = 0; pair < tables::kBundles / 2; ++pair) unpack(w + 2 * pair * stride, stride, g, pair, place);
    }
  }

  // A group of two blocks.
  static inline void unpack(const uint8_t* w, uint64_t stride, uint32_t g, int pair, Place* place) {
    const fives::Digits digit = fives::digits();
    __m512i line[2][5];
    BN_UNROLL
    for (int b = 0; b < 2; ++b) {
      BN_UNROLL
      for (int k = 0; k < 5; ++k) line[b][k] = _mm512_load_si512(w + b * stride + 64 * k);
      const auto put = [&](int i, __m512i codes) __attribute__((always_inline)) {
        BN_UNROLL
        for (int d = 0; d < 3; ++d) {
          _mm512_store_si512(place->codes[g][3 * i + d][2 * pair + b], fives::weights(codes, digit.of[d]));
        }
      };
      put(0, fives::codes<0>(line[b][0], line[b][4]));
      put(1, fives::codes<1>(line[b][0], line[b][4]));
      put(2, fives::codes<2>(line[b][1], line[b][4]));
      put(3, fives::codes<3>(line[b][1], line[b][4]));
      put(4, fives::codes<4>(line[b][2], line[b][4]));
    }
    const auto numbers = [&]<int I>() __attribute__((always_inline)) {
      tables::put_numbers(fives::codes<I>(line[0][I / 2], line[0][4]), fives::codes<I>(line[1][I / 2], line[1][4]), g,
                          4 * (I - 5), pair, place);
    };
    numbers.template operator()<5>();
    numbers.template operator()<6>();
    numbers.template operator()<7>();
  }

  // Table 4j + t: columns 60 + 12j + t, and those 4 and 8 behind it.
  static inline void three(const int8_t* x, int32_t* out) {
    const __m128i from0 = _mm_setr_epi8(0, 4, 8, -1, 1, 5, 9, -1, 2, 6, 10, -1, 3, 7, 11, -1);
    const __m128i from4 = _mm_setr_epi8(4, 8, 12, -1, 5, 9, 13, -1, 6, 10, 14, -1, 7, 11, 15, -1);
    const auto put = [&](int i, int column, __m128i order) __attribute__((always_inline)) {
      const __m128i xs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + column));
      _mm_store_si128(reinterpret_cast<__m128i*>(out + i), _mm_shuffle_epi8(xs, order));
    };
    put(0, 60, from0);
    put(4, 72, from0);
    put(8, 80, from4);  // not past the group
  }
};

}  // namespace

bn_status table_matmul_fives(bn_device* device, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  return tables::matmul<Fives, matmul_fives>(device, a, row0, row1, scratch);
}

}  // namespace bn::avx512
