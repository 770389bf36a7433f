// backend/explain.h - "backends explain MODEL": who would run a model, who would follow, and why each of the others would not.
//
// Opens every device of every usable plugin for a moment and asks about each distinct matrix shape.
// Threads  one at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/policy.h"
#include "backend/registry.h"
#include "backend/scores.h"

namespace bitnet::backend {

// What is explained besides the registry.
struct Explanation {
  std::string model;                // path
  std::string quantization;         // of its matrices; empty: the file has no weights
  std::vector<MatrixShape> shapes;  // distinct
  uint32_t threads = 1;
  PolicyInput input;  // scores filled in
};

// Errors: as next_candidate().
std::string explain_text(const Registry& registry, const Explanation& explanation);
// {"schema": 1, "model", "quantization", "threads", "list", "chain": [...], "left_out": [...]} and a newline.
std::string explain_json(const Registry& registry, const Explanation& explanation);

}  // namespace bitnet::backend
