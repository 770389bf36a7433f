// backend/scores.h - how fast each backend multiplies this model's matrices on this machine: measured, and remembered.
//
// More instruction sets are not faster on every CPU, so names decide nothing. Each device runs the model's distinct matrix
// shapes for about 5 ms (one token, the real number of threads, synthetic weights of at most 1 MiB a matrix), all together at
// most 25 ms plus what the slowest calls take. Counted is the CPU time of the busiest thread, so that other work on the machine
// does not decide. The result is kept in a state file under everything it depends on: plugin
// file (path, inode, size, times), id, version, CPU, its microcode and features, threads, shapes. Without a cache folder it is
// measured each time. A measurement that did not come to an end is remembered for a day.
//
// Errors   none: a device that cannot be opened or answers an error becomes a refusal with its sentence.
// Threads  one at a time; processes any.
// Source   plugins.md, section 13.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/policy.h"
#include "backend/registry.h"
#include "bitnet/formats.h"

namespace bitnet::backend {

// Matrices of one shape as the backend is asked for them.
struct MatrixShape {
  uint32_t rows = 0, cols = 0;
  uint32_t count = 0;                 // in the model
  const bn_format* format = nullptr;  // as it lies in the file, or bn.t2; lives for ever
};

struct Measured {
  std::vector<Score> scores;
  std::vector<Refusal> refusals;
};

// Scores of the given candidates, from the state file where it has them.
Measured measure(const Registry& registry, const std::vector<Candidate>& candidates, const std::vector<MatrixShape>& shapes,
                 uint32_t threads);

// The input with scores and refusals filled in, if the first choice depends on them.
PolicyInput with_scores(PolicyInput input, const Registry& registry, const std::vector<MatrixShape>& shapes, uint32_t threads);

// "measured now", "measured 3 days ago"
std::string age_text(int64_t measured_at);

}  // namespace bitnet::backend
