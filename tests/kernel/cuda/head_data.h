// kernel/cuda/head_data.h - output heads for the tests: random tables of every dense dtype, and the kit's logits of them.
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "bitnet/kit/ops.hpp"
#include "device/head.h"

namespace bn_cuda {

constexpr uint32_t kDenseDtypes[] = {BN_DT_F32,  BN_DT_F16,  BN_DT_BF16, BN_DT_I8_ROW, BN_DT_Q8_0,
                                     BN_DT_Q4_0, BN_DT_Q4_K, BN_DT_Q5_K, BN_DT_Q6_K};

struct TestHead {
  uint32_t dtype, rows, cols;
  std::vector<uint8_t> table;
  std::vector<float> scales;

  uint64_t row_bytes() const { return bn::kit::dense_row_bytes(dtype, cols); }
  // Row r of a plain float dtype.
  void put(uint32_t r, uint32_t c, float w) {
    const uint64_t at = r * row_bytes();
    if (dtype == BN_DT_F32) {
      std::memcpy(&table[at + 4ull * c], &w, 4);
      return;
    }
    const uint16_t half = dtype == BN_DT_F16 ? bn::kit::f32_to_f16(w) : static_cast<uint16_t>(bn::kit::bits_of(w) >> 16);
    std::memcpy(&table[at + 2ull * c], &half, 2);
  }
  void copy_row(uint32_t from, uint32_t to) { std::memcpy(&table[to * row_bytes()], &table[from * row_bytes()], row_bytes()); }
  HeadArgs args(const std::vector<float>& x, float* logits, uint32_t* not_finite) const {
    return {table.data(),
            scales.data(),
            x.data(),
            logits,
            not_finite,
            dtype,
            rows,
            cols,
            static_cast<uint32_t>(scales.size()),
            static_cast<uint32_t>(x.size() / cols)};
  }
};

// Random bytes are codes of every block format; its half-precision scales get small random values.
inline void put_block_scales(TestHead& head, std::mt19937& random) {
  const bn::kit::DenseDtype storage = bn::kit::dense_dtype(head.dtype);
  std::normal_distribution<float> normal(0.0f, 0.01f);
  const auto put = [&](uint8_t* p) {
    const uint16_t half = bn::kit::f32_to_f16(normal(random));
    std::memcpy(p, &half, 2);
  };
  for (size_t b = 0; b < head.table.size(); b += storage.bytes) {
    put(&head.table[b + (head.dtype == BN_DT_Q6_K ? 208 : 0)]);
    if (head.dtype == BN_DT_Q4_K || head.dtype == BN_DT_Q5_K) put(&head.table[b + 2]);
  }
}

inline TestHead random_head(uint32_t dtype, uint32_t rows, uint32_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  TestHead head{dtype, rows, cols, std::vector<uint8_t>(rows * bn::kit::dense_row_bytes(dtype, cols)), {}};
  std::normal_distribution<float> normal(0.0f, 0.05f);
  if (dtype == BN_DT_F32 || dtype == BN_DT_F16 || dtype == BN_DT_BF16) {
    for (uint32_t r = 0; r < rows; ++r) {
      for (uint32_t c = 0; c < cols; ++c) head.put(r, c, normal(random));
    }
    return head;
  }
  for (uint8_t& byte : head.table) byte = static_cast<uint8_t>(random());
  if (dtype == BN_DT_I8_ROW) {
    head.scales.resize(rows);
    for (float& s : head.scales) s = normal(random);
  } else {
    put_block_scales(head, random);
  }
  return head;
}

inline std::vector<float> random_hidden(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 1.5f);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

// [T][rows], by dense() of the kit.
inline std::vector<float> kit_logits(const TestHead& head, const std::vector<float>& x) {
  bn_tensor w{};
  w.dtype = head.dtype;
  w.rows = head.rows;
  w.cols = head.cols;
  w.n_scales = static_cast<uint32_t>(head.scales.size());
  w.scales = head.scales.data();
  w.data = head.table.data();
  const uint32_t tokens = static_cast<uint32_t>(x.size() / head.cols);
  std::vector<float> y(size_t{tokens} * head.rows);
  const bn_dense args{sizeof(bn_dense), tokens, &w, x.data(), y.data(), head.cols, head.rows};
  bn::kit::dense(args, 0, head.rows);
  return y;
}

}  // namespace bn_cuda
