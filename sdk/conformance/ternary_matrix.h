// conformance/ternary_matrix.h - ternary matrices and activations as the tests of matmul and pack need them.
#pragma once

#include <memory>
#include <vector>

#include "bitnet/kernels.h"
#include "bitnet/kit/ternary.hpp"
#include "guarded.h"
#include "random.h"

namespace bitnet::conformance {

using bn::kit::Layout;

enum class Trits { kRandom, kAllPlus, kAllMinus, kAllZero, kCanonical };

bn_format format_of(Layout layout);

// A matrix in its file layout, in guarded read-only memory that is aligned as format.align says.
class TernaryMatrix {
 public:
  // n_scales: 1 or rows.
  TernaryMatrix(Layout layout, uint32_t rows, uint32_t cols, Trits content, uint32_t n_scales, uint64_t seed, Edge edge);

  bn_tensor tensor = {};  // data and scales point into this object
  bn_tensor shape_only() const;

 private:
  bn_format format_;
  std::unique_ptr<Input<float>> scales_;
  std::unique_ptr<Input<uint8_t>> data_;
};

// The weights as the plugin wants them: in place, or packed. `packed` is NULL if the plugin says BN_NO. Throws Failure.
class PreparedMatrix {
 public:
  PreparedMatrix(bn_device* device, const bn_kernels_v1& kernels, const TernaryMatrix& matrix, Edge edge);

  int32_t answer = BN_NO;  // of accepts()
  bn_tensor tensor;        // after packing its data is NULL: nobody may read the original any more
  const void* packed = nullptr;

 private:
  std::unique_ptr<GuardedBytes> buffer_;
};

enum class Codes { kRandom, kAll127, kAllMinus127, kAlternating };

// int8 activations [m][stride] with the zero padding that k_align asks for; past it, up to stride, lies garbage. The last row
// ends with its padding.
struct Activations {
  Activations(uint32_t m, uint32_t cols, uint32_t k_align, uint32_t extra_stride, Codes content, uint64_t seed);
  uint32_t stride;
  std::vector<int8_t> x;
  std::vector<float> scale;  // [m]
  std::vector<int32_t> sum;  // [m]
};

}  // namespace bitnet::conformance
