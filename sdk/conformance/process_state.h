// conformance/process_state.h - what a plugin must leave alone in its host's process.
#pragma once

#include <map>
#include <string>

namespace bitnet::conformance {

// Each fact by name: "handler of signal 11", "locale", "working directory", ...
using ProcessState = std::map<std::string, std::string>;
ProcessState process_state();

size_t count_threads();

// Throws Failure (rule 6) that names the first fact that differs.
void expect_unchanged(const ProcessState& before, const char* after);

}  // namespace bitnet::conformance
