// bench/random_weights.h - seeded random weights, and floats in the tensor formats of GGUF.
//
// One seed means one model: trits and scales are drawn before they are packed, and every scale is a value of f16, so files of
// all ternary formats hold the same matrices exactly. Ternary bytes are made by gguf/ternary_encoder.h.
// Source  SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. Layouts: runtime/gguf.
// Threads all functions are pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "gguf/types.h"

namespace bitnet::bench {

class Random {
 public:
  // The same numbers for the same seed and name, on every machine.
  Random(uint64_t seed, std::string_view name);

  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24f; }  // [0, 1)
  // Close to a normal distribution of mean 0 and variance 1: the sum of four uniform numbers, within +-3.5.
  float normal() {
    const uint64_t r = next();
    const auto sum = static_cast<int32_t>((r & 0xFFFF) + (r >> 16 & 0xFFFF) + (r >> 32 & 0xFFFF) + (r >> 48));
    return static_cast<float>(sum - 131070) * (1.7320508f / 65536.0f);
  }

 private:
  uint64_t state_;
};

// n trits -1, 0, +1, a third each; n is a multiple of 4.
void draw_trits(Random& random, uint64_t n, int8_t* trits);

// scale rounded to a value of f16.
float f16_value(float scale);

// Formats that pack_floats() writes: F32, F16, BF16, Q8_0, Q6_K.
bool can_pack_floats(gguf::Type type);

// n values, a multiple of the format's block, at out; returns the bytes written.
uint64_t pack_floats(gguf::Type type, const float* values, uint64_t n, uint8_t* out);

}  // namespace bitnet::bench
