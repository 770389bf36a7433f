// cpu_avx2/dense.cpp - embeddings and output heads: rows of any dense dtype times f32 vectors in the canonical order S16.
//
// The 16 lanes of S16 are two ymm registers. A lane is a chain of FMAs, so parallelism comes from several rows (one token)
// or from tiles of rows and tokens.
#include "bitnet/kit/dense_rows.hpp"
#include "bitnet/kit/ternary.hpp"
#include "kernels.h"
#include "simd.h"

namespace bn::avx2 {

struct Lanes {
  __m256 lo, hi;
};

static inline __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
static inline __m256 int8_to_float(__m128i v) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(v)); }
// 16 int8 as floats, times step.
static inline Lanes scaled(__m128i v, float step) {
  const __m256 k = _mm256_set1_ps(step);
  return {_mm256_mul_ps(k, int8_to_float(v)), _mm256_mul_ps(k, int8_to_float(_mm_srli_si128(v, 8)))};
}
static inline float scalar_half(const uint8_t* p) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(kit::load_u16(p)))); }
// Bits [shift, shift + 4) of 16 bytes; shift is 0 or 4. The 16-bit shift drags in bits of the neighbour, the mask drops them.
static inline __m128i nibbles(__m128i v, uint32_t shift) {
  return _mm_and_si128(_mm_srl_epi16(v, _mm_cvtsi32_si128(static_cast<int>(shift))), _mm_set1_epi8(15));
}

// One struct per dtype. chunk: bytes of 256 elements; unit: bytes of one element where a row may end anywhere, else 0;
// get(p, s): elements [16 s, 16 s + 16) of the chunk at p, by the formulas of kit/dense_rows.hpp.
struct F32 {
  static constexpr uint32_t chunk = 1024, unit = 4;
  static Lanes get(const uint8_t* p, uint32_t s) {
    const float* w = reinterpret_cast<const float*>(p + 64 * s);
    return {_mm256_loadu_ps(w), _mm256_loadu_ps(w + 8)};
  }
};
struct F16 {
  static constexpr uint32_t chunk = 512, unit = 2;
  static Lanes get(const uint8_t* p, uint32_t s) { return {half_to_float(p + 32 * s), half_to_float(p + 32 * s + 16)}; }
};
struct Bf16 {
  static constexpr uint32_t chunk = 512, unit = 2;
  static __m256 eight(const uint8_t* p) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(p)), 16)); }
  static Lanes get(const uint8_t* p, uint32_t s) { return {eight(p + 32 * s), eight(p + 32 * s + 16)}; }
};
struct I8Row {
  static constexpr uint32_t chunk = 256, unit = 1;
  static Lanes get(const uint8_t* p, uint32_t s) {
    const __m128i v = load16(p + 16 * s);
    return {int8_to_float(v), int8_to_float(_mm_srli_si128(v, 8))};
  }
};
struct Q8_0 {
  static constexpr uint32_t chunk = 8 * 34, unit = 0;
  static Lanes get(const uint8_t* p, uint32_t s) {
    const uint8_t* b = p + 34 * (s / 2);
    return scaled(load16(b + 2 + 16 * (s % 2)), scalar_half(b));
  }
};
struct Q4_0 {
  static constexpr uint32_t chunk = 8 * 18, unit = 0;
  static Lanes get(const uint8_t* p, uint32_t s) {
    const uint8_t* b = p + 18 * (s / 2);
    return scaled(_mm_sub_epi8(nibbles(load16(b + 2), 4 * (s % 2)), _mm_set1_epi8(8)), scalar_half(b));
  }
};
// Q4_K and, with the fifth bits of Q5_K in `high`, Q5_K.
static inline Lanes get_k(const uint8_t* b, const uint8_t* high, const uint8_t* quants, uint32_t s) {
  const uint32_t sub = s / 2, l = 16 * (s % 2);
  float scale, minimum;
  kit::k_scale(b + 4, static_cast<int>(sub), &scale, &minimum);
  __m128i q = nibbles(load16(quants + 32 * (sub / 2) + l), 4 * (sub % 2));
  if (high != nullptr) {
    const __m128i bit = _mm_set1_epi8(static_cast<char>(1 << sub));
    const __m128i set = _mm_cmpeq_epi8(_mm_and_si128(load16(high + l), bit), bit);
    q = _mm_or_si128(q, _mm_and_si128(set, _mm_set1_epi8(16)));
  }
  const Lanes product = scaled(q, scalar_half(b) * scale);
  const __m256 offset = _mm256_set1_ps(scalar_half(b + 2) * minimum);
  return {_mm256_sub_ps(product.lo, offset), _mm256_sub_ps(product.hi, offset)};
}
struct Q4K {
  static constexpr uint32_t chunk = 144, unit = 0;
  static Lanes get(const uint8_t* p, uint32_t s) { return get_k(p, nullptr, p + 16, s); }
};
struct Q5K {
  static constexpr uint32_t chunk = 176, unit = 0;
  static Lanes get(const uint8_t* p, uint32_t s) { return get_k(p, p + 16, p + 48, s); }
};
struct Q6K {
  static constexpr uint32_t chunk = 210, unit = 0;
  static Lanes get(const uint8_t* p, uint32_t s) {
    const uint32_t half = s / 8, part = s % 8 / 2, l = 16 * (s % 2);
    const __m128i low = nibbles(load16(p + 64 * half + l + 32 * (part % 2)), 4 * (part / 2));
    const __m128i top = _mm_srl_epi16(load16(p + 128 + 32 * half + l), _mm_cvtsi32_si128(static_cast<int>(2 * part)));
    const __m128i high = _mm_slli_epi16(_mm_and_si128(top, _mm_set1_epi8(3)), 4);
    const __m128i q = _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
    return scaled(q, scalar_half(p + 208) * static_cast<float>(static_cast<int8_t>(p[192 + 8 * half + 2 * part + s % 2])));
  }
};

// Elements [16 s, n) of a chunk, fewer than 16, then zeros: +0 products leave every total of S16 as it is.
template <class Dtype>
static inline Lanes get_last(const uint8_t* p, uint32_t s, uint32_t n) {
  if constexpr (Dtype::unit == 0) {
    return Dtype::get(p, s);  // rows of block formats are whole blocks of at least 32
  } else {
    uint8_t rest[64] = {};
    std::memcpy(rest, p + 16 * Dtype::unit * s, Dtype::unit * (n - 16 * s));
    return Dtype::get(rest, 0);
  }
}
static inline Lanes load_last(const float* x, uint32_t n) {
  return {load_first(x, n), n > 8 ? load_first(x + 8, n - 8) : _mm256_setzero_ps()};
}

static inline float finish(const bn_tensor& w, uint32_t r, float sum) {
  return w.dtype == BN_DT_I8_ROW ? sum * kit::row_scale(w, r) : sum;
}

// ------------------------------------------------------------------------------------------------- one token
// Chunks of a row between the one in work and the one asked for.
static constexpr uint32_t kAhead = 4;

// One chunk of 256 elements of Rows rows, `stride` bytes apart. Unrolled, so that the positions of scales are constants.
// Meanwhile the chunk at `ahead` of each row is asked for, a line now and then; into L2, as L1 is full with x and the rows
// in work (f16 rows of 2560: 24 GB/s against 15 into L1).
template <class Dtype, int Rows>
static inline void add_chunk(const uint8_t* w, uint64_t stride, const float* x, const uint8_t* ahead, Lanes* sum) {
  BN_UNROLL
  for (uint32_t s = 0; s < 16; ++s) {
    const __m256 x_lo = _mm256_loadu_ps(x + 16 * s), x_hi = _mm256_loadu_ps(x + 16 * s + 8);
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) {
      for (uint32_t line = (Dtype::chunk * s / 16 + 63) / 64; line < (Dtype::chunk * (s + 1) / 16 + 63) / 64; ++line) {
        _mm_prefetch(reinterpret_cast<const char*>(ahead + r * stride + 64 * line), _MM_HINT_T1);
      }
      const Lanes v = Dtype::get(w + r * stride, s);
      sum[r].lo = _mm256_fmadd_ps(v.lo, x_lo, sum[r].lo);
      sum[r].hi = _mm256_fmadd_ps(v.hi, x_hi, sum[r].hi);
    }
  }
}

// A last chunk of n < 256 elements.
template <class Dtype, int Rows>
static inline void add_rest(const uint8_t* w, uint64_t stride, const float* x, uint32_t n, Lanes* sum) {
  uint32_t s = 0;
  for (; s < n / 16; ++s) {
    BN_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const Lanes v = Dtype::get(w + r * stride, s);
      sum[r].lo = _mm256_fmadd_ps(v.lo, _mm256_loadu_ps(x + 16 * s), sum[r].lo);
      sum[r].hi = _mm256_fmadd_ps(v.hi, _mm256_loadu_ps(x + 16 * s + 8), sum[r].hi);
    }
  }
  if (n % 16 == 0) return;
  const Lanes last = load_last(x + 16 * s, n - 16 * s);
  BN_UNROLL
  for (int r = 0; r < Rows; ++r) {
    const Lanes v = get_last<Dtype>(w + r * stride, s, n);
    sum[r].lo = _mm256_fmadd_ps(v.lo, last.lo, sum[r].lo);
    sum[r].hi = _mm256_fmadd_ps(v.hi, last.hi, sum[r].hi);
  }
}

template <int Rows>
static inline void clear(Lanes* lanes) {
  BN_UNROLL
  for (int r = 0; r < Rows; ++r) lanes[r] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
template <int Rows>
static inline void add_lanes(Lanes* total, const Lanes* sum) {
  BN_UNROLL
  for (int r = 0; r < Rows; ++r) {
    total[r].lo = _mm256_add_ps(total[r].lo, sum[r].lo);
    total[r].hi = _mm256_add_ps(total[r].hi, sum[r].hi);
  }
}

template <class Dtype, int Rows>
static inline void multiply_rows(const bn_dense& a, uint32_t r, uint64_t stride) {
  const uint32_t cols = a.w->cols, chunks = cols / 256;
  const uint8_t* w = static_cast<const uint8_t*>(a.w->data) + r * stride;
  Lanes total[Rows], sum[Rows];
  clear<Rows>(total);
  for (uint32_t i = 0; i < chunks; ++i) {
    const bool in_row = i + kAhead < chunks;  // else in the next Rows rows
    const uint8_t* ahead = in_row ? w + Dtype::chunk * (i + kAhead) : w + Rows * stride + Dtype::chunk * (i + kAhead - chunks);
    clear<Rows>(sum);
    add_chunk<Dtype, Rows>(w + Dtype::chunk * i, stride, a.x + 256 * i, ahead, sum);
    add_lanes<Rows>(total, sum);
  }
  const uint32_t c = 256 * chunks;
  w += Dtype::chunk * chunks;
  if (c < cols) {
    clear<Rows>(sum);
    add_rest<Dtype, Rows>(w, stride, a.x + c, cols - c, sum);
    add_lanes<Rows>(total, sum);
  }
  for (uint32_t i = 0; i < Rows; ++i) a.y[r + i] = finish(*a.w, r + i, fold16(total[i].lo, total[i].hi));
}

template <class Dtype>
static void multiply_token(const bn_dense& a, uint32_t row0, uint32_t row1) {
  const uint64_t stride = kit::dense_row_bytes(a.w->dtype, a.w->cols);
  uint32_t r = row0;
  for (; r + 4 <= row1; r += 4) multiply_rows<Dtype, 4>(a, r, stride);
  for (; r < row1; ++r) multiply_rows<Dtype, 1>(a, r, stride);
}

// ------------------------------------------------------------------------------------------- several tokens
// Eight rows of a chunk are decoded once and used for a block of tokens.
static constexpr uint32_t kRows = 8, kTokens = 48, kTileTokens = 3;

struct Tiles {
  alignas(64) float w[kRows][256];
  alignas(64) float total[kTokens][kRows][16];
};
static_assert(sizeof(Tiles) <= kScratchBytes);

// n <= 256 elements of a chunk as floats, zeros up to a multiple of 16.
template <class Dtype>
static void decode(const uint8_t* p, uint32_t n, float* w) {
  for (uint32_t s = 0; 16 * s < n; ++s) {
    const Lanes v = n - 16 * s < 16 ? get_last<Dtype>(p, s, n) : Dtype::get(p, s);
    _mm256_store_ps(w + 16 * s, v.lo);
    _mm256_store_ps(w + 16 * s + 8, v.hi);
  }
}

// Adds one chunk, 4 rows by Tokens tokens, lanes [lane, lane + 8): half of the lanes at a time, so 12 chains fit.
template <int Tokens>
static inline void tile(const float (*w)[256], const float* x, uint64_t x_stride, uint32_t n, uint32_t lane,
                        float (*total)[kRows][16]) {
  __m256 sum[Tokens][4];
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int r = 0; r < 4; ++r) sum[t][r] = _mm256_setzero_ps();
  }
  for (uint32_t i = lane; i < n; i += 16) {
    __m256 v[Tokens];
    BN_UNROLL
    for (int t = 0; t < Tokens; ++t) v[t] = load_first(x + t * x_stride + i, n - i);
    BN_UNROLL
    for (int r = 0; r < 4; ++r) {
      const __m256 row = _mm256_load_ps(w[r] + i);
      BN_UNROLL
      for (int t = 0; t < Tokens; ++t) sum[t][r] = _mm256_fmadd_ps(row, v[t], sum[t][r]);
    }
  }
  BN_UNROLL
  for (int t = 0; t < Tokens; ++t) {
    BN_UNROLL
    for (int r = 0; r < 4; ++r) {
      float* p = total[t][r] + lane;
      _mm256_store_ps(p, _mm256_add_ps(_mm256_load_ps(p), sum[t][r]));
    }
  }
}

template <int Tokens>
static void tile_rows(Tiles* tiles, const float* x, uint64_t x_stride, uint32_t n, uint32_t t) {
  for (uint32_t r = 0; r < kRows; r += 4) {
    auto* total = reinterpret_cast<float(*)[kRows][16]>(tiles->total[t][r]);
    tile<Tokens>(tiles->w + r, x, x_stride, n, 0, total);
    tile<Tokens>(tiles->w + r, x, x_stride, n, 8, total);
  }
}

// Rows [r, r + rows), rows <= 8, times tokens [t0, t0 + tokens), tokens <= kTokens.
template <class Dtype>
static void multiply_block(const bn_dense& a, uint32_t r, uint32_t rows, uint32_t t0, uint32_t tokens, Tiles* tiles) {
  const uint32_t cols = a.w->cols;
  const uint64_t stride = kit::dense_row_bytes(a.w->dtype, cols);
  const uint8_t* w = static_cast<const uint8_t*>(a.w->data) + r * stride;
  std::memset(tiles->total, 0, sizeof tiles->total[0] * tokens);
  for (uint32_t c = 0; c < cols; c += 256, w += Dtype::chunk) {
    const uint32_t n = cols - c < 256 ? cols - c : 256;
    for (uint32_t i = 0; i < kRows; ++i) decode<Dtype>(w + (i < rows ? i : rows - 1) * stride, n, tiles->w[i]);
    const float* x = a.x + static_cast<uint64_t>(t0) * a.x_stride + c;
    uint32_t t = 0;
    for (; t + kTileTokens <= tokens; t += kTileTokens) {
      tile_rows<kTileTokens>(tiles, x + static_cast<uint64_t>(t) * a.x_stride, a.x_stride, n, t);
    }
    for (; t < tokens; ++t) tile_rows<1>(tiles, x + static_cast<uint64_t>(t) * a.x_stride, a.x_stride, n, t);
  }
  for (uint32_t t = 0; t < tokens; ++t) {
    float* y = a.y + static_cast<uint64_t>(t0 + t) * a.y_stride;
    for (uint32_t i = 0; i < rows; ++i) {
      const float* total = tiles->total[t][i];
      y[r + i] = finish(*a.w, r + i, fold16(_mm256_load_ps(total), _mm256_load_ps(total + 8)));
    }
  }
}

template <class Dtype>
static bn_status multiply(const bn_dense& a, uint32_t row0, uint32_t row1, Tiles* tiles) {
  if (a.m == 1) {
    multiply_token<Dtype>(a, row0, row1);
    return BN_OK;
  }
  for (uint32_t t = 0; t < a.m; t += kTokens) {
    const uint32_t tokens = a.m - t < kTokens ? a.m - t : kTokens;
    for (uint32_t r = row0; r < row1; r += kRows) {
      multiply_block<Dtype>(a, r, row1 - r < kRows ? row1 - r : kRows, t, tokens, tiles);
    }
  }
  return BN_OK;
}

bn_status dense(bn_device*, const bn_dense* a, uint32_t row0, uint32_t row1, void* scratch) {
  Tiles* tiles = static_cast<Tiles*>(scratch);
  switch (a->w->dtype) {
    case BN_DT_F32:
      return multiply<F32>(*a, row0, row1, tiles);
    case BN_DT_F16:
      return multiply<F16>(*a, row0, row1, tiles);
    case BN_DT_BF16:
      return multiply<Bf16>(*a, row0, row1, tiles);
    case BN_DT_I8_ROW:
      return multiply<I8Row>(*a, row0, row1, tiles);
    case BN_DT_Q8_0:
      return multiply<Q8_0>(*a, row0, row1, tiles);
    case BN_DT_Q4_0:
      return multiply<Q4_0>(*a, row0, row1, tiles);
    case BN_DT_Q4_K:
      return multiply<Q4K>(*a, row0, row1, tiles);
    case BN_DT_Q5_K:
      return multiply<Q5K>(*a, row0, row1, tiles);
    case BN_DT_Q6_K:
      return multiply<Q6K>(*a, row0, row1, tiles);
    default:
      return BN_E_UNSUPPORTED;
  }
}

}  // namespace bn::avx2
