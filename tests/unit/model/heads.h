// unit/model/heads.h - output heads in memory, stored as the formats that can be screened.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "bitnet/formats.h"
#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::test {

struct StoredHead {
  std::vector<uint8_t> bytes;
  bn_tensor tensor{};
};

inline uint16_t to_bf16(float x) { return static_cast<uint16_t>(bn::kit::bits_of(x) >> 16); }

// at(r, c): the element before it is rounded to dtype.
inline StoredHead store_head(uint32_t dtype, uint32_t rows, uint32_t cols, const std::function<float(uint32_t, uint32_t)>& at) {
  StoredHead head;
  const uint32_t size = dtype == BN_DT_F32 ? 4 : 2;
  head.bytes.resize(static_cast<size_t>(rows) * cols * size);
  uint8_t* p = head.bytes.data();
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t c = 0; c < cols; ++c, p += size) {
      const float x = at(r, c);
      const uint16_t half = dtype == BN_DT_F16 ? bn::kit::f32_to_f16(x) : to_bf16(x);
      if (dtype == BN_DT_F32) {
        std::memcpy(p, &x, 4);
      } else {
        std::memcpy(p, &half, 2);
      }
    }
  }
  bn_tensor& t = head.tensor;
  t.struct_size = sizeof t;
  t.role = BN_T_OUTPUT;
  t.layer = BN_NO_LAYER;
  t.dtype = dtype;
  t.rows = rows;
  t.cols = cols;
  t.data = head.bytes.data();
  t.bytes = head.bytes.size();
  t.flags = BN_TENSOR_PERSISTENT;
  return head;
}

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  float normal() { return normal_(engine_); }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(engine_() % n); }
  float sign() { return engine_() % 2 != 0 ? 1.0f : -1.0f; }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_{0, 1};
};

}  // namespace bitnet::test
