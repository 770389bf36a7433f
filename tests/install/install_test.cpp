// install/install_test.cpp - installs into an empty prefix, moves it, and writes a story with what is there.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

TEST(Install, TheInstalledProgramFindsItsPluginsAndModelAnywhere) {
  const TempFolder folder;
  const ProgramResult install = run_program(
      {"--install", BITNET_BINARY_DIR, "--prefix", folder / "first", "--component", "runtime"}, {.program = BITNET_CMAKE});
  ASSERT_EQ(install.exit_code, 0) << install;
  std::filesystem::rename(folder / "first", folder / "second");
  const std::string program = folder / "second/bin/bitnet-run";
  ASSERT_TRUE(std::filesystem::exists(program)) << install;
  EXPECT_TRUE(std::filesystem::exists(folder / "second/libexec/bitnet/bn_probe")) << "plugins cannot be tried";

  const ProgramResult run =
      run_program({"-p", "Once upon a time", "-n", "30", "--greedy", "--json"}, {.program = program, .directory = "/"});
  ASSERT_EQ(run.exit_code, 0) << run;
  const json j = json::parse(run.out);
  EXPECT_EQ(j["model"]["file"], (folder.path() / "second/share/bitnet/models/story.gguf").string());
  const std::string plugin = j["backend"]["path"];
  EXPECT_EQ(plugin.rfind((folder.path() / "second/lib/bitnet/plugins/").string(), 0), 0u) << plugin;

  const ProgramResult built = run_program({"-p", "Once upon a time", "-n", "30", "--greedy", "--json"});
  EXPECT_EQ(json::parse(built.out)["text"], j["text"]);
  EXPECT_EQ(json::parse(built.out)["logits_hash"], j["logits_hash"]);
}

}  // namespace
}  // namespace bitnet::test
