// kernel/cuda/matmul_check.h - one matrix product of a test: its operands, and the outputs that the kit gives for them.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "bitnet/kit/ops.hpp"
#include "device/matmul.h"
#include "packed_matrix.h"

namespace bn_cuda {

// Activations and scales are mixed by a fixed rule. Codes beyond the columns are zero up to whole tiles.
struct MatmulCheck {
  const PackedMatrix& w;
  uint32_t tokens, q_stride, y_stride;
  std::vector<float> w_scale, bias, x_scale, before;
  std::vector<int8_t> q;
  std::vector<int32_t> x_sum;

  MatmulCheck(const PackedMatrix& matrix, uint32_t n_tokens)
      : w(matrix), tokens(n_tokens), q_stride(t2_col_tiles(w.cols) * kTileCols), y_stride(w.rows + 3) {
    q.assign(uint64_t{tokens} * q_stride, 0);
    for (uint32_t t = 0; t < tokens; ++t) {
      for (uint32_t k = 0; k < w.cols; ++k)
        set_code(t, k, static_cast<int>((t * 8191 + k + 7) * 2246822519u >> 20) % 255 - 127);
      x_scale.push_back(0.001f + 0.0037f * static_cast<float>(t + 1));
    }
    for (uint32_t r = 0; r < w.rows; ++r) {
      w_scale.push_back(0.7f + 0.013f * static_cast<float>(r % 97));
      bias.push_back(0.37f * static_cast<float>(r % 13) - 1.9f);
    }
    for (uint64_t i = 0; i < uint64_t{tokens} * y_stride; ++i) before.push_back(0.11f * static_cast<float>(i % 103) - 3.0f);
    add_up();
  }
  void set_code(uint32_t t, uint32_t k, int code) { q[uint64_t{t} * q_stride + k] = static_cast<int8_t>(code); }
  void set_all_codes(int code) {
    for (uint32_t t = 0; t < tokens; ++t) {
      for (uint32_t k = 0; k < w.cols; ++k) set_code(t, k, code);
    }
    add_up();
  }
  void add_up() {
    x_sum.assign(tokens, 0);
    for (uint64_t i = 0; i < q.size(); ++i) x_sum[i / q_stride] += q[i];
  }

  // y[t*y_stride + r]; what lies behind the rows stays as it was.
  std::vector<float> want(bool with_bias, bool add) const {
    static const uint8_t fingerprint[16] = BN_FINGERPRINT_T2;
    bn_format format{};
    std::memcpy(format.fingerprint, fingerprint, 16);
    bn_tensor tensor{};
    tensor.rows = w.rows;
    tensor.cols = w.cols;
    tensor.n_scales = w.rows;
    tensor.scales = w_scale.data();
    tensor.format = &format;
    std::vector<float> y = before, product(before.size());
    std::vector<int8_t> row(w.cols);
    bn_matmul a{};
    a.w = &tensor;
    a.packed = w.t2_rows.data();
    a.x = q.data();
    a.x_scale = x_scale.data();
    a.y = product.data();
    a.m = tokens;
    a.x_stride = q_stride;
    a.y_stride = y_stride;
    bn::kit::matmul(a, 0, w.rows, row.data());
    for (uint32_t t = 0; t < tokens; ++t) {
      for (uint32_t r = 0; r < w.rows; ++r) {
        float v = product[t * y_stride + r];
        if (with_bias) v = v + bias[r];
        y[t * y_stride + r] = add ? y[t * y_stride + r] + v : v;
      }
    }
    return y;
  }

  // The kernel's arguments; y begins as `before`.
  MatmulArgs args(std::vector<float>* y, bool with_bias, bool add) const {
    *y = before;
    return {w.tiles.data(), w_scale.data(), with_bias ? bias.data() : nullptr,
            q.data(),       x_scale.data(), x_sum.data(),
            y->data(),      w.rows,         w.cols,
            q_stride,       y_stride,       tokens,
            add ? 1u : 0u};
  }
};

inline void expect_same_bits(const std::vector<float>& got, const std::vector<float>& want, uint32_t stride) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(0, std::memcmp(&got[i], &want[i], 4))
        << "token " << i / stride << ", row " << i % stride << ": " << got[i] << " instead of " << want[i];
  }
}

}  // namespace bn_cuda
