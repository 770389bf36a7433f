// fault/plugin_check_test.cpp - bitnet-plugin-check as a program: exit codes, reports, options, files that are no plugins.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

const std::string kCorrect = BITNET_MUTANTS "/bn_boundary_none.so";
const std::string kDefective = BITNET_MUTANTS "/bn_boundary_says_nothing.so";

test::ProgramResult run(std::vector<std::string> args) {
  test::ProgramOptions options;
  options.program = BITNET_PLUGIN_CHECK;
  return test::run_program(args, options);
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(PluginCheck, LastLineCounts) {
  const test::ProgramResult r = run({"--filter", "static", kCorrect});
  EXPECT_EQ(r.exit_code, 0) << r;
  // In a sanitizer's build two of them do not apply: its runtime has constructors and data of its own.
  const bool all = r.out.ends_with("\n6 passed, 0 failed, 0 not applicable\n");
  const bool sanitized = r.out.ends_with("\n4 passed, 0 failed, 2 not applicable\n");
  EXPECT_TRUE(all || (sanitized && r.out.find("instrumented by a sanitizer") != std::string::npos)) << r;
}

TEST(PluginCheck, WhatDoesNotApplyIsCountedApart) {
  const test::ProgramResult r = run({"--filter", "engine.cancel", kCorrect});
  EXPECT_EQ(r.exit_code, 0) << r;
  EXPECT_TRUE(contains(r.out, "n/a   engine.cancel")) << r;
  EXPECT_TRUE(r.out.ends_with("\n0 passed, 0 failed, 1 not applicable\n")) << r;
}

TEST(PluginCheck, FailureQuotesRule) {
  const test::ProgramResult r = run({"--filter", "load.devices", kDefective});
  EXPECT_EQ(r.exit_code, 1) << r;
  EXPECT_TRUE(contains(r.out, "FAIL  load.devices")) << r;
  EXPECT_TRUE(contains(r.out, "rule: plugin.h, enumerate:")) << r;
  EXPECT_TRUE(contains(r.out, "in:   index 1")) << r;
}

TEST(PluginCheck, RunsOneTestInItsOwnProcess) {
  EXPECT_EQ(run({"--run", "load.devices", kCorrect}).exit_code, 0);
  EXPECT_EQ(run({"--run", "load.devices", kDefective}).exit_code, 1);
}

TEST(PluginCheck, ListNeedsNoPlugin) {
  const test::ProgramResult r = run({"--list", "--filter", "static.*"});
  EXPECT_EQ(r.exit_code, 0) << r;
  EXPECT_TRUE(contains(r.out, "static.one_export")) << r;
  EXPECT_FALSE(contains(r.out, "matmul")) << r;
}

TEST(PluginCheck, JunitReportInAFile) {
  const test::TempFolder folder;
  const std::string file = (folder.path() / "report.xml").string();
  EXPECT_EQ(run({"--format=junit", "--output", file, "--filter", "load", kDefective}).exit_code, 1);
  std::ifstream in(file);
  const std::string xml((std::istreambuf_iterator<char>(in)), {});
  EXPECT_TRUE(xml.starts_with("<?xml")) << xml;
  EXPECT_TRUE(contains(xml, "<testcase classname=\"load\" name=\"devices\"")) << xml;
  EXPECT_TRUE(contains(xml, "failures=\"1\"")) << xml;
  EXPECT_TRUE(xml.ends_with("</testsuites>\n")) << xml;
}

TEST(PluginCheck, Fingerprint) {
  const test::ProgramResult r = run({"--fingerprint", kCorrect});
  EXPECT_EQ(r.exit_code, 0) << r;
  EXPECT_EQ(r.out, "f55dea1e42161a48d8a7f0c0f5b8b330  bn.t2, read in place\n");
}

TEST(PluginCheck, WrongUseIsTwo) {
  for (const std::vector<std::string>& args : {std::vector<std::string>{},
                                               {"--what", kCorrect},
                                               {"--seed", "x", kCorrect},
                                               {"--timeout", "0", kCorrect},
                                               {"--format", "yaml", kCorrect},
                                               {"--filter", "nothing.*", kCorrect},
                                               {"--run", "nothing", kCorrect},
                                               {kCorrect, kCorrect},
                                               {"--output", "/no/such/folder/x", "--filter", "static", kCorrect}}) {
    const test::ProgramResult r = run(args);
    EXPECT_EQ(r.exit_code, 2) << r;
    EXPECT_TRUE(r.err.starts_with("bitnet-plugin-check: ")) << r;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r;
  }
}

TEST(PluginCheck, WhatIsNoSharedLibraryIsThree) {
  const test::TempFolder folder;
  const auto write = [&](const char* name, const std::string& content) {
    const std::string path = (folder.path() / name).string();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  };
  std::ifstream in(kCorrect, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  std::string other_machine = whole;
  other_machine[18] = '\xF3', other_machine[19] = '\0';
  std::string object_file = whole;
  object_file[16] = 1;
  for (const std::string& path : {std::string("/no/such/file.so"), write("empty.so", ""), write("text.so", "hello"),
                                  write("cut.so", whole.substr(0, 600)), write("machine.so", other_machine),
                                  write("object.so", object_file), folder.path().string()}) {
    const test::ProgramResult r = run({path});
    EXPECT_EQ(r.exit_code, 3) << path << r;
    EXPECT_TRUE(contains(r.err, path)) << r;
  }
}

// Same data for the same seed, and a seed of one's own changes nothing for a correct plugin.
TEST(PluginCheck, OtherSeedsPassToo) {
  for (const char* seed : {"2", "12345678901"}) {
    if (BITNET_SANITIZED) {  // the code is that of the usual seed
      EXPECT_EQ(run({"--seed", seed, "--filter", "glu", kCorrect}).exit_code, 0) << seed;
      continue;
    }
    EXPECT_EQ(run({"--seed", seed, "--filter", "norm", "--filter", "dense", "--filter", "glu", kCorrect}).exit_code, 0) << seed;
  }
}

}  // namespace
}  // namespace bitnet
