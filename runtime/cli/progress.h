// cli/progress.h - a progress bar on a terminal's stderr, or lines for logs and programs; nothing on a quiet run.
//
// At most ten redraws a second; the bar is erased before any other message and when the work is done.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/options.h"

namespace bitnet::cli {

class ProgressLine {
 public:
  // kAuto: a bar when stderr is a terminal, else nothing for work that is short. phase: "load", "prefill", ...
  ProgressLine(Progress mode, std::string phase, std::string unit);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(uint64_t done, uint64_t total);
  void finish();

 private:
  void draw(uint64_t done, uint64_t total);

  Progress mode_;
  std::string phase_, unit_;
  std::chrono::steady_clock::time_point last_{};
  bool started_ = false;
};

}  // namespace bitnet::cli
