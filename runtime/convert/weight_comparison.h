// convert/weight_comparison.h - the weights of two model files, tensor by tensor: what 'quant-check' reports.
//
// Value   of a ternary weight: trit times scale, times the tensor .scale beside it; of the others: as dequantized.
// Errors  max_error = max|a-b|, mse = mean (a-b)^2, relative_error = |a-b| / |a| (norms over the tensor; 0 when both are zero).
// Passes  a tensor whose max_error and relative_error are within the tolerance. What cannot be compared - missing in one file,
//         another shape, a type that is not read, a number that is not finite - does not pass.
// Throws  Error{kInvalidModel} when a file cannot be opened; whatever on_progress throws.
// Threads one at a time; rows are compared by several threads.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convert/source.h"

namespace bitnet::convert {

struct TensorComparison {
  std::string name;
  std::string type_a, type_b;  // "I2_S"; empty: the tensor is not there
  std::string problem;         // why it was not measured; empty: it was
  uint64_t weights = 0;
  std::optional<uint64_t> codes_different;  // both ternary
  std::optional<double> scale_difference;   // both ternary: the largest relative one, rows of zeros aside
  double mse = 0, max_error = 0, relative_error = 0;
  double tolerance = 0;

  bool passed() const { return problem.empty() && max_error <= tolerance && relative_error <= tolerance; }
};

struct WeightComparison {
  std::vector<TensorComparison> tensors;  // in the order of a, then those that only b has
  bool passed() const;                    // false also when there is nothing
};

// tolerance: for all tensors; empty: by the type in b, 1e-4 for TL1 and TL2, 1e-5 for all others.
WeightComparison compare_weights(const Source& a, const Source& b, std::optional<double> tolerance,
                                 const std::function<void(uint64_t done, uint64_t total)>& on_progress);

}  // namespace bitnet::convert
