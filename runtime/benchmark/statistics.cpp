// benchmark/statistics.cpp - moments, quantiles, order statistics.
#include "benchmark/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace bitnet::benchmark {

double mean(const std::vector<double>& values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double middle = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - middle) * (value - middle);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

MedianInterval median_interval(std::vector<double> values) {
  const size_t n = values.size();
  if (n == 0) return {};
  std::sort(values.begin(), values.end());
  // tail: P(B < k) = P(B <= k - 1), grown by one term per k.
  double term = std::pow(0.5, static_cast<double>(n)), tail = term;
  size_t k = 1;
  double coverage = 1 - 2 * tail;
  for (size_t next = 2; 2 * next <= n; ++next) {
    term *= static_cast<double>(n - next + 2) / static_cast<double>(next - 1);
    tail += term;
    if (1 - 2 * tail < 0.95) break;
    k = next;
    coverage = 1 - 2 * tail;
  }
  return {values[k - 1], values[n - k], std::max(coverage, 0.0)};
}

}  // namespace bitnet::benchmark
