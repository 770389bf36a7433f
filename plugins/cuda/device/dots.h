// device/dots.h - three ways in which a warp multiplies T2 tiles (16 rows x 128 columns) with int8 activations; all exact.
//
// With c = w+1, add() puts one tile's products c*x into the lane's running sums: the lane's 16 bytes of the tile, and what
// prepare() made of the activations of the same 128 columns. publish() writes sums of c*x as out[16*token + row]; the caller
// takes the sum of x away; publish_first() does so for token 0 alone. Lane 4g+t.
//   Dot4   one token.
//   Bits   one token; the weights' two bits as they are against the 8 bit planes of x: no unpacking.
//   Bytes  up to 8 tokens; the lane prepares those of token g.
#pragma once

#include "matmul.h"
#include "simt.h"
#include "t2.h"

namespace bn_cuda {

BN_DEVICE uint32_t col_tiles(uint32_t cols) { return (cols + kTileCols - 1) / kTileCols; }
BN_DEVICE uint32_t row_tiles(uint32_t rows) { return (rows + kTileRows - 1) / kTileRows; }

// The fields of two bits become w+1 as numbers: 11 becomes 10. (10 does not occur.)
BN_DEVICE uint32_t counts_of(uint32_t v) { return v & ~(v >> 1 & 0x55555555u); }

// Field m of every byte of the counts, where it stands: c * 4^m. Such sums are kept apart for each m, and shifted only at the
// end.
BN_DEVICE uint32_t field(uint32_t counts, uint32_t m) { return counts & 0x03030303u << 2 * m; }
BN_DEVICE int32_t joined(int32_t m0, int32_t m1, int32_t m2, int32_t m3) { return m0 + (m1 >> 2) + (m2 >> 4) + (m3 >> 6); }

// Activations of one lane and 128 columns: w[4h+m] is the 4 bytes at 64h + 16t + 4m.
struct Activations {
  uint32_t w[8];
};
BN_DEVICE Activations load_activations(const int8_t* x) {
  Activations a;
  BN_UNROLL
  for (uint32_t h = 0; h < 2; ++h) {
    const Words4 v = *reinterpret_cast<const Words4*>(x + 64 * h + 16 * (lane_index() % 4));
    BN_UNROLL
    for (uint32_t m = 0; m < 4; ++m) a.w[4 * h + m] = v.w[m];
  }
  return a;
}

// Sums of rows g and g+8, one part in each lane of a quad.
BN_DEVICE void publish_quad(int32_t low, int32_t high, int32_t* out) {
  const uint32_t g = lane_index() / 4, t = lane_index() % 4;
  for (uint32_t m = 1; m < 4; m *= 2) {
    low += shuffle_xor(low, m);
    high += shuffle_xor(high, m);
  }
  if (t == 0) out[g] = low;
  if (t == 1) out[g + 8] = high;
}

struct Dot4 {
  static constexpr uint32_t kTokens = 1;
  using X = Activations;
  struct Sums {
    int32_t of[2][4] = {};  // [row g or g+8][m]
  };
  BN_DEVICE X prepare(const int8_t* x) { return load_activations(x); }
  BN_DEVICE void add(Sums& sums, const Words4& w, const X& x) {
    BN_UNROLL
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t counts = counts_of(w.w[i]);
      BN_UNROLL
      for (uint32_t m = 0; m < 4; ++m) sums.of[i % 2][m] = dot4(field(counts, m), x.w[i / 2 * 4 + m], sums.of[i % 2][m]);
    }
  }
  BN_DEVICE void publish_first(const Sums& s, int32_t* out) { publish(s, out); }
  BN_DEVICE void publish(const Sums& s, int32_t* out) {
    publish_quad(joined(s.of[0][0], s.of[0][1], s.of[0][2], s.of[0][3]), joined(s.of[1][0], s.of[1][1], s.of[1][2], s.of[1][3]),
                 out);
  }
};

struct Bits {
  static constexpr uint32_t kTokens = 1;
  struct X {
    uint32_t b[2];
  };
  struct Sums {
    int32_t of[4] = {};  // planes 2t, 2t+1 of row g, then of row g+8
  };
  // Bit plane g. Each bit stands twice, under both bits of its weight.
  BN_DEVICE X prepare(const int8_t* x) {
    const Activations a = load_activations(x);
    const uint32_t g = lane_index() / 4;
    X planes = {};
    BN_UNROLL
    for (uint32_t i = 0; i < 8; ++i) planes.b[i / 4] += (a.w[i] >> g & 0x01010101u) << 2 * (i % 4);
    BN_UNROLL
    for (uint32_t h = 0; h < 2; ++h) planes.b[h] *= 3;
    return planes;
  }
  BN_DEVICE void add(Sums& sums, const Words4& w, const X& x) { mma_b1(sums.of, w.w, x.b); }
  BN_DEVICE void publish_first(const Sums& s, int32_t* out) { publish(s, out); }
  BN_DEVICE void publish(const Sums& s, int32_t* out) {
    const uint32_t t = lane_index() % 4;
    const int32_t even = 1 << 2 * t, odd = t == 3 ? -128 : 2 << 2 * t;  // plane 7 is the sign
    publish_quad(even * s.of[0] + odd * s.of[1], even * s.of[2] + odd * s.of[3], out);
  }
};

struct Bytes {
  static constexpr uint32_t kTokens = 8;
  using X = Activations;
  struct Sums {
    int32_t of[2][4] = {};  // [m % 2][as mma_u8s8 gives them]: a shift more, eight registers less
  };
  BN_DEVICE X prepare(const int8_t* x) { return load_activations(x); }
  BN_DEVICE void add(Sums& sums, const Words4& w, const X& x) {
    uint32_t counts[4];
    BN_UNROLL
    for (uint32_t i = 0; i < 4; ++i) counts[i] = counts_of(w.w[i]);
    BN_UNROLL
    for (uint32_t m = 0; m < 4; ++m) {
      uint32_t a[4];
      BN_UNROLL
      for (uint32_t i = 0; i < 4; ++i) a[i] = field(counts[i] >> m / 2 * 4, m % 2);
      const uint32_t b[2] = {x.w[m], x.w[4 + m]};
      mma_u8s8(sums.of[m % 2], a, b);
    }
  }
  BN_DEVICE void publish(const Sums& s, int32_t* out) {
    const uint32_t g = lane_index() / 4, t = lane_index() % 4;
    BN_UNROLL
    for (uint32_t i = 0; i < 4; ++i) out[16 * (2 * t + i % 2) + g + i / 2 * 8] = value(s, i);
  }
  BN_DEVICE void publish_first(const Sums& s, int32_t* out) {
    const uint32_t g = lane_index() / 4;
    if (lane_index() % 4 != 0) return;
    out[g] = value(s, 0);
    out[g + 8] = value(s, 2);
  }
  BN_DEVICE int32_t value(const Sums& s, uint32_t i) { return s.of[0][i] + (s.of[1][i] >> 2); }
};

// One output, rounded step by step as the host's graph does it. bias: 0 where there is none.
BN_DEVICE void store_output(const MatmulArgs& a, uint32_t token, uint32_t row, int32_t dot, float x_scale, float w_scale,
                            float bias) {
  float* y = a.y + uint64_t{token} * a.y_stride + row;
  float v = static_cast<float>(dot) * (x_scale * w_scale);
  if (a.bias != nullptr) v = v + bias;
  if (a.add != 0) v = *y + v;
  *y = v;
}
BN_DEVICE float bias_of(const MatmulArgs& a, uint32_t row) { return a.bias != nullptr ? a.bias[row] : 0.0f; }

}  // namespace bn_cuda
