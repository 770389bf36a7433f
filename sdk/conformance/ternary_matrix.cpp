// conformance/ternary_matrix.cpp - see ternary_matrix.h.
#include "ternary_matrix.h"

#include <cstring>

#include "check.h"

namespace bitnet::conformance {
namespace {

constexpr uint8_t kT2[16] = BN_FINGERPRINT_T2;
constexpr uint8_t kI2s128[16] = BN_FINGERPRINT_I2S128;

int8_t trit(Trits content, Random& random) {
  switch (content) {
    case Trits::kAllPlus:
      return 1;
    case Trits::kAllMinus:
      return -1;
    case Trits::kAllZero:
      return 0;
    default:
      return random.trit();
  }
}

}  // namespace

bn_format format_of(Layout layout) {
  const bool t2 = layout == Layout::kT2;
  bn_format f = {};
  f.struct_size = sizeof f;
  f.bits_num = 2;
  f.bits_den = 1;
  f.align = t2 ? 1 : 32;
  f.tile_rows = 1;
  f.tile_cols = t2 ? 4 : 128;
  std::strcpy(f.id, t2 ? "bn.t2" : "bn.i2s128");
  std::memcpy(f.fingerprint, t2 ? kT2 : kI2s128, sizeof f.fingerprint);
  return f;
}

TernaryMatrix::TernaryMatrix(Layout layout, uint32_t rows, uint32_t cols, Trits content, uint32_t n_scales, uint64_t seed,
                             Edge edge)
    : format_(format_of(layout)) {
  Random random(seed);
  std::vector<float> scales(n_scales);
  for (float& s : scales) s = random.uniform(0.001f, 3.0f);
  std::vector<int8_t> row(cols);
  const uint64_t row_bytes = bn::kit::row_bytes(layout, cols);
  std::vector<uint8_t> data(row_bytes * rows);
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t c = 0; c < cols; ++c) {
      row[c] = content == Trits::kCanonical ? bn::kit::canonical_trit(r, c) : trit(content, random);
    }
    (layout == Layout::kT2 ? bn::kit::write_row_t2 : bn::kit::write_row_i2s128)(row.data(), cols, &data[r * row_bytes]);
  }
  scales_ = std::make_unique<Input<float>>("w.scales", scales, edge);
  data_ = std::make_unique<Input<uint8_t>>("w.data", data, edge, format_.align);
  tensor.struct_size = sizeof tensor;
  tensor.role = BN_T_ATTN_Q;
  tensor.dtype = BN_DT_TERNARY;
  tensor.rows = rows;
  tensor.cols = cols;
  tensor.n_scales = n_scales;
  tensor.scales = scales_->data();
  tensor.data = data_->data();
  tensor.bytes = data.size();
  tensor.flags = BN_TENSOR_PERSISTENT;
  tensor.format = &format_;
}

bn_tensor TernaryMatrix::shape_only() const {
  bn_tensor t = tensor;
  t.data = nullptr;
  t.scales = nullptr;
  t.bytes = 0;
  t.flags = 0;
  return t;
}

PreparedMatrix::PreparedMatrix(bn_device* device, const bn_kernels_v1& kernels, const TernaryMatrix& matrix, Edge edge)
    : answer(kernels.accepts(device, &matrix.tensor)), tensor(matrix.tensor) {
  if (answer == BN_NATIVE) packed = tensor.data;
  if (answer != BN_PACK) return;
  bn_error error = {};
  error.struct_size = sizeof error;
  bn_format layout = {};
  layout.struct_size = sizeof layout;
  uint64_t bytes = 0;
  expect_ok(kernels.pack_size(device, &tensor, &bytes, &layout, &error), "pack_size", &error);
  buffer_ = std::make_unique<GuardedBytes>("packed", bytes, edge, 64);
  std::memset(buffer_->data(), 0xAA, bytes);
  expect_ok(kernels.pack(device, &tensor, 0, tensor.rows, buffer_->data(), &error), "pack", &error);
  buffer_->expect_slack_intact();
  buffer_->freeze();
  packed = buffer_->data();
  tensor.data = nullptr;
}

Activations::Activations(uint32_t m, uint32_t cols, uint32_t k_align, uint32_t extra_stride, Codes content, uint64_t seed) {
  Random random(seed);
  const uint32_t padded = (cols + k_align - 1) / k_align * k_align;
  stride = padded + extra_stride;
  x.assign(static_cast<size_t>(m - 1) * stride + padded, 127);
  scale.resize(m);
  sum.resize(m);
  for (uint32_t t = 0; t < m; ++t) {
    int8_t* row = &x[static_cast<size_t>(t) * stride];
    for (uint32_t c = 0; c < cols; ++c) {
      switch (content) {
        case Codes::kAll127:
          row[c] = 127;
          break;
        case Codes::kAllMinus127:
          row[c] = -127;
          break;
        case Codes::kAlternating:
          row[c] = c % 2 == 0 ? 127 : -127;
          break;
        case Codes::kRandom:
          row[c] = random.code();
          break;
      }
      sum[t] += row[c];
    }
    std::memset(row + cols, 0, padded - cols);
    scale[t] = random.uniform(0.0001f, 0.1f);
  }
}

}  // namespace bitnet::conformance
