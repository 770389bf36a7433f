// unit/benchmark/verdicts_test.cpp - verdicts on samples with known answers, in both directions, and what becomes the baseline.
#include "benchmark/verdicts.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bitnet::benchmark {
namespace {

Metric rate(std::vector<double> samples, std::string logits = "sha256:a") {
  return {"row: speed", "tokens/s", Worse::kDown, false, std::move(samples), std::move(logits), {}};
}
Metric seconds(std::vector<double> samples) {
  return {"row: time", "s", Worse::kUp, false, std::move(samples), "sha256:a", {}};
}

MetricFile file(std::vector<Metric> metrics) { return {{"m", "b", "x"}, std::move(metrics), "commit", "time"}; }

Judgement judge_one(const Metric& before, const Metric& after, double threshold = 0.05) {
  const Analysis analysis = analyse(file({before}), {file({after})}, threshold, false);
  EXPECT_EQ(analysis.judgements.size(), 1u);
  return analysis.judgements.at(0);
}

TEST(Verdict, RegressionWhenTheWholeIntervalIsBeyondTheThreshold) {
  const Judgement slow = judge_one(rate({100, 100, 100, 100, 100, 100}), rate({90, 91, 92, 90, 91, 92}));
  EXPECT_EQ(slow.verdict, Verdict::kRegression);
  EXPECT_NEAR(slow.low, 100.0 / 92, 1e-12);
  EXPECT_NEAR(slow.high, 100.0 / 90, 1e-12);
  EXPECT_EQ(slow.pairs, 6u);
  EXPECT_NEAR(slow.coverage, 0.96875, 1e-12);
  EXPECT_EQ(judge_one(seconds({10, 10, 10, 10, 10, 10}), seconds({11, 11, 11, 11, 11, 11})).verdict, Verdict::kRegression);
}

TEST(Verdict, DirectionsAreNotMixedUp) {
  EXPECT_EQ(judge_one(rate({100, 100, 100, 100, 100, 100}), rate({150, 150, 150, 150, 150, 150})).verdict, Verdict::kUnchanged);
  EXPECT_EQ(judge_one(seconds({10, 10, 10, 10, 10, 10}), seconds({5, 5, 5, 5, 5, 5})).verdict, Verdict::kUnchanged);
}

TEST(Verdict, SuspectWhenOnlyTheMedianIs) {
  const Judgement j = judge_one(rate({100, 100, 100, 100, 100, 100}), rate({90, 90, 90, 90, 90, 99}));
  EXPECT_EQ(j.verdict, Verdict::kSuspect);
}

TEST(Verdict, UnchangedSaysWhatItWouldHaveShown) {
  // Ratios 1.00 .. 1.04, median 1.02: a shift of s is shown when 1.00 * s > 1.05, and then the median is 1.02 * 1.05.
  const Judgement j = judge_one(seconds({100, 100, 100, 100, 100}), seconds({100, 101, 102, 103, 104}));
  EXPECT_EQ(j.verdict, Verdict::kUnchanged);
  EXPECT_NEAR(j.detectable, 1.02 * 1.05 - 1, 1e-12);
  EXPECT_EQ(judge_one(seconds({100, 100, 100, 100, 100}), seconds({100, 101, 102, 103, 104}), 0.01).verdict, Verdict::kSuspect);
}

// Machine noise that meets both samples of a pair cancels: only pairing sees this loss.
TEST(Verdict, PairsCancelWhatMeetsBoth) {
  const Judgement j = judge_one(rate({100, 50, 80, 120, 60, 90}), rate({90, 45, 72, 108, 54, 81}));
  EXPECT_EQ(j.verdict, Verdict::kRegression);
  EXPECT_NEAR(j.low, 1 / 0.9, 1e-12);
}

TEST(Verdict, TooFewPairsAreNotMeasured) {
  const Judgement j = judge_one(rate({100, 100, 100, 100, 100, 100}), rate({10, 10, 10, 10}));
  EXPECT_EQ(j.verdict, Verdict::kNotMeasured);
  EXPECT_NE(j.reason.find("found 4"), std::string::npos) << j.reason;
}

TEST(Verdict, OtherLogitsAreNotComparable) {
  const std::vector<double> same = {100, 100, 100, 100, 100};
  EXPECT_EQ(judge_one(rate(same), rate(same, "sha256:b")).verdict, Verdict::kDifferent);
}

TEST(Verdict, AnExactMetricNeedsOneValue) {
  const auto memory = [](double bytes) { return Metric{"row: memory", "bytes", Worse::kUp, true, {bytes}, "h", {}}; };
  EXPECT_EQ(judge_one(memory(1e9), memory(1.1e9)).verdict, Verdict::kRegression);
  EXPECT_EQ(judge_one(memory(1e9), memory(1.04e9)).verdict, Verdict::kUnchanged);
}

TEST(Analysis, FailsForWhatIsMissingOnEitherSide) {
  const Metric speed = rate({1, 1, 1, 1, 1}), time = seconds({1, 1, 1, 1, 1});
  EXPECT_TRUE(analyse(file({speed, time}), {file({speed, time})}, 0.05, false).passed());
  EXPECT_FALSE(analyse(file({speed, time}), {file({speed})}, 0.05, false).passed());
  EXPECT_FALSE(analyse(file({speed}), {file({speed, time})}, 0.05, false).passed());
  EXPECT_TRUE(analyse(file({speed}), {file({speed, time})}, 0.05, true).passed()) << "an update may add metrics";
  Metric none = time;
  none.samples.clear();
  none.reason = "not installed";
  EXPECT_FALSE(analyse(file({speed, time}), {file({speed, none})}, 0.05, true).passed());
  EXPECT_FALSE(analyse(file({speed}), {file({speed, none})}, 0.05, true).passed());
}

TEST(Analysis, FailsWhenNothingWasCompared) { EXPECT_FALSE(analyse(file({}), {file({})}, 0.05, false).passed()); }

TEST(Analysis, ARegressionCountsWhenEveryRunShowsIt) {
  const MetricFile before = file({rate({100, 100, 100, 100, 100})});
  const MetricFile slow = file({rate({80, 80, 80, 80, 80})}), fast = file({rate({100, 100, 100, 100, 100})});
  EXPECT_EQ(analyse(before, {slow, slow}, 0.05, false).judgements[0].verdict, Verdict::kRegression);
  EXPECT_EQ(analyse(before, {slow, fast}, 0.05, false).judgements[0].verdict, Verdict::kSuspect);
  EXPECT_EQ(analyse(before, {fast, fast}, 0.05, false).judgements[0].verdict, Verdict::kUnchanged);
}

TEST(BestOf, KeepsTheBetterMedianSoThatLossesDoNotAddUp) {
  const MetricFile baseline = file({rate({100, 100, 100}), seconds({10, 10, 10})});
  const MetricFile kept = best_of(baseline, file({rate({96, 96, 96}), seconds({9, 9, 9}), rate({1}, "h")}));
  EXPECT_EQ(kept.metrics[0].samples, (std::vector<double>{100, 100, 100}));
  EXPECT_EQ(kept.metrics[1].samples, (std::vector<double>{9, 9, 9}));
  ASSERT_EQ(kept.metrics.size(), 2u);
  EXPECT_EQ(best_of(baseline, file({rate({101, 101})})).metrics[0].samples, (std::vector<double>{101, 101}));
}

TEST(Report, JUnitCountsFailuresAndEscapes) {
  Metric odd = rate({100, 100, 100, 100, 100});
  odd.name = "a<b>&\"c\"";
  Metric slow = odd;
  slow.samples = {50, 50, 50, 50, 50};
  const std::string xml = analysis_junit(analyse(file({odd}), {file({slow})}, 0.05, false));
  EXPECT_NE(xml.find("tests=\"1\" failures=\"1\""), std::string::npos) << xml;
  EXPECT_NE(xml.find("name=\"a&lt;b&gt;&amp;&quot;c&quot;\""), std::string::npos) << xml;
  EXPECT_NE(xml.find("<failure message=\"regression\">"), std::string::npos) << xml;
  EXPECT_NE(analysis_junit(Analysis{}).find("failures=\"1\""), std::string::npos);
}

}  // namespace
}  // namespace bitnet::benchmark
