// bitnet/kit/vector/pack_avx2.hpp - bn.t2 rows into groups of 128 columns (bn.i2s128) with AVX2; for kit::i2s128::pack.
//
// For sources that are compiled for AVX2; elsewhere there is nothing here.
#pragma once
#if defined(__AVX2__)

#  include <immintrin.h>

#  include <cstring>

#  include "bitnet/kit/packs_i2s128.hpp"

namespace bn::kit::vector {

// Eight bytes of bn.t2, four codes each, to 32 codes of one byte. A byte dcba (two bits each) in a 32-bit lane spreads in
// two steps: x | x<<12 puts dc 16 bits above ba, x | x<<6 puts each code into its own byte.
static inline __m256i spread(const uint8_t* p) {
  __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  x = _mm256_and_si256(_mm256_or_si256(x, _mm256_slli_epi32(x, 12)), _mm256_set1_epi32(0x000F000F));
  return _mm256_and_si256(_mm256_or_si256(x, _mm256_slli_epi32(x, 6)), _mm256_set1_epi32(0x03030303));
}

// 32 bytes of bn.t2 to one group. `invalid` collects bits that are set where a code is 3.
static inline __m256i pack_group(const uint8_t* t2, __m256i* invalid) {
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(t2));
  const __m256i both = _mm256_and_si256(raw, _mm256_srli_epi16(raw, 1));
  *invalid = _mm256_or_si256(*invalid, _mm256_and_si256(both, _mm256_set1_epi8(0x55)));
  __m256i group = spread(t2);
  for (int plane = 1; plane < 4; ++plane) group = _mm256_or_si256(_mm256_slli_epi16(group, 2), spread(t2 + 8 * plane));
  return group;
}

// Group g of the bn.t2 row at t2; columns past the last are padded with weight 0.
static inline __m256i pack_group_of_row(const uint8_t* t2, uint32_t cols, uint32_t g, __m256i* invalid) {
  const uint32_t rest = cols - g * i2s128::kGroup;
  t2 += 32 * g;
  if (rest >= i2s128::kGroup) return pack_group(t2, invalid);
  uint8_t last[32];
  std::memset(last, 0x55, sizeof last);  // code 1, weight 0
  std::memcpy(last, t2, (rest + 3) / 4);
  if (rest % 4 != 0) {
    const unsigned used = (1u << 2 * (rest % 4)) - 1;
    last[rest / 4] = static_cast<uint8_t>((last[rest / 4] & used) | (0x55 & ~used));
  }
  return pack_group(last, invalid);
}

static inline uint32_t pack_rows_avx2(const bn_tensor& w, uint32_t row0, uint32_t row1, uint8_t* dst) {
  const uint64_t t2_bytes = (static_cast<uint64_t>(w.cols) + 3) / 4, out_bytes = i2s128::packed_row_bytes(w.cols);
  for (uint32_t r = row0; r < row1; ++r) {
    const uint8_t* in = static_cast<const uint8_t*>(w.data) + r * t2_bytes;
    __m256i* out = reinterpret_cast<__m256i*>(dst + r * out_bytes);
    __m256i invalid = _mm256_setzero_si256();
    for (uint32_t g = 0; g < out_bytes / 32; ++g) _mm256_storeu_si256(out + g, pack_group_of_row(in, w.cols, g, &invalid));
    if (_mm256_testz_si256(invalid, invalid) == 0) return r;
  }
  return row1;
}

}  // namespace bn::kit::vector
#endif
