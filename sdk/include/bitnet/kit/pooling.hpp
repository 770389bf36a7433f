// bitnet/kit/pooling.hpp - the embedding of a text: its rows of hidden states made one vector.
//
// The definition (exact-1): the result does not depend on how the text was cut into batches. Errors: none. Threads: none.
#pragma once

#include <vector>

#include "bitnet/kit/arithmetic.hpp"
#include "bitnet/model.h"

namespace bn::kit {

// x[n] scaled to length 1: every element divided by sqrt(S16(x,x)). A vector of zeros stays as it is.
static inline void scale_to_unit_length(float* x, uint32_t n) {
  const float length = __builtin_sqrtf(s16(x, x, n));
  for (uint32_t i = 0; length != 0.0f && i < n; ++i) x[i] = x[i] / length;
}

// Takes the rows of a text in their order.
class Pooler {
 public:
  // kind: BN_POOL_LAST, BN_POOL_MEAN or BN_POOL_FIRST; width: of a row; unit_length: as BN_M_L2_POOLED.
  Pooler(uint32_t kind, uint32_t width, bool unit_length)
      : kind_(kind), unit_length_(unit_length), row_(width), sum_(kind == BN_POOL_MEAN ? width : 0) {}

  void add(const float* row) {
    const uint32_t n = static_cast<uint32_t>(row_.size());
    if (kind_ == BN_POOL_MEAN) {
      for (uint32_t i = 0; i < n; ++i) sum_[i] += static_cast<double>(row[i]);
    } else if (kind_ == BN_POOL_LAST || n_rows_ == 0) {
      row_.assign(row, row + n);
    }
    ++n_rows_;
  }
  uint64_t n_rows() const { return n_rows_; }

  // The vector [width] of the rows so far, at least one.
  void write(float* y) const {
    const uint32_t n = static_cast<uint32_t>(row_.size());
    for (uint32_t i = 0; i < n; ++i) {
      y[i] = kind_ == BN_POOL_MEAN ? static_cast<float>(sum_[i] / static_cast<double>(n_rows_)) : row_[i];
    }
    if (unit_length_) scale_to_unit_length(y, n);
  }

 private:
  uint32_t kind_;
  bool unit_length_;
  uint64_t n_rows_ = 0;
  std::vector<float> row_;   // LAST, FIRST
  std::vector<double> sum_;  // MEAN
};

}  // namespace bn::kit
