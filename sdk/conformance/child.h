// conformance/child.h - one test in a process of its own, so that whatever the plugin does ends there.
#pragma once

#include <string>

#include "test.h"

namespace bitnet::conformance {

struct Result {
  enum class Outcome { kPassed, kFailed, kNotApplicable };
  std::string name;
  Outcome outcome = Outcome::kFailed;
  bool no_device = false;  // not applicable because of this machine
  std::string rule;        // that is broken
  std::string where;       // shapes, seed, call
  std::string text;        // of the failure, or why it does not apply
  double seconds = 0;
};

// Runs the test here, for a debugger.
Result run_here(const Test& test, const Request& request);

// Runs it in a child with a time limit. Crash, hang, exit and output are failures of the test.
Result run_in_child(const Test& test, const Request& request, double limit_seconds);

}  // namespace bitnet::conformance
