// fault/next_backend_test.cpp - what the program does next for statuses that are not simply "the next backend".
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/program.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

ProgramResult run(const std::string& backends, const std::string& script, std::vector<std::string> more = {}) {
  std::vector<std::string> args = {"-p",        "Once upon a time", "-n",          "24",       "--greedy",      "--json",
                                   "--backend", backends,           "--mock-mode", "faithful", "--mock-faults", script};
  args.insert(args.end(), more.begin(), more.end());
  return run_program(args);
}

TEST(NextBackend, OutOfMemoryIsTriedSmallerFirst) {
  const ProgramResult result = run("mock,cpu_portable", "prefill=oom");
  EXPECT_EQ(result.exit_code, 0) << result;
  const size_t smaller = result.err.find("backend mock: out of memory in op attn; trying again with smaller steps\n");
  const size_t next = result.err.find("backend mock: failed in prefill (out of memory in op attn); using cpu_portable\n");
  EXPECT_LT(smaller, next) << result;
  EXPECT_NE(next, std::string::npos) << result;
  EXPECT_EQ(json::parse(result.out)["fallback"].size(), 1u) << "a smaller attempt is no change of the backend";
}

// open@1 counts all calls of the process: the second attempt, smaller, works.
TEST(NextBackend, TheSmallerAttemptGivesTheSameText) {
  const json expected =
      json::parse(run_program({"-p", "Once upon a time", "-n", "24", "--greedy", "--json", "--backend", "cpu_portable"}).out);
  const ProgramResult result = run("mock", "open@1=oom", {"--strict"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.err.find("trying again with smaller steps"), std::string::npos) << result;
  EXPECT_EQ(json::parse(result.out)["logits_hash"], expected["logits_hash"]);
}

TEST(NextBackend, BusyIsAskedOnceMoreWhenNobodyElseIsLeft) {
  const ProgramResult result = run("mock,mock", "prefill=error:busy");
  EXPECT_EQ(result.exit_code, 4) << result;
  EXPECT_EQ(json::parse(result.out)["fallback"].size(), 2u) << result;
}

TEST(NextBackend, RejectedDataGoesToOneOther) {
  const ProgramResult result = run("mock,cpu_portable", "pack=error:data");
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.err.find("backend mock: not usable (pack of blk.0.attn_q.weight: "), std::string::npos) << result;
}

TEST(NextBackend, AReportIsWrittenWhenNobodyIsLeft) {
  const ProgramResult result = run("mock", "token@17=lost", {"--strict"});
  EXPECT_EQ(result.exit_code, 4) << result;
  const json report = json::parse(result.out);
  EXPECT_EQ(report["tokens"].size(), 16u);
  EXPECT_EQ(report["finish_reason"], "error");
  EXPECT_EQ(report["backend"]["name"], "mock");
  EXPECT_EQ(report["memory"]["kv_cache"], nullptr);
}

}  // namespace
}  // namespace bitnet::test
