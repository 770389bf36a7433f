// engine/options.h - what a user may say about this backend.
//
// A JSON object, options_json of open(): `bitnet-run --backend-options cuda='{"stage": "s1"}'`.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "../device/matmul.h"
#include "../gpu/faulty_gpu.h"

namespace bn_cuda {

// How a token is decoded; each stage is the one before and one thing more.
enum class Stage { kLaunches, kGraph, kFused, kScreened };

struct Options {
  std::optional<DotPath> path;               // "path": "dot4", "bits", "bytes"; "auto" (default) measures
  Stage stage = Stage::kScreened;            // "stage": "s0" launches, "s1" one graph, "s2" fused kernels, "s3" screened head
  bool early_launch = true;                  // "early_launch": kernels may start before the one before them has ended
  bool fast = false;                         // "numerics": "exact" (default) or "fast": sums in the order that is quickest
  std::chrono::milliseconds watchdog{2000};  // "watchdog_ms": without a sign of life for so long the device is lost
  std::vector<FaultRule> faults;             // "faults": a script of gpu/faulty_gpu.h; empty: no layer of faults
};

// json: null for none. Throws std::invalid_argument with a sentence.
Options read_options(const char* json);

}  // namespace bn_cuda
