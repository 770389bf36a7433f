// conformance/report.h - results as text, JSON or JUnit XML.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "child.h"

namespace bitnet::conformance {

enum class Format { kText, kJson, kJunit };

struct Counts {
  size_t passed = 0, failed = 0, not_applicable = 0;
  bool no_device = false;  // some test found no device on this machine
};
Counts count(const std::vector<Result>& results);

// One line per test, for a failure more; as it comes.
void print_text(std::FILE* to, const Result& result);
// The last line of the text.
void print_counts(std::FILE* to, const Counts& counts);

void print_json(std::FILE* to, const std::string& plugin, const std::vector<Result>& results);
void print_junit(std::FILE* to, const std::string& plugin, const std::vector<Result>& results);

}  // namespace bitnet::conformance
