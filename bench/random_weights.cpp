// bench/random_weights.cpp - the generator's seeds, tables of trits, and one packer per format of floats.
#include "random_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::bench {
namespace {

using gguf::Type;

// Four trits for each number below 81.
constexpr std::array<std::array<int8_t, 4>, 81> kFourTrits = [] {
  std::array<std::array<int8_t, 4>, 81> table{};
  for (uint32_t n = 0; n < 81; ++n) {
    for (uint32_t i = 0, rest = n; i < 4; ++i, rest /= 3) table[n][i] = static_cast<int8_t>(static_cast<int>(rest % 3) - 1);
  }
  return table;
}();

void put_f16(uint8_t* out, float value) {
  const uint16_t half = bn::kit::f32_to_f16(value);
  std::memcpy(out, &half, sizeof half);
}

float largest_magnitude(const float* x, int n) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

uint16_t to_bf16(float value) {
  const uint32_t u = bn::kit::bits_of(value);
  return static_cast<uint16_t>((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

// 32 values: f16 step, int8 multiples of it.
void pack_q8_0(const float* x, uint8_t* out) {
  const float step = f16_value(largest_magnitude(x, 32) / 127.0f);
  put_f16(out, step);
  for (int i = 0; i < 32; ++i) {
    const long q = step == 0 ? 0 : std::clamp(std::lround(x[i] / step), -127l, 127l);
    out[2 + i] = static_cast<uint8_t>(q);
  }
}

// 256 values: low nibbles[128], upper bit pairs[64], int8 scales of 16 values each, f16 step of the scales.
void pack_q6_k(const float* x, uint8_t* out) {
  const float step = f16_value(largest_magnitude(x, 256) / (31.0f * 127.0f));
  std::memset(out, 0, 208);
  put_f16(out + 208, step);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, part = i % 128 / 32, l = i % 32;
    const int group = 8 * half + 2 * part + l / 16;
    const float largest = largest_magnitude(x + i / 16 * 16, 16);
    const float scale = step == 0 ? 0 : std::min(127.0f, std::ceil(largest / (31.0f * step)));
    const long q = scale == 0 ? 32 : std::clamp(std::lround(x[i] / (step * scale)), -32l, 31l) + 32;
    out[192 + group] = static_cast<uint8_t>(scale);
    out[64 * half + 32 * (part % 2) + l] |= static_cast<uint8_t>((q & 15) << (4 * (part / 2)));
    out[128 + 32 * half + l] |= static_cast<uint8_t>((q >> 4) << (2 * part));
  }
}

}  // namespace

Random::Random(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  state_ = hash + seed * 0xD1342543DE82EF95u;
  next();
}

void draw_trits(Random& random, uint64_t n, int8_t* trits) {
  for (uint64_t i = 0; i < n;) {
    uint64_t r = random.next();
    for (int lane = 0; lane < 4 && i < n; ++lane, i += 4, r >>= 16) {
      std::memcpy(trits + i, kFourTrits[(r & 0xFFFF) * 81 >> 16].data(), 4);
    }
  }
}

float f16_value(float scale) { return bn::kit::f16_to_f32(bn::kit::f32_to_f16(scale)); }

bool can_pack_floats(Type type) {
  return type == Type::kF32 || type == Type::kF16 || type == Type::kBF16 || type == Type::kQ8_0 || type == Type::kQ6_K;
}

uint64_t pack_floats(Type type, const float* values, uint64_t n, uint8_t* out) {
  if (type == Type::kF32) {
    std::memcpy(out, values, 4 * n);
    return 4 * n;
  }
  if (type == Type::kQ8_0) {
    for (uint64_t i = 0; i < n; i += 32) pack_q8_0(values + i, out + i / 32 * 34);
    return n / 32 * 34;
  }
  if (type == Type::kQ6_K) {
    for (uint64_t i = 0; i < n; i += 256) pack_q6_k(values + i, out + i / 256 * 210);
    return n / 256 * 210;
  }
  for (uint64_t i = 0; i < n; ++i) {
    const uint16_t half = type == Type::kF16 ? bn::kit::f32_to_f16(values[i]) : to_bf16(values[i]);
    std::memcpy(out + 2 * i, &half, sizeof half);
  }
  return 2 * n;
}

}  // namespace bitnet::bench
