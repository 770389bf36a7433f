// cli/run_report.h - the JSON object of a run. What was not measured is null.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/process_memory.h"
#include "bitnet.h"
#include "cli/options.h"

namespace bitnet::cli {

// What run_command() knows when it ends, well or not. Pointers are null for what was not reached.
struct RunReport {
  const model::Model* model = nullptr;
  const engine::Session* session = nullptr;
  const engine::GenerateResult* result = nullptr;
  std::vector<engine::Fallback> fallbacks;  // backends asked for that could not even be tried, then the session's
  uint64_t seed = 0;
  uint32_t threads = 0;
  double tokenization = 0, open_model = 0, find_backends = 0, total = 0;  // seconds
  ProcessMemory before_load;
  std::vector<std::string> warnings;
  std::string error;  // message of the error the run ended with, empty: none
};

// One of the answers to several prompts, by its number and its line in the file, both from 1. Of the report only what is said
// there about session, result, fallbacks, seed, threads and error.
std::string answer_json(const RunReport& report, uint64_t number, uint64_t line);
// Hashes the model file, which takes about a second for a gigabyte.
std::string run_report_json(const RunReport& report);
// A few lines for --verbose.
std::string run_summary(const RunReport& report);

}  // namespace bitnet::cli
