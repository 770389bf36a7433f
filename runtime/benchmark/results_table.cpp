// benchmark/results_table.cpp - results as Markdown and as CSV.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "benchmark/results.h"
#include "benchmark/statistics.h"

namespace bitnet::benchmark {
namespace {

using nlohmann::json;

struct Column {
  const char* title;
  int width;   // at least; longer texts widen their line
  bool right;  // aligned
};

constexpr Column kColumns[] = {
    {"model", 30, false}, {"size", 10, true},       {"params", 10, true},      {"backend", 12, false},     {"threads", 7, true},
    {"test", 16, true},   {"t/s", 20, true},        {"first token", 11, true}, {"p50 / p95 ms", 15, true}, {"GB/s", 7, true},
    {"GMAC/s", 7, true},  {"of ceiling", 16, true}, {"peak MB", 7, true},      {"logits", 12, false}};

std::string table_line(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (size_t i = 0; i < cells.size(); ++i) {
    const Column& c = kColumns[i];
    line += c.right ? fmt::format(" {:>{}} |", cells[i], c.width) : fmt::format(" {:<{}} |", cells[i], c.width);
  }
  return line + "\n";
}

// A cell must not end its column.
std::string cell_text(const std::string& text) {
  std::string out;
  for (const char c : printable(text)) out += c == '|' ? '/' : c;
  return out;
}

std::string binary_size(uint64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib >= 1024 ? fmt::format("{:.2f} GiB", mib / 1024) : fmt::format("{:.2f} MiB", mib);
}

std::string parameter_text(uint64_t n) {
  const double millions = static_cast<double>(n) * 1e-6;
  return millions >= 1000 ? fmt::format("{:.2f} B", millions / 1000) : fmt::format("{:.2f} M", millions);
}

std::string test_text(const Row& row) {
  std::string text = (row.mock ? "[mock] " : "") + row.test.name();
  if (row.batch != Setup().batch) text += fmt::format(" b{}", row.batch);
  if (row.ubatch != std::min(Setup().ubatch, row.batch)) text += fmt::format(" ub{}", row.ubatch);
  if (row.kv_dtype == BN_DT_F16) text += " kv-f16";
  return text;
}

std::vector<std::string> measured_cells(const Row& row) {
  const std::vector<double> rates = row.tokens_per_second();
  const double seconds = median(row.seconds);
  std::vector<double> steps;
  for (const auto& repetition : row.steps) steps.insert(steps.end(), repetition.begin(), repetition.end());
  const std::string each = row.test.parallel > 1 ? fmt::format(", {:.2f} each", mean(rates) / row.test.parallel) : "";
  return {fmt::format("{:.2f} ± {:.2f}{}", mean(rates), deviation(rates), each),
          row.first_token.empty() ? "" : fmt::format("{:.4f} s", median(row.first_token)),
          steps.empty() ? "" : fmt::format("{:.2f} / {:.2f}", 1e3 * quantile(steps, 0.5), 1e3 * quantile(steps, 0.95)),
          fmt::format("{:.1f}", 1e-9 * row.work.bytes / seconds),
          fmt::format("{:.1f}", 1e-9 * row.work.macs / seconds),
          row.bound.empty() ? "" : fmt::format("{:.1f} % {}", 100 * row.share(), row.bound),
          row.peak_rss > 0 ? fmt::format("{:.0f}", 1e-6 * static_cast<double>(row.peak_rss)) : "unknown",
          row.logits_sha256.substr(0, 12)};
}

std::string ceilings_line(const Ceilings& c) {
  std::string text = fmt::format("ceilings, {} thread{}: ", c.threads, c.threads == 1 ? "" : "s");
  text += c.read_gbps > 0
              ? fmt::format("read {:.1f} GB/s ({}; median pass {:.1f})", c.read_gbps, c.read_probe, median(c.read_passes))
              : "read not measured";
  for (const DotRate& dot : c.dots) text += fmt::format(", {} {:.0f} GMAC/s", dot.name, dot.gmacs);
  return text;
}

// By number of threads, the best that any row saw.
std::vector<Ceilings> best_ceilings(const Results& results) {
  std::vector<Ceilings> all;
  for (const Row& row : results.rows) {
    if (!row.not_measured.empty()) continue;
    const auto same = [&](const Ceilings& c) { return c.threads == row.threads; };
    const auto known = std::find_if(all.begin(), all.end(), same);
    known == all.end() ? all.push_back(row.ceilings) : known->raise(row.ceilings);
  }
  return all;
}

void add_once(std::vector<std::string>& lines, std::string line) {
  if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(std::move(line));
}

// The columns of CSV are those of a row's object that hold one value; the first part in llama-bench's order.
constexpr const char* kCsv[] = {
    "build_commit",   "cpu_info",     "gpu_info",     "backends",      "model_filename",  "model_type",  "model_size",
    "model_n_params", "n_batch",      "n_ubatch",     "n_threads",     "type_k",          "type_v",      "n_prompt",
    "n_gen",          "n_depth",      "test_time",    "avg_ns",        "stddev_ns",       "avg_ts",      "stddev_ts",
    "test",           "provider",     "measured",     "reason",        "median_ts",       "min_ts",      "max_ts",
    "first_token_ns", "step_p50_ns",  "step_p95_ns",  "gb_per_second", "gmac_per_second", "ceiling",     "ceiling_share",
    "ceiling_ts",     "load_seconds", "pack_seconds", "peak_rss",      "kv_cache",        "logits_hash", "backend_version",
    "n_parallel"};

std::string csv_field(const json& value) {
  if (value.is_null()) return {};
  const std::string text =
      value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (!value.is_string()) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

}  // namespace

std::string markdown_head(const Results&) {
  std::vector<std::string> titles, rules;
  for (const Column& c : kColumns) {
    titles.emplace_back(c.title);
    rules.push_back(std::string(static_cast<size_t>(c.width) - (c.right ? 1 : 0), '-') + (c.right ? ":" : ""));
  }
  return table_line(titles) + table_line(rules);
}

std::string markdown_row(const Results& results, const Row& row) {
  const ModelInfo& m = results.model;
  std::vector<std::string> cells = {cell_text(m.type),      binary_size(m.bytes),           parameter_text(m.parameters),
                                    cell_text(row.backend), fmt::format("{}", row.threads), test_text(row)};
  const std::vector<std::string> rest =
      row.not_measured.empty() ? measured_cells(row) : std::vector<std::string>{"not measured", "", "", "", "", "", "", ""};
  cells.insert(cells.end(), rest.begin(), rest.end());
  return table_line(cells);
}

std::string markdown_foot(const Results& results) {
  std::vector<std::string> lines;
  for (const Row& row : results.rows) {
    if (!row.not_measured.empty()) add_once(lines, fmt::format("not measured: {}: {}", row.backend, row.not_measured));
  }
  for (const Row& row : results.rows) {
    if (!row.no_bound.empty()) add_once(lines, fmt::format("no share of a ceiling: {}: {}", row.backend, row.no_bound));
  }
  for (const Ceilings& c : best_ceilings(results)) lines.push_back(ceilings_line(c));
  std::string seen;
  for (const Row& row : results.rows) {
    if (!row.not_measured.empty() || row.backend == seen) continue;
    seen = row.backend;
    lines.push_back(fmt::format("backend {} {} ({}): load {:.3f} s, packing {:.3f} s", row.backend, row.version, row.device,
                                row.load_seconds, row.pack_seconds));
  }
  const ModelInfo& m = results.model;
  lines.push_back(fmt::format("model: {}{}, sha256 {}", printable(m.path), m.embedded ? " (the embedded story model)" : "",
                              m.sha256.substr(0, 16)));
  lines.push_back("machine: " + machine_line(results.machine));
  const BuildInfo& b = results.build;
  lines.push_back(fmt::format("build: {} ({}), {} {}", b.commit, b.version, b.compiler, b.type));
  for (const std::string& warning : results.warnings) lines.push_back("warning: " + warning);
  return fmt::format("\n{}\n", fmt::join(lines, "\n"));
}

std::string csv_head() {
  std::string out;
  for (const char* name : kCsv) out += (out.empty() ? "" : ",") + std::string(name);
  return out + "\n";
}

std::string csv_row(const Results& results, const Row& row) {
  const json j = row_json(results, row);
  std::string out;
  for (const char* name : kCsv) {
    if (name != kCsv[0]) out += ",";
    if (const auto at = j.find(name); at != j.end()) out += csv_field(*at);
  }
  return out + "\n";
}

}  // namespace bitnet::benchmark
