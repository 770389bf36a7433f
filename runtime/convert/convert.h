// convert/convert.h - carries a plan out: reads a few rows, encodes them, writes them; the output appears whole or not at all.
//
// Memory  some rows of one tensor, whatever the model's size.
// Errors  Error{kUsage}: output that is the input, exists without `force`, or is no regular file. Error{kFailure}: I/O, no
// space,
//         and a verification that found a difference (a defect of ours). Whatever on_progress throws ends the work. Nothing
//         stays behind.
// Threads one at a time; rows are worked on by several threads.
#pragma once

#include <functional>
#include <string>

#include "convert/plan.h"

namespace bitnet::convert {

struct OutputSettings {
  std::string path;
  bool force = false;            // an existing file is replaced
  bool verify = false;           // the finished file is read again and compared: every trit, every scale, every copied byte
  gguf::TernaryOptions reading;  // of the output, for verifying
  // Bytes of the output done and in all, phase "write" or "verify"; may throw to stop.
  std::function<void(const char* phase, uint64_t done, uint64_t total)> on_progress;
};

// What would keep `path` from becoming the output; throws. Also called by write_model().
void check_output(const Source& source, const OutputSettings& output);

// Returns the size of the file in bytes.
uint64_t write_model(const Source& source, const Plan& plan, const Wanted& wanted, const OutputSettings& output);

}  // namespace bitnet::convert
