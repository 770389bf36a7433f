// validate/tensor_statistics.h - what the values of a tensor look like: codes and scales of ternary matrices, size of numbers.
//
// Errors  gguf::FormatError for data that cannot be decoded (code 3, a scale that is not finite); numbers that are not finite
//         are counted. A type that nothing here decodes gives no statistics.
// Threads work is spread over all cores; the result does not depend on that.
#pragma once

#include <cstdint>
#include <optional>

#include "gguf/ternary_formats.h"

namespace bitnet::validate {

struct TernaryStatistics {
  uint64_t negative = 0, zero = 0, positive = 0;  // weights
  float scale_low = 0, scale_high = 0;            // over the rows with a weight other than 0; both 0: there is none
};

struct NumberStatistics {
  double rms = 0;           // of the finite values
  float low = 0, high = 0;  // of the finite values
  uint64_t not_finite = 0;
};

struct TensorStatistics {
  std::optional<TernaryStatistics> ternary;
  std::optional<NumberStatistics> numbers;
};

// reading: how ambiguous bytes are read.
TensorStatistics tensor_statistics(const gguf::TensorInfo& tensor, const gguf::TernaryOptions& reading);

}  // namespace bitnet::validate
