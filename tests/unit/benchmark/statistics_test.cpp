// unit/benchmark/statistics_test.cpp - medians, quantiles, and intervals with the coverages of the design.
#include "benchmark/statistics.h"

#include <gtest/gtest.h>

#include <numeric>

namespace bitnet::benchmark {
namespace {

std::vector<double> first(size_t n) {
  std::vector<double> values(n);
  std::iota(values.rbegin(), values.rend(), 1.0);  // unsorted: n, ..., 1
  return values;
}

TEST(Median, IsTheMiddleOrTheMeanOfTheTwo) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 4}), 4);
  EXPECT_EQ(median({9, 1, 4, 2}), 3);
}

TEST(Quantile, LiesBetweenNeighboursInProportion) {
  EXPECT_EQ(quantile({10, 20, 30, 40, 50}, 0), 10);
  EXPECT_EQ(quantile({10, 20, 30, 40, 50}, 1), 50);
  EXPECT_DOUBLE_EQ(quantile({10, 20, 30, 40, 50}, 0.95), 48);
  EXPECT_EQ(quantile({7}, 0.95), 7);
}

TEST(Deviation, IsThatOfASample) {
  EXPECT_EQ(deviation({5}), 0);
  EXPECT_DOUBLE_EQ(deviation({2, 4, 4, 4, 5, 5, 7, 9}) * deviation({2, 4, 4, 4, 5, 5, 7, 9}), 32.0 / 7);
}

// evaluation.md, section 6: 6 pairs smallest to largest 96.9 %, 9 pairs second to second last 96.1 %, 12 third to third last
// 96.1 %, five only 93.8 %.
TEST(MedianInterval, HasTheCoverageOfTheBinomialDistribution) {
  const struct {
    size_t n;
    double low, high, coverage;
  } rows[] = {{5, 1, 5, 0.9375}, {6, 1, 6, 0.96875}, {9, 2, 8, 0.9609}, {12, 3, 10, 0.9614}, {1, 1, 1, 0}, {8, 1, 8, 0.9922}};
  for (const auto& row : rows) {
    const MedianInterval interval = median_interval(first(row.n));
    EXPECT_EQ(interval.low, row.low) << row.n;
    EXPECT_EQ(interval.high, row.high) << row.n;
    EXPECT_NEAR(interval.coverage, row.coverage, 5e-5) << row.n;
  }
  EXPECT_EQ(median_interval({}).coverage, 0);
}

}  // namespace
}  // namespace bitnet::benchmark
