// model/rope_tables.h - cosines and sines of a model's RoPE, filled as far as positions have been needed.
#pragma once

#include <cstdint>

#include "base/aligned_buffer.h"
#include "model/config.h"

namespace bitnet::model {

class RopeTables {
 public:
  // factors: [rope_dim/2] or null; must outlive the object. Memory for n_ctx positions is reserved, not touched.
  RopeTables(const Config& config, const float* factors, uint32_t n_ctx);
  // Fills positions [0, n).
  void reserve(uint32_t n);
  const float* cosine() const { return cosine_.as<float>(); }  // [n_ctx][rope_dim/2]
  const float* sine() const { return sine_.as<float>(); }

 private:
  const Config& config_;
  const float* factors_;
  uint32_t n_ctx_, filled_ = 0;
  AlignedBuffer cosine_, sine_;
};

}  // namespace bitnet::model
