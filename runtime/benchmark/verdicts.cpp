// benchmark/verdicts.cpp - ratios, intervals, decisions, and what is kept as the baseline.
#include "benchmark/verdicts.h"

#include <algorithm>

#include "base/error.h"
#include "benchmark/statistics.h"

namespace bitnet::benchmark {
namespace {

const Metric* find(const std::vector<Metric>& metrics, const std::string& name) {
  const auto at = std::find_if(metrics.begin(), metrics.end(), [&](const Metric& m) { return m.name == name; });
  return at == metrics.end() ? nullptr : &*at;
}

// i-th with i-th; what is left over on one side has no partner.
std::vector<double> ratios_of(const Metric& before, const Metric& after) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(before.samples.size(), after.samples.size()); ++i) {
    const double growth = after.samples[i] / before.samples[i];
    ratios.push_back(before.worse == Worse::kUp ? growth : 1 / growth);
  }
  return ratios;
}

Judgement not_measured(const Metric& metric, std::string reason) {
  Judgement j;
  j.metric = metric.name;
  j.unit = metric.unit;
  j.worse = metric.worse;
  j.reason = std::move(reason);
  return j;
}

Judgement judge(const Metric& before, const Metric* after, double threshold) {
  if (after == nullptr) return not_measured(before, "missing in the results");
  if (after->samples.empty()) return not_measured(before, after->reason);
  if (before.samples.empty()) return not_measured(before, "in the baseline: " + before.reason);
  if (before.unit != after->unit || before.worse != after->worse) {
    return not_measured(before, fmt::format("the results give it in {}", after->unit));
  }
  const std::vector<double> ratios = ratios_of(before, *after);
  if (!before.exact && ratios.size() < kLeastPairs) {
    return not_measured(before, fmt::format("expected at least {} pairs, found {}: repeat with -r {} or more", kLeastPairs,
                                            ratios.size(), kLeastPairs));
  }
  Judgement j = not_measured(before, {});
  const MedianInterval interval = median_interval(ratios);
  j.old_median = median(before.samples);
  j.new_median = median(after->samples);
  j.ratio = median(ratios);
  j.low = interval.low;
  j.high = interval.high;
  j.coverage = before.exact ? 1 : interval.coverage;
  j.pairs = ratios.size();
  const double limit = 1 + threshold;
  if (before.logits != after->logits) {
    j.verdict = Verdict::kDifferent;
    j.reason = fmt::format("logits {} instead of {}", printable(after->logits, 24), printable(before.logits, 24));
  } else if (j.ratio > limit) {
    j.verdict = j.low > limit ? Verdict::kRegression : Verdict::kSuspect;
  } else {
    j.verdict = Verdict::kUnchanged;
    j.detectable = limit * j.ratio / j.low - 1;
  }
  return j;
}

// Of independent runs: the one to show, and a regression only when all have it.
Judgement combine(const std::vector<Judgement>& runs) {
  const auto worst = std::max_element(runs.begin(), runs.end(), [](const Judgement& a, const Judgement& b) {
    return a.verdict != b.verdict ? a.verdict < b.verdict : a.ratio < b.ratio;
  });
  Judgement j = *worst;
  const bool all = std::all_of(runs.begin(), runs.end(), [](const Judgement& r) { return r.verdict == Verdict::kRegression; });
  if (j.verdict == Verdict::kRegression && !all) {
    j.verdict = Verdict::kSuspect;
    j.reason = "not confirmed by every run";
  }
  return j;
}

}  // namespace

bool Analysis::passed() const {
  return !judgements.empty() && std::all_of(judgements.begin(), judgements.end(), [](const Judgement& j) {
    return j.verdict == Verdict::kUnchanged || j.verdict == Verdict::kSuspect;
  });
}

Analysis analyse(const MetricFile& baseline, const std::vector<MetricFile>& results, double threshold, bool new_is_fine) {
  Analysis analysis{threshold, {}};
  for (const Metric& before : baseline.metrics) {
    std::vector<Judgement> runs;
    for (const MetricFile& run : results) runs.push_back(judge(before, find(run.metrics, before.name), threshold));
    analysis.judgements.push_back(combine(runs));
  }
  for (const Metric& metric : results.front().metrics) {
    if (find(baseline.metrics, metric.name) != nullptr || (new_is_fine && !metric.samples.empty())) continue;
    analysis.judgements.push_back(
        not_measured(metric, metric.samples.empty() ? metric.reason : "missing in the baseline; --update adds it"));
  }
  return analysis;
}

MetricFile best_of(MetricFile baseline, const MetricFile& results) {
  for (const Metric& metric : results.metrics) {
    if (metric.samples.empty()) continue;
    const auto same = [&](const Metric& m) { return m.name == metric.name; };
    const auto kept = std::find_if(baseline.metrics.begin(), baseline.metrics.end(), same);
    if (kept == baseline.metrics.end()) {
      baseline.metrics.push_back(metric);
      continue;
    }
    const double before = median(kept->samples), after = median(metric.samples);
    if (metric.worse == Worse::kUp ? after < before : after > before) *kept = metric;
  }
  baseline.time = results.time;
  baseline.commit = results.commit;
  return baseline;
}

}  // namespace bitnet::benchmark
