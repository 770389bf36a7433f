// benchmark/results.h - everything one benchmark run found out, and its forms: tables, lines, one object.
//
// Names of columns and fields are llama-bench's where it has the thing, so that files can be laid side by side; what it has not
// comes behind. What was not measured is null or says "not measured", never 0.
// Threads pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "benchmark/machine.h"
#include "benchmark/measure.h"

namespace bitnet::benchmark {

struct BuildInfo {
  std::string version, commit, compiler, type;  // "0.1.0", "3fc103a...", "gcc 12.2.0", "Release"
};

struct ModelInfo {
  std::string path, name, type;  // type: "bitnet-b1.58 I2_S"
  std::string sha256;
  uint64_t bytes = 0, parameters = 0;
  bool embedded = false;  // the default model: the user named none
};

struct Results {
  BuildInfo build;
  Machine machine;
  ModelInfo model;
  std::string time;  // UTC, "2026-11-26T14:30:00Z"
  std::vector<Row> rows;
  std::vector<std::string> warnings;
};

inline constexpr int kResultsSchema = 1;
inline constexpr const char* kResultsKind = "bitnet-run benchmark results";

// Speeds are comparable when machine, build and model are the same.
nlohmann::json results_key(const Results& results);
// One object: kind, schema, key, machine, build, model, warnings, rows.
nlohmann::json results_json(const Results& results);
// A row that stands for itself: what a line of jsonl is.
nlohmann::json row_json(const Results& results, const Row& row);
// What tells a row from the others of a run: "cpu_avx2 pp512 t2 b2048 ub512 kv-f32".
std::string row_id(const Row& row);

// Markdown, a line at a time so that rows can be shown as they come; all with a newline at the end.
std::string markdown_head(const Results& results);
std::string markdown_row(const Results& results, const Row& row);
std::string markdown_foot(const Results& results);
// CSV of RFC 4180 with a heading line.
std::string csv_head();
std::string csv_row(const Results& results, const Row& row);

}  // namespace bitnet::benchmark
