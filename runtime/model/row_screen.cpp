// model/row_screen.cpp - quantises a row in loops that compilers vectorise, and adds up what the codes miss.
#include "model/row_screen.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "bitnet/formats.h"
#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::model {
namespace {

using bn::kit::bits_of;

constexpr double kUnit = 0x1p-24;  // u
constexpr uint32_t kChunk = 256;
constexpr float kLeast = 1e-30f, kMost = 1e30f;  // largest |w| of a row that gets codes

// g(m+1) of the header.
double rounding_share(uint32_t n) {
  const double m = 16 + (n + kChunk - 1) / kChunk + 4 + 1;
  return m * kUnit / (1 - m * kUnit);
}

float float_above(double x) { return std::nextafter(static_cast<float>(x), std::numeric_limits<float>::infinity()); }

// The bits of the largest |w|: integers compare as the floats do, NaN above all.
uint32_t largest_bits(const float* w, uint64_t n) {
  int32_t largest = 0;
  for (uint64_t i = 0; i < n; ++i) largest = std::max(largest, static_cast<int32_t>(bits_of(w[i]) & 0x7FFFFFFFu));
  return static_cast<uint32_t>(largest);
}

// Sum of 256 squares, in 16 lanes; too small by less than 17 u of itself and 2^-141.
double sum_of_squares(const float* v) {
  float lane[16] = {};
  for (uint32_t i = 0; i < kChunk; i += 16) {
    for (uint32_t j = 0; j < 16; ++j) lane[j] += v[i + j] * v[i + j];
  }
  double sum = 0;
  for (const float x : lane) sum += static_cast<double>(x);
  return sum;
}

// Codes of 256 elements. left: t - q, and w becomes q.
void quantize_chunk(float* __restrict w, float inverse, int8_t* __restrict codes, float* __restrict left) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: the sum's low bits are the rounded integer in two's complement
  for (uint32_t i = 0; i < kChunk; ++i) {
    const float t = w[i] * inverse, sum = t + kRound;
    codes[i] = static_cast<int8_t>(bits_of(sum) & 0xFFu);
    w[i] = sum - kRound;
    left[i] = t - w[i];
  }
}

}  // namespace

RowScreen screen_row(float* w, uint32_t n, int8_t* codes) {
  const uint64_t padded = row_screen_floats(n);
  std::fill(w + n, w + padded, 0.0f);
  const float largest = bn::kit::float_of(largest_bits(w, padded));
  if (!(largest <= kMost)) {
    std::memset(codes, 0, n);
    return {0, std::numeric_limits<float>::infinity()};
  }
  if (largest < kLeast) {  // E is 0, |w| <= largest sqrt(n)
    std::memset(codes, 0, n);
    return {0, largest == 0 ? 0.0f : float_above(1.001 * static_cast<double>(largest) * std::sqrt(n))};
  }
  RowScreen row;
  row.scale = largest / 127.0f;
  const float inverse = 127.0f / largest;
  double left_squares = n * 0x1p-140, code_squares = 0;
  for (uint32_t c = 0; c < n; c += kChunk) {
    float left[kChunk];
    int8_t chunk[kChunk];
    quantize_chunk(w + c, inverse, chunk, left);
    std::memcpy(codes + c, chunk, std::min(kChunk, n - c));
    left_squares += sum_of_squares(left);
    code_squares += sum_of_squares(w + c);
  }
  // 2^-18 is more than the sums and the last steps lost.
  const double missed = std::sqrt(left_squares), q = std::sqrt(code_squares), t = missed + q;
  const double share = missed + 4 * kUnit * t + rounding_share(n) * (t + q);
  row.coefficient = float_above(static_cast<double>(row.scale) * share * (1 + 0x1p-18));
  return row;
}

void read_float_row(uint32_t dtype, const void* row, uint32_t n, float* w) {
  if (dtype == BN_DT_F32) {
    std::memcpy(w, row, 4ull * n);
    return;
  }
  const auto* halves = static_cast<const uint8_t*>(row);  // may be unaligned
  const auto convert = [&](auto&& to_float) {
    for (uint32_t i = 0; i < n; ++i) {
      uint16_t half;
      std::memcpy(&half, halves + 2ull * i, 2);
      w[i] = to_float(half);
    }
  };
  if (dtype == BN_DT_F16) {
    convert([](uint16_t half) { return bn::kit::f16_to_f32(half); });
  } else {
    convert([](uint16_t half) { return bn::kit::bf16_to_f32(half); });
  }
}

double norm_above(const float* x, uint32_t n) {
  double squares = 0;
  for (uint32_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return std::sqrt(squares) * (1 + 1e-9);  // n roundings of 2^-53 each
}

float screening_absolute(uint32_t n, float largest_scale) {
  return float_above(0x1p-148 * (n + 1.0) * (1 + static_cast<double>(largest_scale)));
}

double screening_limit(uint32_t n, float largest_scale) {
  return 1e37 / (128 * std::sqrt(static_cast<double>(n)) * std::max(1.0, static_cast<double>(largest_scale)));
}

}  // namespace bitnet::model
