// benchmark/statistics.h - the few statistics that reports and verdicts use.
//
// Threads pure.
#pragma once

#include <vector>

namespace bitnet::benchmark {

double mean(const std::vector<double>& values);       // 0 of none
double deviation(const std::vector<double>& values);  // of the sample (n - 1); 0 of fewer than two
double median(std::vector<double> values);            // 0 of none
// The value below which the share q in [0, 1] lies, between neighbours in proportion; 0 of none.
double quantile(std::vector<double> values, double q);

// An interval that holds the median of what the values were drawn from, whatever their distribution.
struct MedianInterval {
  double low = 0, high = 0;
  double coverage = 0;  // how often it does: 0.969 for the extremes of six values; 0 of no values
};

// From order statistics: the narrowest pair, k-th smallest to k-th largest, that covers at least 95 %; when even the extremes
// do not, the extremes with what they cover. Source: H. A. David, Order Statistics, 1981, section 2.5: the k-th pair of n
// covers 1 - 2 P(B < k), B binomial with n and 1/2.
MedianInterval median_interval(std::vector<double> values);

}  // namespace bitnet::benchmark
