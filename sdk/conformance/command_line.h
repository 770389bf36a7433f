// conformance/command_line.h - the options of bitnet-plugin-check.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report.h"

namespace bitnet::conformance {

struct CommandLine {
  Request request;
  std::vector<std::string> filters;  // shell patterns, or whole groups; empty: everything
  std::string run;                   // one test, in this process
  std::string output;                // file for the report; empty: stdout
  Format format = Format::kText;
  uint64_t seed = 1;
  double timeout = 60;  // seconds per test
  bool list = false, fingerprint = false, help = false, version = false;
};

// Throws std::invalid_argument with one line that says what is wrong.
CommandLine parse(int argc, char** argv);
const char* usage();
bool matches(const CommandLine& line, const std::string& test);

}  // namespace bitnet::conformance
