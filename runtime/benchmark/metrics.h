// benchmark/metrics.h - the numbers of a results or baseline file that are watched for regressions.
//
// Errors  Error{kUsage} naming the file, what was expected and what is there: not JSON, of another program, of another schema,
//         a field missing or of the wrong type, a number that is not finite and positive, a metric twice.
// Threads pure but for reading the file.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bitnet::benchmark {

// Up: more is worse (times, memory). Down: less is worse (rates).
enum class Worse { kUp, kDown };

struct Metric {
  std::string name;  // row and quantity: "cpu_avx2 pp512 t2 b2048 ub512 kv-f32: speed"
  std::string unit;  // "tokens/s", "s", "bytes"
  Worse worse = Worse::kDown;
  bool exact = false;           // no noise: one value is enough
  std::vector<double> samples;  // in the order of measurement; empty: not measured
  std::string logits;           // hash of what was computed; empty: unknown
  std::string reason;           // why it was not measured
};

// Speeds are comparable only when these are equal.
struct Key {
  std::string machine, build, model;
  bool operator==(const Key&) const = default;
};

struct MetricFile {
  Key key;
  std::vector<Metric> metrics;
  std::string commit, time;  // of the newest samples
};

inline constexpr const char* kBaselineKind = "bitnet-run benchmark baseline";
inline constexpr int kBaselineSchema = 1;

// A file as `benchmark -o json` writes it, or a baseline. Rows that were not measured or come from a mock are metrics without
// samples.
MetricFile read_metrics(const std::string& path);
nlohmann::json baseline_json(const MetricFile& baseline);

}  // namespace bitnet::benchmark
