// benchmark/metrics.cpp - reads results and baselines, trusting nothing in them.
#include "benchmark/metrics.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>

#include "base/error.h"
#include "benchmark/results.h"
#include "benchmark/statistics.h"

namespace bitnet::benchmark {
namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = size_t{64} << 20;
constexpr int kMaxDepth = 16;

// A value in the file and the way to it, for messages.
class Node {
 public:
  Node(const std::string& file, std::string where, const json& value) : file_(file), where_(std::move(where)), value_(value) {}

  Node at(const char* name) const {
    if (!value_.is_object()) complain("an object");
    const auto member = value_.find(name);
    const std::string where = where_.empty() ? name : where_ + "." + name;
    if (member == value_.end()) fail(ErrorKind::kUsage, "{}: {} is missing", printable(file_), where);
    return {file_, where, *member};
  }
  std::vector<Node> items() const {
    if (!value_.is_array()) complain("a list");
    std::vector<Node> nodes;
    for (size_t i = 0; i < value_.size(); ++i) nodes.emplace_back(file_, fmt::format("{}[{}]", where_, i), value_[i]);
    return nodes;
  }
  std::string text() const {
    if (!value_.is_string()) complain("a text");
    return value_.get<std::string>();
  }
  std::string text_or_null() const { return value_.is_null() ? std::string() : text(); }
  bool flag() const {
    if (!value_.is_boolean()) complain("true or false");
    return value_.get<bool>();
  }
  int64_t integer() const {
    if (!value_.is_number_integer()) complain("a whole number");
    return value_.get<int64_t>();
  }
  double positive() const {
    const double number = value_.is_number() ? value_.get<double>() : 0;
    if (!std::isfinite(number) || number <= 0) complain("a number above 0");
    return number;
  }
  std::vector<double> positives() const {
    std::vector<double> numbers;
    for (const Node& item : items()) numbers.push_back(item.positive());
    return numbers;
  }
  bool is_null() const { return value_.is_null(); }

  [[noreturn]] void complain(const char* expected) const {
    fail(ErrorKind::kUsage, "{}: {}: expected {}, found {}", printable(file_), where_.empty() ? "the file" : where_, expected,
         printable(value_.dump(-1, ' ', true, json::error_handler_t::replace), 60));
  }

 private:
  const std::string& file_;
  std::string where_;
  const json& value_;
};

std::string read_text(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail(ErrorKind::kUsage, "{}: {}", printable(path), std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::kUsage, "{}: not a regular file", printable(path));
  if (static_cast<size_t>(status.st_size) > kMaxBytes) {
    fail(ErrorKind::kUsage, "{}: expected at most {} bytes, found {}", printable(path), kMaxBytes, status.st_size);
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<size_t>(status.st_size), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file) fail(ErrorKind::kUsage, "{}: cannot be read", printable(path));
  return text;
}

json parse(const std::string& path) try {
  const std::string text = read_text(path);
  const auto shallow = [&](int depth, json::parse_event_t, json&) {
    if (depth > kMaxDepth) fail(ErrorKind::kUsage, "{}: nested deeper than {}", printable(path), kMaxDepth);
    return true;
  };
  return json::parse(text, shallow);
} catch (const json::exception& e) {
  fail(ErrorKind::kUsage, "{}: not valid JSON: {}", printable(path), printable(e.what()));
}

Key read_key(const Node& key) { return {key.at("machine").text(), key.at("build").text(), key.at("model").text()}; }

// The 95th percentile of the time between tokens, one for each repetition.
std::vector<double> step_p95(const Node& row) {
  std::vector<double> samples;
  for (const Node& repetition : row.at("samples_step_ns").items()) {
    const std::vector<double> steps = repetition.positives();
    if (!steps.empty()) samples.push_back(1e-9 * quantile(steps, 0.95));
  }
  return samples;
}

void add_row(const Node& row, std::vector<Metric>& metrics) {
  const std::string id = row.at("id").text();
  Metric speed{id + ": speed", "tokens/s", Worse::kDown, false, {}, {}, {}};
  if (!row.at("measured").flag()) {
    speed.reason = row.at("reason").text();
  } else if (row.at("mock").flag()) {
    speed.reason = "a mock was measured";
  } else {
    speed.samples = row.at("samples_ts").positives();
    speed.logits = row.at("logits_hash").text();
  }
  metrics.push_back(speed);
  if (speed.samples.empty()) return;
  if (const std::vector<double> p95 = step_p95(row); !p95.empty()) {
    metrics.push_back({id + ": p95 between tokens", "s", Worse::kUp, false, p95, speed.logits, {}});
  }
  if (const Node peak = row.at("peak_rss"); !peak.is_null()) {
    metrics.push_back({id + ": peak memory", "bytes", Worse::kUp, true, {peak.positive()}, speed.logits, {}});
  }
}

Metric read_metric(const Node& node) {
  const Node worse = node.at("worse");
  if (worse.text() != "up" && worse.text() != "down") worse.complain("up or down");
  Metric metric{node.at("name").text(),
                node.at("unit").text(),
                worse.text() == "up" ? Worse::kUp : Worse::kDown,
                node.at("exact").flag(),
                node.at("samples").positives(),
                node.at("logits_hash").text_or_null(),
                {}};
  if (metric.samples.empty()) node.at("samples").complain("at least one sample");
  return metric;
}

}  // namespace

MetricFile read_metrics(const std::string& path) {
  const json document = parse(path);
  const Node root(path, "", document);
  const Node kind = root.at("kind");
  const bool is_baseline = kind.text() == kBaselineKind;
  if (!is_baseline && kind.text() != kResultsKind) kind.complain("results of bitnet-run benchmark -o json, or a baseline");
  const Node schema = root.at("schema");
  if (schema.integer() != (is_baseline ? kBaselineSchema : kResultsSchema)) schema.complain("schema 1, of this version");
  MetricFile file;
  file.key = read_key(root.at("key"));
  file.time = root.at("time").text();
  file.commit = is_baseline ? root.at("commit").text() : root.at("build").at("commit").text();
  if (is_baseline) {
    for (const Node& metric : root.at("metrics").items()) file.metrics.push_back(read_metric(metric));
  } else {
    for (const Node& row : root.at("rows").items()) add_row(row, file.metrics);
  }
  std::set<std::string> names;
  for (const Metric& metric : file.metrics) {
    if (!names.insert(metric.name).second) fail(ErrorKind::kUsage, "{}: '{}' twice", printable(path), printable(metric.name));
  }
  return file;
}

json baseline_json(const MetricFile& baseline) {
  json metrics = json::array();
  for (const Metric& m : baseline.metrics) {
    metrics.push_back({{"name", m.name},
                       {"unit", m.unit},
                       {"worse", m.worse == Worse::kUp ? "up" : "down"},
                       {"exact", m.exact},
                       {"samples", m.samples},
                       {"logits_hash", m.logits.empty() ? json(nullptr) : json(m.logits)}});
  }
  return {{"kind", kBaselineKind},
          {"schema", kBaselineSchema},
          {"key", {{"machine", baseline.key.machine}, {"build", baseline.key.build}, {"model", baseline.key.model}}},
          {"time", baseline.time},
          {"commit", baseline.commit},
          {"metrics", metrics}};
}

}  // namespace bitnet::benchmark
