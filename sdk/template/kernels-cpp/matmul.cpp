// matmul.cpp - rows and tokens around the inner loop of dot.cpp, and packing.
#include "matmul.h"

namespace acme {

constexpr uint32_t kGroupBytes = kGroup / 4;

void matmul(const bn_matmul& args, uint32_t row0, uint32_t row1) {
  const bn_tensor& w = *args.w;
  const uint64_t bytes = row_bytes(w.cols);
  const uint32_t groups = static_cast<uint32_t>(bytes / kGroupBytes);
  for (uint32_t r = row0; r < row1; ++r) {
    const uint8_t* row = static_cast<const uint8_t*>(args.packed) + r * bytes;
    const float w_scale = w.n_scales == 1 ? w.scales[0] : w.scales[r];
    for (uint32_t t = 0; t < args.m; ++t) {
      // Codes are w+1, so their sum of products is too large by the sum of x, which the runtime knows.
      const int32_t dot = dot_codes(row, args.x + static_cast<uint64_t>(t) * args.x_stride, groups) - args.x_sum[t];
      args.y[static_cast<uint64_t>(t) * args.y_stride + r] = static_cast<float>(dot) * (args.x_scale[t] * w_scale);
    }
  }
}

uint32_t pack_rows(const bn_tensor& w, uint32_t row0, uint32_t row1, uint8_t* dst) {
  const uint64_t from_bytes = (static_cast<uint64_t>(w.cols) + 3) / 4, to_bytes = row_bytes(w.cols);
  for (uint32_t r = row0; r < row1; ++r) {
    const uint8_t* from = static_cast<const uint8_t*>(w.data) + r * from_bytes;
    uint8_t* to = dst + r * to_bytes;
    for (uint64_t i = 0; i < to_bytes; ++i) to[i] = 0x55;  // code 1, weight 0, everywhere
    for (uint32_t c = 0; c < w.cols; ++c) {
      const unsigned code = from[c / 4] >> 2 * (c % 4) & 3u;
      if (code == 3) return r;
      const uint32_t j = c % kGroup, shift = 2 * (j / 32);
      uint8_t& byte = to[c / kGroup * kGroupBytes + j % 32];
      byte = static_cast<uint8_t>((byte & ~(3u << shift)) | code << shift);
    }
  }
  return row1;
}

}  // namespace acme
