// golden/compare.h - differences between logits and their reference, as shares of what is allowed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "golden/reference.h"

namespace bitnet::golden_test {

// Worst difference divided by its limit; 1 is just allowed. NaN counts as infinite.
struct LogitsDifference {
  double strict = 0, loose = 0, loose_rms = 0;
  uint32_t worst_strict_row = 0, worst_loose_row = 0;
  uint32_t rows_within_strict = 0;  // of all rows

  bool allowed() const { return strict <= 1 && loose <= 1 && loose_rms <= 1; }
  std::string text() const;
};

// logits: [rows][n_vocab], as many as expected has.
LogitsDifference compare_logits(std::span<const float> logits, std::span<const float> expected, uint32_t n_vocab,
                                const Tolerance& tolerance);

// -log softmax(row)[token], in double.
double negative_log_likelihood(std::span<const float> row, int32_t token);

}  // namespace bitnet::golden_test
