// conformance/main.cpp - bitnet-plugin-check: every test in a process of its own, a report, an exit code.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "check.h"
#include "child.h"
#include "command_line.h"
#include "elf_file.h"
#include "fingerprint.h"
#include "random.h"

namespace bitnet::conformance {

Tests all_tests() {
  Tests all;
  for (const auto group : {static_tests, load_tests, formats_tests, matmul_tests, dense_tests, norm_tests, rope_tests,
                           attention_tests, attention_parts_tests, glu_tests, engine_tests, engine_limits_tests}) {
    for (Test& test : group()) all.push_back(std::move(test));
  }
  return all;
}

namespace {

enum ExitCode { kAllPassed = 0, kFailed = 1, kUsage = 2, kCannotCheck = 3 };

int complain(const std::string& text, ExitCode code) {
  std::fprintf(stderr, "bitnet-plugin-check: %s\n", text.c_str());
  return code;
}

Tests chosen_tests(const CommandLine& line) {
  Tests chosen;
  for (Test& test : all_tests()) {
    if (line.run.empty() ? matches(line, test.name) : test.name == line.run) chosen.push_back(std::move(test));
  }
  if (chosen.empty()) {
    throw std::invalid_argument("no test is named '" + (line.run.empty() ? line.filters[0] : line.run) + "'; see --list");
  }
  return chosen;
}

int list(const CommandLine& line) {
  for (const Test& test : chosen_tests(line)) std::printf("%-34s %s\n", test.name.c_str(), test.rule.c_str());
  return kAllPassed;
}

int print_fingerprint(const CommandLine& line) {
  Test test = {"fingerprint", rule::kFingerprint, [](Subject& s) { throw NotApplicable{fingerprint_text(s)}; }};
  const Result r = run_in_child(test, line.request, line.timeout);
  if (r.outcome == Result::Outcome::kFailed || r.no_device) return complain(r.text, kCannotCheck);
  std::printf("%s\n", r.text.c_str());
  return kAllPassed;
}

int exit_code(const Counts& counts) { return counts.failed != 0 ? kFailed : counts.no_device ? kCannotCheck : kAllPassed; }

int check(const CommandLine& line) {
  const Tests tests = chosen_tests(line);
  std::FILE* to = stdout;
  if (!line.output.empty() && (to = std::fopen(line.output.c_str(), "w")) == nullptr) {
    return complain("--output: cannot write '" + line.output + "': " + std::strerror(errno), kUsage);
  }
  std::vector<Result> results;
  for (const Test& test : tests) {
    results.push_back(line.run.empty() ? run_in_child(test, line.request, line.timeout) : run_here(test, line.request));
    if (line.format == Format::kText) print_text(to, results.back());
    std::fflush(to);
  }
  const Counts counts = count(results);
  if (line.format == Format::kText) print_counts(to, counts);
  if (line.format == Format::kJson) print_json(to, line.request.path, results);
  if (line.format == Format::kJunit) print_junit(to, line.request.path, results);
  const bool written = std::fflush(to) == 0 && std::ferror(to) == 0;
  if (to != stdout) std::fclose(to);
  if (!written) return complain("the report could not be written", kUsage);
  return exit_code(counts);
}

int run(int argc, char** argv) {
  CommandLine line = parse(argc, argv);
  if (line.help) return std::printf("%s", usage()) < 0 ? kUsage : kAllPassed;
  if (line.version)
    return std::printf("bitnet-plugin-check " BITNET_SDK_VERSION ", ABI 1.%u\n", BN_ABI_MINOR) < 0 ? kUsage : kAllPassed;
  if (line.list) return list(line);
  base_seed = line.seed;
  std::error_code error;
  const std::filesystem::path path = std::filesystem::canonical(line.request.path, error);
  if (error) return complain("'" + line.request.path + "': " + error.message(), kCannotCheck);
  line.request.path = path.string();
  try {
    read_elf(line.request.path);
  } catch (const std::runtime_error& e) {
    return complain("'" + line.request.path + "': " + e.what(), kCannotCheck);
  }
  return line.fingerprint ? print_fingerprint(line) : check(line);
}

}  // namespace
}  // namespace bitnet::conformance

int main(int argc, char** argv) {
  try {
    return bitnet::conformance::run(argc, argv);
  } catch (const std::invalid_argument& e) {
    return bitnet::conformance::complain(e.what(), bitnet::conformance::kUsage);
  }
}
