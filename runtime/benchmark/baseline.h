// benchmark/baseline.h - where baselines lie, and how they are written.
//
// Threads any; processes too: a baseline is replaced whole or not at all.
#pragma once

#include <string>

#include "benchmark/metrics.h"

namespace bitnet::benchmark {

// The file in `folder` that belongs to machine, build and model: "baseline-<16 hex digits>.json".
std::string baseline_path(const std::string& folder, const Key& key);

// Creates missing folders. Error{kFailure} with path and the system's reason when it cannot be written.
void write_baseline(const std::string& path, const MetricFile& baseline);

// Error{kUsage} naming the first of machine, build and model in which the file differs.
void require_same_key(const Key& expected, const MetricFile& found, const std::string& path);

}  // namespace bitnet::benchmark
