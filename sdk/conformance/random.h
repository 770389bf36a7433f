// conformance/random.h - seeded test data: the same numbers on every machine (no std:: distribution, whose results may differ).
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::conformance {

// --seed of the tool: another number, other data everywhere.
inline uint64_t base_seed = 1;

class Random {
 public:
  explicit Random(uint64_t salt) : engine_(salt + base_seed * 0x9E3779B97F4A7C15ull) {}

  uint32_t bits() { return static_cast<uint32_t>(engine_() >> 32); }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((uint64_t{bits()} * n) >> 32); }
  float uniform(float low, float high) { return low + (high - low) * static_cast<float>(bits() >> 8) * 0x1p-24f; }
  // Bell-shaped, variance 1.
  float normal() { return 1.7320508f * (uniform(-1, 1) + uniform(-1, 1) + uniform(-1, 1)); }
  int8_t trit() { return static_cast<int8_t>(static_cast<int>(below(3)) - 1); }
  int8_t code() { return static_cast<int8_t>(static_cast<int>(below(255)) - 127); }

  std::vector<float> normals(size_t n, float scale = 1.0f) {
    std::vector<float> v(n);
    for (float& x : v) x = normal() * scale;
    return v;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace bitnet::conformance
