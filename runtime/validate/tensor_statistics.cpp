// validate/tensor_statistics.cpp - decodes rows and counts.
#include "validate/tensor_statistics.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "gguf/float_formats.h"
#include "gguf/ternary_formats.h"

namespace bitnet::validate {
namespace {

// One result per group of rows, so that sums come in the same order whatever the threads.
template <class Result, class F>
std::vector<Result> by_rows(const gguf::TensorInfo& tensor, F&& f) {
  constexpr uint64_t kRows = 64;
  std::vector<Result> parts((tensor.rows() + kRows - 1) / kRows);
  tbb::parallel_for(size_t{0}, parts.size(),
                    [&](size_t i) { f(i * kRows, std::min<uint64_t>((i + 1) * kRows, tensor.rows()), parts[i]); });
  return parts;
}

void add_scale(TernaryStatistics& s, float low, float high) {
  if (low == 0 && high == 0) return;
  s.scale_low = s.scale_low == 0 && s.scale_high == 0 ? low : std::min(s.scale_low, low);
  s.scale_high = std::max(s.scale_high, high);
}

TernaryStatistics ternary(const gguf::TensorInfo& tensor, const gguf::TernaryOptions& reading) {
  const auto parts = by_rows<TernaryStatistics>(tensor, [&](uint64_t row0, uint64_t row1, TernaryStatistics& part) {
    std::vector<int8_t> trits(tensor.columns());
    std::vector<float> scales(row1 - row0);
    gguf::row_scales(tensor, row0, row1, scales.data(), reading);
    for (uint64_t row = row0; row < row1; ++row) {
      gguf::decode_rows(tensor, row, row + 1, trits.data(), reading);
      const auto negative = static_cast<uint64_t>(std::count(trits.begin(), trits.end(), int8_t{-1}));
      const auto positive = static_cast<uint64_t>(std::count(trits.begin(), trits.end(), int8_t{1}));
      part.negative += negative;
      part.positive += positive;
      part.zero += trits.size() - negative - positive;
      if (negative + positive != 0) add_scale(part, scales[row - row0], scales[row - row0]);
    }
  });
  TernaryStatistics all;
  for (const TernaryStatistics& part : parts) {
    all.negative += part.negative;
    all.zero += part.zero;
    all.positive += part.positive;
    add_scale(all, part.scale_low, part.scale_high);
  }
  return all;
}

NumberStatistics numbers(const gguf::TensorInfo& tensor) {
  struct Part {
    double squares = 0;
    uint64_t finite = 0, not_finite = 0;
    float low = INFINITY, high = -INFINITY;
  };
  const auto parts = by_rows<Part>(tensor, [&](uint64_t row0, uint64_t row1, Part& part) {
    std::vector<float> values(tensor.columns());
    for (uint64_t row = row0; row < row1; ++row) {
      gguf::dequantize_rows(tensor, row, row + 1, values.data());
      for (const float value : values) {
        if (!std::isfinite(value)) {
          ++part.not_finite;
          continue;
        }
        ++part.finite;
        part.squares += static_cast<double>(value) * value;
        part.low = std::min(part.low, value);
        part.high = std::max(part.high, value);
      }
    }
  });
  Part all;
  for (const Part& part : parts) {
    all.squares += part.squares;
    all.finite += part.finite;
    all.not_finite += part.not_finite;
    all.low = std::min(all.low, part.low);
    all.high = std::max(all.high, part.high);
  }
  if (all.finite == 0) return {0, 0, 0, all.not_finite};
  return {std::sqrt(all.squares / static_cast<double>(all.finite)), all.low, all.high, all.not_finite};
}

}  // namespace

TensorStatistics tensor_statistics(const gguf::TensorInfo& tensor, const gguf::TernaryOptions& reading) {
  TensorStatistics result;
  if (tensor.type == nullptr || tensor.data == nullptr) return result;
  if (gguf::ternary_scale_kind(*tensor.type)) result.ternary = ternary(tensor, reading);
  if (gguf::dense_dtype(*tensor.type)) result.numbers = numbers(tensor);
  return result;
}

}  // namespace bitnet::validate
