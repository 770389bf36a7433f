// cli/analyze_command.cpp - "bitnet-run analyze-performance": results against the baseline of this machine, build and model.
#include <filesystem>
#include <system_error>

#include "benchmark/baseline.h"
#include "benchmark/verdicts.h"
#include "cli/commands.h"
#include "cli/json_text.h"

namespace bitnet::cli {
namespace {

using benchmark::Analysis;
using benchmark::MetricFile;

std::vector<MetricFile> read_results(const AnalyzeOptions& o) {
  std::vector<MetricFile> runs;
  for (const std::string& path : o.results) {
    runs.push_back(benchmark::read_metrics(path));
    benchmark::require_same_key(runs.front().key, runs.back(), path);
  }
  return runs;
}

std::string find_baseline(const AnalyzeOptions& o, const benchmark::Key& key) {
  std::error_code ignored;
  const bool folder = o.baseline_is_folder || o.baseline.ends_with('/') || std::filesystem::is_directory(o.baseline, ignored);
  return folder ? benchmark::baseline_path(o.baseline, key) : o.baseline;
}

std::string report(const AnalyzeOptions& o, const Analysis& analysis) {
  if (o.format == ReportFormat::kJUnit) return benchmark::analysis_junit(analysis);
  return o.format == ReportFormat::kJson ? json_text(benchmark::analysis_json(analysis)) + "\n"
                                         : benchmark::analysis_text(analysis);
}

// All runs are accepted, so the best of them counts.
void update(const std::string& path, MetricFile baseline, const std::vector<MetricFile>& runs) {
  for (const MetricFile& run : runs) baseline = benchmark::best_of(std::move(baseline), run);
  benchmark::write_baseline(path, baseline);
  log(LogLevel::kNotice, "baseline {} written", printable(path));
}

}  // namespace

int analyze_command(const AnalyzeOptions& o) {
  const std::vector<MetricFile> runs = read_results(o);
  const std::string path = find_baseline(o, runs.front().key);
  std::error_code ignored;
  MetricFile baseline;
  if (std::filesystem::exists(path, ignored)) {
    baseline = benchmark::read_metrics(path);
    benchmark::require_same_key(runs.front().key, baseline, path);
  } else if (o.update) {
    log(LogLevel::kNotice, "{}: there is no baseline yet: the first results are compared with themselves", printable(path));
    baseline = runs.front();
  } else {
    fail(ErrorKind::kPerformance, "{}: there is no baseline yet, so nothing was compared; --update makes one of the results",
         printable(path));
  }
  const Analysis analysis = benchmark::analyse(baseline, runs, o.threshold, o.update);
  write_stdout(report(o, analysis));
  if (o.update && analysis.passed()) update(path, std::move(baseline), runs);
  if (o.update && !analysis.passed()) log(LogLevel::kError, "the baseline was not updated");
  return analysis.passed() ? 0 : static_cast<int>(ErrorKind::kPerformance);
}

}  // namespace bitnet::cli
