// cpu_avx512/pack_fives.cpp - rows of bn.t2 or bn.i2s128 into blocks of 16 rows, three weights in five bits (packs_fives.h).
#include "bitnet/kit/vector/pack_avx2.hpp"
#include "kernels.h"
#include "packs_fives.h"
#include "transpose.h"

namespace bn::avx512 {
namespace {

using fives::kBytes, fives::kColumns, fives::kRows;

constexpr uint32_t kParts = 3, kGroups = 4;  // groups of 128 columns, and of 96, that begin and end together
static_assert(kParts * kGroup == kGroups * kColumns);

// Some columns of the rows of a block, in layout bn.i2s128.
struct Rows {
  alignas(64) uint8_t bytes[kRows][32 * kParts];
};

// Columns from group g of 128 on, of rows [r0, r1) of block b. Whatever is not there has weight 0.
inline void read(const bn_tensor& w, uint32_t b, uint32_t r0, uint32_t r1, uint32_t g, Rows* rows) {
  const uint32_t groups = (w.cols + kGroup - 1) / kGroup;
  const bool t2 = kit::layout_of(w.format) == kit::Layout::kT2;
  const uint64_t stride = t2 ? (static_cast<uint64_t>(w.cols) + 3) / 4 : packed_row_bytes(w.cols);
  std::memset(rows, 0x55, sizeof *rows);
  for (uint32_t r = r0; r < r1; ++r) {
    const uint8_t* row = static_cast<const uint8_t*>(w.data) + r * stride;
    __m256i unused = _mm256_setzero_si256();  // code 3 is looked for where both layouts are the same
    for (uint32_t i = 0; i < kParts && g + i < groups; ++i) {
      const __m256i group = t2 ? kit::vector::pack_group_of_row(row, w.cols, g + i, &unused) : half(row + 32 * (g + i));
      _mm256_store_si256(reinterpret_cast<__m256i*>(rows->bytes[r - kRows * b] + 32 * i), group);
    }
  }
}

// Four groups of a block into line[]. Returns a mask of the rows that hold the code 3.
inline __mmask16 pack_groups(const Rows& rows, __m512i (*line)[5]) {
  __m512i quad[kParts * 32];  // four columns of 16 rows, one code a byte
  __m512i threes = _mm512_setzero_si512();
  for (uint32_t g = 0; g < kParts; ++g) {
    __m512i word[8];
    transpose_group([&](int i) { return rows.bytes[i] + 32 * g; }, word);
    for (int j = 0; j < 8; ++j) {
      threes = _mm512_or_si512(threes, _mm512_and_si512(word[j], _mm512_srli_epi16(word[j], 1)));
      for (int plane = 0; plane < 4; ++plane) {
        const __m512i codes = _mm512_srl_epi16(word[j], _mm_cvtsi32_si128(6 - 2 * plane));
        quad[32 * g + 8 * static_cast<uint32_t>(plane) + static_cast<uint32_t>(j)] =
            _mm512_and_si512(codes, _mm512_set1_epi8(3));
      }
    }
  }
  const __m512i low = _mm512_set1_epi8(15);
  for (uint32_t g = 0; g < kGroups; ++g) {
    __m512i fifth = _mm512_setzero_si512();
    for (uint32_t i = 0; i < 8; ++i) {
      const __m512i* q = quad + 3 * (8 * g + i);
      const __m512i high = _mm512_add_epi8(q[1], _mm512_add_epi8(q[2], _mm512_add_epi8(q[2], q[2])));  // q1 + 3 * q2
      const __m512i code = _mm512_add_epi8(q[0], _mm512_add_epi8(high, _mm512_add_epi8(high, high)));
      __m512i* out = &line[g][i / 2];
      *out =
          i % 2 == 0 ? _mm512_and_si512(code, low) : _mm512_or_si512(*out, _mm512_slli_epi16(_mm512_and_si512(code, low), 4));
      const __m512i bit = _mm512_and_si512(_mm512_srli_epi16(code, 4), _mm512_set1_epi8(1));
      fifth = _mm512_or_si512(fifth, _mm512_sll_epi16(bit, _mm_cvtsi32_si128(static_cast<int>(i))));
    }
    line[g][4] = fifth;
  }
  return _mm512_test_epi32_mask(threes, _mm512_set1_epi8(0x55));
}

}  // namespace

uint32_t pack_fives(const bn_tensor& w, uint32_t row0, uint32_t row1, uint8_t* dst) {
  const uint32_t groups = static_cast<uint32_t>(fives::groups_of(w.cols));
  for (uint32_t b = row0 / kRows; b * kRows < row1; ++b) {
    const uint32_t first = b * kRows, r0 = row0 > first ? row0 : first, r1 = row1 < first + kRows ? row1 : first + kRows;
    // The rows of the range, and with the last of the matrix those that fill up its block.
    const uint32_t end = r1 == w.rows ? kRows : r1 - first;
    const auto lanes = static_cast<__mmask16>(((1u << end) - 1) & ~((1u << (r0 - first)) - 1));
    __mmask16 bad = 0;
    for (uint32_t g = 0; g < groups; g += kGroups) {
      Rows rows;
      __m512i line[kGroups][5];
      read(w, b, r0, r1, g / kGroups * kParts, &rows);
      bad |= pack_groups(rows, line);
      uint8_t* out = dst + b * fives::block_bytes(w.cols) + uint64_t{kBytes} * g;
      for (uint32_t i = 0; i < kGroups && g + i < groups; ++i) {
        for (int k = 0; k < 5; ++k, out += 64) _mm512_mask_storeu_epi32(out, lanes, line[i][k]);
      }
    }
    if (bad != 0) return first + static_cast<uint32_t>(__builtin_ctz(bad));
  }
  return row1;
}

}  // namespace bn::avx512
