// benchmark/verdicts_text.cpp - an analysis as text, JSON and JUnit.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/xml_text.h"
#include "benchmark/verdicts.h"

namespace bitnet::benchmark {
namespace {

using nlohmann::json;

std::string quantity(double value, const std::string& unit) {
  if (unit == "bytes") return fmt::format("{:.1f} MB", 1e-6 * value);
  if (unit == "s") return fmt::format("{:.3f} ms", 1e3 * value);
  return fmt::format("{:.2f} {}", value, unit);
}

std::string percent(double ratio) { return fmt::format("{:+.1f} %", 100 * (ratio - 1)); }

std::string sentence(const Judgement& j, double threshold) {
  if (j.verdict == Verdict::kNotMeasured) return j.reason;
  std::string text =
      fmt::format("{} -> {} ({} is worse); cost {} [{} .. {}], {} pair{}, covers {:.1f} %", quantity(j.old_median, j.unit),
                  quantity(j.new_median, j.unit), j.worse == Worse::kUp ? "more" : "less", percent(j.ratio), percent(j.low),
                  percent(j.high), j.pairs, j.pairs == 1 ? "" : "s", 100 * j.coverage);
  if (j.verdict == Verdict::kUnchanged) text += fmt::format("; would show {:.1f} %", 100 * j.detectable);
  if (j.verdict == Verdict::kSuspect) {
    text += fmt::format("; median beyond {:.1f} %, interval not: repeat with twice the repetitions", 100 * threshold);
  }
  return j.reason.empty() ? text : text + "; " + j.reason;
}

bool fails(const Judgement& j) { return j.verdict != Verdict::kUnchanged && j.verdict != Verdict::kSuspect; }

}  // namespace

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kUnchanged:
      return "unchanged";
    case Verdict::kSuspect:
      return "suspect";
    case Verdict::kRegression:
      return "regression";
    case Verdict::kDifferent:
      return "different results";
    case Verdict::kNotMeasured:
      break;
  }
  return "not measured";
}

std::string analysis_text(const Analysis& analysis) {
  std::string out;
  for (const Judgement& j : analysis.judgements) {
    out += fmt::format("{:<17} {}\n                  {}\n", verdict_name(j.verdict), printable(j.metric),
                       printable(sentence(j, analysis.threshold), 400));
  }
  const auto count = std::count_if(analysis.judgements.begin(), analysis.judgements.end(), fails);
  return out + fmt::format("{}: {} metrics, {} of them failed, threshold {:.1f} %\n", analysis.passed() ? "passed" : "FAILED",
                           analysis.judgements.size(), count, 100 * analysis.threshold);
}

json analysis_json(const Analysis& analysis) {
  json metrics = json::array();
  for (const Judgement& j : analysis.judgements) {
    json m = {{"name", j.metric},
              {"unit", j.unit},
              {"worse", j.worse == Worse::kUp ? "up" : "down"},
              {"verdict", verdict_name(j.verdict)},
              {"reason", j.reason.empty() ? json(nullptr) : json(j.reason)}};
    if (j.verdict != Verdict::kNotMeasured) {
      m.update({{"old_median", j.old_median},
                {"new_median", j.new_median},
                {"ratio", j.ratio},
                {"ratio_low", j.low},
                {"ratio_high", j.high},
                {"coverage", j.coverage},
                {"pairs", j.pairs},
                {"detectable", j.verdict == Verdict::kUnchanged ? json(j.detectable) : json(nullptr)}});
    }
    metrics.push_back(std::move(m));
  }
  return {{"schema", 1}, {"threshold", analysis.threshold}, {"passed", analysis.passed()}, {"metrics", metrics}};
}

std::string analysis_junit(const Analysis& analysis) {
  const auto& all = analysis.judgements;
  const auto failures = std::count_if(all.begin(), all.end(), fails) + (all.empty() ? 1 : 0);
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"analyze-performance\" tests=\"{}\" failures=\"{}\">\n",
      std::max<size_t>(all.size(), 1), failures);
  for (const Judgement& j : all) {
    const std::string text = xml_text(printable(sentence(j, analysis.threshold), 400));
    out += fmt::format("  <testcase classname=\"performance\" name=\"{}\">\n", xml_text(printable(j.metric)));
    out += fails(j) ? fmt::format("    <failure message=\"{}\">{}</failure>\n", verdict_name(j.verdict), text)
                    : fmt::format("    <system-out>{}: {}</system-out>\n", verdict_name(j.verdict), text);
    out += "  </testcase>\n";
  }
  if (all.empty()) {
    out +=
        "  <testcase classname=\"performance\" name=\"anything\">\n    <failure message=\"not measured\">nothing was "
        "compared</failure>\n  </testcase>\n";
  }
  return out + "</testsuite>\n";
}

}  // namespace bitnet::benchmark
