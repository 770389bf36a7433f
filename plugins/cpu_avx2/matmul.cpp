// cpu_avx2/matmul.cpp - ternary weights times int8 activations, exact in int32.
//
// Weights: groups of 128 columns in 32 bytes (bn.i2s128); column 32*g + p of a group is bits 6-2g of byte p: plane g. They
// hold the code c = w+1, so dot(w, x) = dot(c, x) - sum(x), and codes can be the unsigned operand of vpmaddubsw, which adds
// pairs c*x + c'*x' of at most 2*2*127 = 508 into int16 lanes.
#include "bitnet/kit/ternary.hpp"
#include "kernels.h"
#include "simd.h"

namespace bn::avx2 {

static inline __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
static inline void store(void* p, __m256i v) { _mm256_store_si256(static_cast<__m256i*>(p), v); }

// 16 int16 accumulators. A type of its own because gcc 12 copies and spills __m256i that are accumulated as int16 (measured:
// half of the speed of the loops below).
typedef int16_t Int16x16 __attribute__((vector_size(32)));

// Adds pairs code*x + code'*x'.
static inline void accumulate(Int16x16* sum, __m256i codes, __m256i x) {
  *sum += reinterpret_cast<Int16x16>(_mm256_maddubs_epi16(codes, x));
}
// Adds neighbours: 8 int32.
static inline __m256i widen(Int16x16 v) { return _mm256_madd_epi16(reinterpret_cast<__m256i>(v), _mm256_set1_epi16(1)); }

// The four sums of the 8 lanes of a, b, c, d.
static inline __m128i sum_four(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
  const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
  const __m256i all = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
  return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

static inline float result(const bn_matmul& a, uint32_t t, uint32_t r, int32_t dot) {
  return static_cast<float>(dot - a.x_sum[t]) * (a.x_scale[t] * kit::row_scale(*a.w, r));
}

// ---------------------------------------------------------------------------------------------- a few tokens
// Bytes between the end of the rows in work and the ones asked for: the latency of memory.
static constexpr uint32_t kPrefetch = 4096;

// dot(codes, x) of Rows rows, `stride` bytes apart, for one token. The rows behind them are asked for meanwhile.
//
// Planes 0 and 1 sit two bits above 2 and 3 in the nibbles of each byte. One shift by 4 and four ANDs make all planes if
// 2 and 0 may keep their factor 4: they go to an accumulator of their own, which is shifted back after eight groups, before
// it can overflow (8 * 2 * 4 * 508 = 32512). That leaves 13 vector operations per 32 bytes: 3.25 cycles on four pipes, 36
// GB/s at 3.7 GHz, more than one core of Zen 4 reads from memory (28 of 31 GB/s reached, rows of 2560).
template <int Rows>
static inline void dot_rows(const uint8_t* w, uint64_t stride, uint32_t groups, const int8_t* x, __m256i* total) {
  const __m256i low = _mm256_set1_epi8(0x03), high = _mm256_set1_epi8(0x0C);
  for (int r = 0; r < Rows; ++r) total[r] = _mm256_setzero_si256();
  const uint8_t* ahead = w + Rows * stride + kPrefetch;
  for (uint32_t g = 0; g < groups;) {
    Int16x16 ones[Rows], fours[Rows];
    for (int r = 0; r < Rows; ++r) ones[r] = fours[r] = Int16x16{};
    const uint32_t end = groups - g < 8 ? groups : g + 8;
    for (; g < end; ++g, x += kGroup) {
      for (int r = 0; r < Rows; r += 2) _mm_prefetch(reinterpret_cast<const char*>(ahead + 32 * r), _MM_HINT_T0);
      ahead += 32 * Rows;
      for (int r = 0; r < Rows; ++r) {
        const __m256i b = load(w + r * stride + 32 * g), s = _mm256_srli_epi16(b, 4);
        accumulate(&fours[r], _mm256_and_si256(s, high), load(x));
        accumulate(&ones[r], _mm256_and_si256(s, low), load(x + 32));
        accumulate(&fours[r], _mm256_and_si256(b, high), load(x + 64));
        accumulate(&ones[r], _mm256_and_si256(b, low), load(x + 96));
      }
    }
    for (int r = 0; r < Rows; ++r) total[r] = _mm256_add_epi32(total[r], widen(ones[r] + (fours[r] >> 2)));
  }
}

// Four rows at a time; each token after the first finds them in L1.
static void multiply_few(const bn_matmul& a, uint32_t row0, uint32_t row1) {
  const uint32_t groups = (a.w->cols + kGroup - 1) / kGroup;
  const uint64_t stride = 32ull * groups;
  const uint8_t* w = static_cast<const uint8_t*>(a.packed);
  for (uint32_t r = row0; r < row1;) {
    const uint32_t rows = row1 - r >= 4 ? 4 : 1;
    for (uint32_t t = 0; t < a.m; ++t) {
      const int8_t* x = a.x + static_cast<uint64_t>(t) * a.x_stride;
      __m256i total[4] = {};
      if (rows == 4) {
        dot_rows<4>(w + r * stride, stride, groups, x, total);
      } else {
        dot_rows<1>(w + r * stride, stride, groups, x, total);
      }
      alignas(16) int32_t dot[4];
      _mm_store_si128(reinterpret_cast<__m128i*>(dot), sum_four(total[0], total[1], total[2], total[3]));
      float* y = a.y + static_cast<uint64_t>(t) * a.y_stride + r;
      for (uint32_t i = 0; i < rows; ++i) y[i] = result(a, t, r + i, dot[i]);
    }
    r += rows;
  }
}

// --------------------------------------------------------------------------------------------- many tokens
// Eight rows are unpacked to one byte per code, a block of columns at a time, and used for a block of tokens:
//   codes  8 rows x at most 2048 columns, 16 KB: stays in L1 beside 3 tokens of x
//   x      tokens x columns, about kTokenBytes: stays in L2
static constexpr uint32_t kRows = 8;
static constexpr uint32_t kMaxSteps = 64;  // steps of 32 columns: 64 * 508 still fits int16
static constexpr uint32_t kMaxTokens = 240;
static constexpr uint32_t kTokenBytes = 512 * 1024;
static constexpr uint32_t kFewTokens = 16;

struct Tiles {
  alignas(64) uint8_t codes[kRows / 4][kMaxSteps][4][32];  // in the order in which multiply_tile() reads them
  alignas(64) int32_t dot[kMaxTokens][kRows];
};
static_assert(sizeof(Tiles) <= kScratchBytes);

// n groups of one row to codes: step s goes to codes[s].
static void unpack(const uint8_t* row, uint32_t n, uint8_t (*codes)[4][32]) {
  const __m256i mask = _mm256_set1_epi8(3);
  for (uint32_t g = 0; g < n; ++g, codes += 4) {
    const __m256i b = load(row + 32 * g);
    store(codes[0], _mm256_and_si256(_mm256_srli_epi16(b, 6), mask));
    store(codes[1], _mm256_and_si256(_mm256_srli_epi16(b, 4), mask));
    store(codes[2], _mm256_and_si256(_mm256_srli_epi16(b, 2), mask));
    store(codes[3], _mm256_and_si256(b, mask));
  }
}

// Sums of one row with three tokens. Named members, not an array: gcc 12 keeps arrays of vectors in memory.
struct RowSums {
  Int16x16 t0{}, t1{}, t2{};

  // x2 stays in memory: 12 sums, x0, x1, the codes and one product are the 16 registers there are.
  void add(const uint8_t* codes, __m256i x0, __m256i x1, const int8_t* x2) {
    __m256i c = load(codes);
    keep(&c);
    accumulate(&t0, c, x0);
    accumulate(&t1, c, x1);
    __asm__("vpmaddubsw %1, %0, %0" : "+x"(c) : "m"(*reinterpret_cast<const __m256i_u*>(x2)));
    t2 += reinterpret_cast<Int16x16>(c);
  }
};

static inline void add_dots(int32_t* dot, Int16x16 a, Int16x16 b, Int16x16 c, Int16x16 d) {
  __m128i* out = reinterpret_cast<__m128i*>(dot);
  _mm_store_si128(out, _mm_add_epi32(_mm_load_si128(out), sum_four(widen(a), widen(b), widen(c), widen(d))));
}

// dot[0..2][0..3] += codes of 4 rows times three tokens: 12 vpmaddubsw and vpaddw for 10 loads. Zen 4: 176 GMAC/s of the 193
// that the pair of instructions reaches from registers; 155 for the whole op (512 tokens).
__attribute__((noinline)) static void multiply_tile(const uint8_t (*codes)[4][32], const int8_t* x0, const int8_t* x1,
                                                    const int8_t* x2, uint64_t steps, int32_t (*dot)[kRows]) {
  RowSums a, b, c, d;
  for (uint64_t s = 0; s < steps; ++s, x0 += 32, x1 += 32, x2 += 32) {
    __m256i v0 = load(x0), v1 = load(x1);
    keep(&v0);
    keep(&v1);
    a.add(codes[s][0], v0, v1, x2);
    b.add(codes[s][1], v0, v1, x2);
    c.add(codes[s][2], v0, v1, x2);
    d.add(codes[s][3], v0, v1, x2);
  }
  add_dots(dot[0], a.t0, b.t0, c.t0, d.t0);
  add_dots(dot[1], a.t1, b.t1, c.t1, d.t1);
  add_dots(dot[2], a.t2, b.t2, c.t2, d.t2);
}

// y of rows [r, r + n), n <= 8, for tokens [t0, t1).
static void finish(const bn_matmul& a, uint32_t r, uint32_t n, uint32_t t0, uint32_t t1, const int32_t (*dot)[kRows]) {
  alignas(32) float scale[kRows] = {};
  for (uint32_t i = 0; i < n; ++i) scale[i] = kit::row_scale(*a.w, r + i);
  const __m256 w_scale = _mm256_load_ps(scale);
  for (uint32_t t = t0; t < t1; ++t) {
    const __m256i d = _mm256_sub_epi32(load(dot[t - t0]), _mm256_set1_epi32(a.x_sum[t]));
    const __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(d), _mm256_mul_ps(_mm256_set1_ps(a.x_scale[t]), w_scale));
    store_first(a.y + static_cast<uint64_t>(t) * a.y_stride + r, n, y);
  }
}

// Rows [r, r + n), n <= 8, times tokens [t0, t1).
static void multiply_block(const bn_matmul& a, uint32_t r, uint32_t n, uint32_t t0, uint32_t t1, Tiles* tiles) {
  const uint32_t groups = (a.w->cols + kGroup - 1) / kGroup;
  const uint32_t blocks = (groups + kMaxSteps / 4 - 1) / (kMaxSteps / 4), per_block = (groups + blocks - 1) / blocks;
  const uint8_t* w = static_cast<const uint8_t*>(a.packed);
  std::memset(tiles->dot, 0, sizeof tiles->dot);
  for (uint32_t g = 0; g < groups; g += per_block) {
    const uint32_t count = groups - g < per_block ? groups - g : per_block;
    for (uint32_t i = 0; i < kRows; ++i) {  // rows past the end repeat the last one
      const uint64_t row = r + (i < n ? i : n - 1);
      unpack(w + 32 * (row * groups + g), count, reinterpret_cast<uint8_t(*)[4][32]>(tiles->codes[i / 4][0][i % 4]));
    }
    for (uint32_t t = t0; t < t1; t += 3) {  // tokens past the end repeat the last one
      const uint32_t end = t1 - t < 3 ? t1 : t + 3;
      const int8_t* x0 = a.x + static_cast<uint64_t>(t) * a.x_stride + kGroup * g;
      const int8_t* x1 = t + 1 < end ? x0 + a.x_stride : x0;
      const int8_t* x2 = t + 2 < end ? x1 + a.x_stride : x1;
      int32_t(*dot)[kRows] = tiles->dot + (t - t0);
      multiply_tile(tiles->codes[0], x0, x1, x2, 4 * count, dot);
      multiply_tile(tiles->codes[1], x0, x1, x2, 4 * count, reinterpret_cast<int32_t(*)[kRows]>(&dot[0][4]));
    }
  }
  finish(a, r, n, t0, t1, tiles->dot);
}

bn_status matmul(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  if (a->m <= kFewTokens) {
    multiply_few(*a, row0, row1);
    return BN_OK;
  }
  uint32_t tokens = kTokenBytes / a->w->cols / 3 * 3;
  tokens = tokens < 24 ? 24 : tokens > kMaxTokens ? kMaxTokens : tokens;
  for (uint32_t t = 0; t < a->m; t += tokens) {
    const uint32_t t1 = a->m - t < tokens ? a->m : t + tokens;
    for (uint32_t r = row0; r < row1; r += kRows) {
      multiply_block(*a, r, row1 - r < kRows ? row1 - r : kRows, t, t1, static_cast<Tiles*>(scratch));
    }
  }
  return BN_OK;
}

}  // namespace bn::avx2
