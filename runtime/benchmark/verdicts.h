// benchmark/verdicts.h - has anything become slower? Results against a baseline, metric by metric.
//
// Ratio    of a pair of samples, the i-th of the results and the i-th of the baseline, turned so that above 1 is worse: for a
//          time new / old, for a rate old / new.
// Interval of the median ratio by order statistics (statistics.h): no distribution is assumed.
// Verdicts regression: the whole interval lies beyond 1 + threshold. suspect: only the median does; repeat with twice the
//          repetitions. unchanged otherwise, with the smallest slow-down that these data would have shown as a regression.
//          different: the logits are others, so the speeds are not of the same work. not measured: missing on either side, or
//          fewer than kLeastPairs pairs.
// Several results are independent runs: a regression counts when all of them show it; otherwise it is suspect.
// Threads  pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "benchmark/metrics.h"

namespace bitnet::benchmark {

inline constexpr size_t kLeastPairs = 5;

enum class Verdict { kUnchanged, kSuspect, kRegression, kDifferent, kNotMeasured };
const char* verdict_name(Verdict verdict);

struct Judgement {
  std::string metric, unit;
  Worse worse = Worse::kDown;
  Verdict verdict = Verdict::kNotMeasured;
  std::string reason;                     // kDifferent, kNotMeasured: why
  double old_median = 0, new_median = 0;  // in `unit`
  double ratio = 0, low = 0, high = 0;    // median and interval of the ratios; above 1 is worse
  double coverage = 0;                    // of the interval
  double detectable = 0;                  // kUnchanged: 0.08 for 8 %
  size_t pairs = 0;
};

struct Analysis {
  double threshold = 0;
  std::vector<Judgement> judgements;

  // Something was compared, nothing regressed, nothing is different, nothing is missing.
  bool passed() const;
};

// results: at least one. Metrics that the baseline lacks are judged as not measured, or left out when new_is_fine.
Analysis analyse(const MetricFile& baseline, const std::vector<MetricFile>& results, double threshold, bool new_is_fine);

// The baseline that accepted results leave behind: of each metric whichever samples have the better median, new ones added.
MetricFile best_of(MetricFile baseline, const MetricFile& results);

std::string analysis_text(const Analysis& analysis);
nlohmann::json analysis_json(const Analysis& analysis);
// JUnit: a test case for each metric; everything but unchanged and suspect is a failure.
std::string analysis_junit(const Analysis& analysis);

}  // namespace bitnet::benchmark
