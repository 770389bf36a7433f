// e2e/analyze_test.cpp - "bitnet-run analyze-performance": baselines on disk, what may change them, damaged and foreign files.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// Results of one row with these speeds.
json results(const std::vector<double>& speeds, const std::string& machine = "m") {
  const json row = {{"id", "cpu tg4"},
                    {"measured", true},
                    {"mock", false},
                    {"reason", nullptr},
                    {"samples_ts", speeds},
                    {"logits_hash", "sha256:00"},
                    {"samples_step_ns", json::array()},
                    {"peak_rss", 1000000}};
  return {{"kind", "bitnet-run benchmark results"},
          {"schema", 1},
          {"key", {{"machine", machine}, {"build", "gcc, Release"}, {"model", "abc"}}},
          {"time", "2026-11-26T12:00:00Z"},
          {"build", {{"commit", "c0ffee"}}},
          {"rows", json::array({row})}};
}

const std::vector<double> kFast = {100, 101, 100, 99, 100, 100}, kSlow = {90, 91, 90, 89, 90, 90};

class Analyze : public testing::Test {
 protected:
  std::string write(const std::string& name, const json& document) {
    write_text(folder_ / name, document.dump());
    return folder_ / name;
  }
  ProgramResult analyze(const std::string& results_path, std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"analyze-performance", "--results", results_path};
    args.insert(args.end(), more.begin(), more.end());
    return run_program(args, {.env = {{"BITNET_BASELINE_DIR", folder_ / "baselines"}}});
  }
  json stored() {
    for (const auto& entry : fs::directory_iterator(folder_ / "baselines")) return json::parse(read_text(entry.path()));
    return nullptr;
  }
  const TempFolder folder_;
};

TEST_F(Analyze, BeginsABaselineOnlyOnRequest) {
  const std::string fast = write("fast.json", results(kFast));
  const ProgramResult none = analyze(fast);
  EXPECT_EQ(none.exit_code, 6) << none;
  EXPECT_NE(none.err.find("there is no baseline yet"), std::string::npos) << none;
  EXPECT_FALSE(fs::exists(folder_ / "baselines"));
  EXPECT_EQ(analyze(fast, {"--update"}).exit_code, 0);
  const json baseline = stored();
  EXPECT_EQ(baseline["metrics"][0]["samples"], json(kFast)) << "all samples";
  EXPECT_EQ(baseline["metrics"][0]["unit"], "tokens/s");
  EXPECT_EQ(baseline["metrics"][0]["worse"], "down");
  const ProgramResult same = analyze(fast);
  EXPECT_EQ(same.exit_code, 0) << same;
  EXPECT_NE(same.out.find("unchanged"), std::string::npos) << same;
}

TEST_F(Analyze, ARegressionFailsAndLeavesTheBaseline) {
  const std::string slow = write("slow.json", results(kSlow));
  ASSERT_EQ(analyze(write("fast.json", results(kFast)), {"--update"}).exit_code, 0);
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{{}, {"--update"}}) {
    const ProgramResult result = analyze(slow, more);
    EXPECT_EQ(result.exit_code, 6) << result;
    EXPECT_NE(result.out.find("regression"), std::string::npos) << result;
    EXPECT_EQ(stored()["metrics"][0]["samples"], json(kFast));
  }
  EXPECT_EQ(analyze(slow, {"--threshold", "0.2"}).exit_code, 0);
}

TEST_F(Analyze, SmallLossesDoNotAddUp) {
  ASSERT_EQ(analyze(write("fast.json", results(kFast)), {"--update"}).exit_code, 0);
  const std::string less = write("less.json", results({97, 97, 97, 97, 97, 97}));
  EXPECT_EQ(analyze(less, {"--update"}).exit_code, 0);
  EXPECT_EQ(stored()["metrics"][0]["samples"], json(kFast)) << "the best accepted value stays";
  const std::string more = write("more.json", results({103, 103, 103, 103, 103, 103}));
  EXPECT_EQ(analyze(more, {"--update"}).exit_code, 0);
  EXPECT_EQ(stored()["metrics"][0]["samples"][0], 103);
}

TEST_F(Analyze, BaselinesBelongToAMachineABuildAndAModel) {
  ASSERT_EQ(analyze(write("fast.json", results(kFast)), {"--update"}).exit_code, 0);
  const std::string other = write("other.json", results(kSlow, "another machine"));
  EXPECT_EQ(analyze(other).exit_code, 6) << "it has none yet";
  EXPECT_EQ(analyze(other, {"--update"}).exit_code, 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "baselines"), fs::directory_iterator()), 2);
  const ProgramResult mixed = analyze(other, {"--baseline", folder_ / "fast.json"});
  EXPECT_EQ(mixed.exit_code, 2) << mixed;
  EXPECT_NE(mixed.err.find("is for another machine: 'm', the results are for 'another machine'"), std::string::npos) << mixed;
}

TEST_F(Analyze, ResultsCanBeComparedWithResultsInEveryFormat) {
  const std::string fast = write("fast.json", results(kFast)), slow = write("slow.json", results(kSlow));
  const ProgramResult object = analyze(slow, {"--baseline", fast, "--format", "json"});
  EXPECT_EQ(object.exit_code, 6) << object;
  const json j = json::parse(object.out);
  EXPECT_EQ(j["passed"], false);
  EXPECT_EQ(j["metrics"][0]["verdict"], "regression");
  EXPECT_EQ(j["metrics"][0]["pairs"], 6);
  EXPECT_EQ(j["metrics"][1]["verdict"], "unchanged");
  const ProgramResult junit = analyze(slow, {"--baseline", fast, "--format", "junit"});
  EXPECT_NE(junit.out.find("tests=\"2\" failures=\"1\""), std::string::npos) << junit;
  const ProgramResult twice = analyze(slow, {"--results", fast, "--baseline", fast});
  EXPECT_EQ(twice.exit_code, 0) << "one of two runs is no confirmation\n" << twice;
  EXPECT_NE(twice.out.find("suspect"), std::string::npos) << twice;
}

TEST_F(Analyze, MockAndMissingRowsFailTheGate) {
  const std::string fast = write("fast.json", results(kFast));
  json mock = results(kFast);
  mock["rows"][0]["mock"] = true;
  const ProgramResult marked = analyze(write("mock.json", mock), {"--baseline", fast});
  EXPECT_EQ(marked.exit_code, 6) << marked;
  EXPECT_NE(marked.out.find("a mock was measured"), std::string::npos) << marked;
  json empty = results(kFast);
  empty["rows"] = json::array();
  const std::string nothing = write("nothing.json", empty);
  EXPECT_EQ(analyze(nothing, {"--baseline", fast}).exit_code, 6);
  EXPECT_EQ(analyze(nothing, {"--baseline", nothing}).exit_code, 6) << "a gate that ran nothing fails";
  EXPECT_EQ(analyze(nothing, {"--update"}).exit_code, 6);
  json few = results({100, 100, 100, 100});
  EXPECT_EQ(analyze(write("few.json", few), {"--update"}).exit_code, 6) << "four samples make no baseline";
}

TEST_F(Analyze, DamagedFilesAreNamed) {
  const std::string fast = write("fast.json", results(kFast));
  json wrong_unit = results(kFast), negative = results(kFast), foreign = {{"kind", "llama-bench"}}, later = results(kFast);
  wrong_unit["rows"][0]["samples_ts"] = "fast";
  negative["rows"][0]["samples_ts"][3] = -1;
  later["schema"] = 2;
  json twice = results(kFast);
  twice["rows"].push_back(twice["rows"][0]);
  const struct {
    std::string text, complaint;
  } rows[] = {{"", "not valid JSON"},
              {results(kFast).dump().substr(0, 200), "not valid JSON"},
              {"[1]", "expected an object"},
              {std::string(200, '['), "nested deeper"},
              {foreign.dump(), "kind: expected results of bitnet-run"},
              {later.dump(), "schema: expected schema 1"},
              {wrong_unit.dump(), "rows[0].samples_ts: expected a list, found \"fast\""},
              {negative.dump(), "rows[0].samples_ts[3]: expected a number above 0, found -1"},
              {twice.dump(), "'cpu tg4: speed' twice"},
              {"{\"kind\":\"bitnet-run benchmark baseline\",\"schema\":1}", "key is missing"}};
  for (const auto& row : rows) {
    write_text(folder_ / "bad.json", row.text);
    for (const bool is_baseline : {false, true}) {
      const ProgramResult result = is_baseline ? analyze(fast, {"--baseline", folder_ / "bad.json"})
                                               : analyze(folder_ / "bad.json", {"--baseline", fast});
      EXPECT_EQ(result.exit_code, 2) << row.complaint << result;
      EXPECT_NE(result.err.find("bad.json"), std::string::npos) << result;
      EXPECT_NE(result.err.find(row.complaint), std::string::npos) << row.complaint << " in " << result;
      EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result;
    }
  }
  EXPECT_EQ(analyze(folder_ / "absent.json", {"--baseline", fast}).exit_code, 2);
  EXPECT_EQ(analyze("/dev/null", {"--baseline", fast}).exit_code, 2);
}

TEST_F(Analyze, SaysWhenTheBaselineCannotBeWritten) {
  write_text(folder_ / "file", "");
  const std::string fast = write("fast.json", results(kFast));
  const ProgramResult result = analyze(fast, {"--baseline", folder_ / "file/inside/", "--update"});
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_NE(result.err.find("cannot be created"), std::string::npos) << result;
  // Nothing half written stays behind when the name itself cannot be replaced.
  fs::create_directories(folder_ / "name.json/x");
  ASSERT_EQ(analyze(fast, {"--baseline", folder_ / "name.json", "--update"}).exit_code, 0) << "a folder holds baselines";
}

// The whole way: real results are what the gate reads.
TEST_F(Analyze, ReadsWhatBenchmarkWrites) {
  const ProgramResult run =
      run_program({"benchmark", "-p", "8", "-n", "4", "-r", "5", "-t", "1", "--backend", "cpu_portable", "-o", "json"});
  ASSERT_EQ(run.exit_code, 0) << run;
  write_text(folder_ / "real.json", run.out);
  const ProgramResult result = analyze(folder_ / "real.json", {"--update"});
  EXPECT_EQ(result.exit_code, 0) << result;
  for (const char* text : {"pp8 t1", "tg4 t1", ": speed", ": p95 between tokens", ": peak memory"}) {
    EXPECT_NE(result.out.find(text), std::string::npos) << text << " in " << result;
  }
  EXPECT_EQ(analyze(folder_ / "real.json").exit_code, 0);
}

}  // namespace
}  // namespace bitnet::test
