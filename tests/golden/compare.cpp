// golden/compare.cpp - see compare.h.
#include "golden/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitnet::golden_test {
namespace {

double share(double difference, double limit) {
  return std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference / limit;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (std::isnan(d)) return d;
    largest = std::max(largest, d);
  }
  return largest;
}

}  // namespace

std::string LogitsDifference::text() const {
  return fmt::format("strict {:.3f} of the limit (row {}), loose {:.3f} (row {}), loose rms {:.3f}, {} rows within strict",
                     strict, worst_strict_row, loose, worst_loose_row, loose_rms, rows_within_strict);
}

LogitsDifference compare_logits(std::span<const float> logits, std::span<const float> expected, uint32_t n_vocab,
                                const Tolerance& tolerance) {
  LogitsDifference result;
  const uint32_t rows = static_cast<uint32_t>(expected.size() / n_vocab);
  double squares = 0;
  size_t n_loose = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    const auto a = logits.subspan(size_t{row} * n_vocab, n_vocab), b = expected.subspan(size_t{row} * n_vocab, n_vocab);
    const double largest = largest_difference(a, b);
    if (largest <= tolerance.strict_max_abs) ++result.rows_within_strict;
    const bool strict = row < tolerance.strict_rows;
    double& worst = strict ? result.strict : result.loose;
    const double here = share(largest, tolerance.limit_of_row(row));
    if (here > worst) {
      worst = here;
      (strict ? result.worst_strict_row : result.worst_loose_row) = row;
    }
    if (strict) continue;
    for (size_t i = 0; i < n_vocab; ++i) squares += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    n_loose += n_vocab;
  }
  if (n_loose > 0) result.loose_rms = share(std::sqrt(squares / static_cast<double>(n_loose)), tolerance.loose_rms);
  return result;
}

double negative_log_likelihood(std::span<const float> row, int32_t token) {
  const double largest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (float logit : row) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum) - static_cast<double>(row[static_cast<size_t>(token)]);
}

}  // namespace bitnet::golden_test
