// install/sdk_tutorial_test.cpp - runs every command of the tutorial in sdk/README.md, as a stranger would: in an empty home,
// with the installed package alone. A tutorial that no longer works fails here.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <set>
#include <sstream>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

// The fenced blocks of a Markdown file whose info string is one of `infos`, one after the other.
std::string blocks(const std::string& markdown, const std::set<std::string>& infos) {
  std::istringstream lines(markdown);
  std::string script;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "```") inside = false;
    if (inside) script += line + "\n";
    if (!inside && line.rfind("```", 0) == 0) inside = infos.count(line.substr(3)) != 0;
  }
  return script;
}

// The step for AVX2 only where there is AVX2.
std::set<std::string> tutorial_infos() {
  if (read_text("/proc/cpuinfo").find("avx2") != std::string::npos) return {"sh tutorial", "sh tutorial avx2"};
  std::cout << "not checked: the tutorial's step for AVX2 (this CPU has none)\n";
  return {"sh tutorial"};
}

class SdkTutorial : public testing::Test {
 protected:
  SdkTutorial() {
    std::filesystem::create_directory(folder_ / "home");
    std::filesystem::create_directory(folder_ / "ours");
    std::filesystem::create_directory_symlink(BITNET_BINARY_DIR, folder_ / "ours/build");
  }

  // Stops at the first command that fails; -x shows which.
  ProgramResult shell(const std::string& script, const std::string& directory) const {
    return run_program({"-exuo", "pipefail", "-c", script}, {.program = "bash",
                                                             .env = {{"HOME", folder_ / "home"}, {"CMAKE_GENERATOR", "Ninja"}},
                                                             .directory = directory,
                                                             .timeout = 300});
  }

  const std::string readme_ = read_text(BITNET_SOURCE_DIR "/sdk/README.md");
  TempFolder folder_;
};

TEST_F(SdkTutorial, EveryCommandWorksInOrder) {
  const std::string install = blocks(readme_, {"sh install"}), steps = blocks(readme_, tutorial_infos());
  ASSERT_NE(install.find("--component sdk"), std::string::npos);
  ASSERT_NE(steps.find("bitnet-run"), std::string::npos);
  const ProgramResult installed = shell(install, folder_ / "ours");
  ASSERT_EQ(installed.exit_code, 0) << installed;
  const ProgramResult result = shell(steps, folder_ / "home");
  EXPECT_EQ(result.exit_code, 0) << result;
}

// A block of commands that no test runs would be the first to rot.
TEST_F(SdkTutorial, HasNoUntestedCommands) {
  for (const char* info : {"sh", "bash", "shell", "console"}) EXPECT_EQ(blocks(readme_, {info}), "") << info;
}

}  // namespace
}  // namespace bitnet::test
