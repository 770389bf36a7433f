// e2e/backends_test.cpp - "backends list": what it shows, and plugin files that must cost one line and nothing else.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

const json* find_plugin(const json& list, const std::string& name) {
  for (const json& plugin : list["plugins"]) {
    if (plugin["name"] == name) return &plugin;
  }
  return nullptr;
}

TEST(Backends, ListNamesEveryPlugin) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"backends", "list"}, {"--list-backends"}, {"plugins"}}) {
    const ProgramResult result = run_program(args);
    EXPECT_EQ(result.exit_code, 0) << result;
    for (const char* name : {"cpu_avx2", "cpu_portable", "mock", "native", "exact-1", "bn_cpu_portable.so"}) {
      EXPECT_NE(result.out.find(name), std::string::npos) << name << result;
    }
  }
}

TEST(Backends, JsonNamesPathDevicesAndFormats) {
  const ProgramResult result = run_program({"backends", "list", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const json list = json::parse(result.out);
  const json* portable = find_plugin(list, "cpu_portable");
  ASSERT_NE(portable, nullptr) << list;
  EXPECT_EQ((*portable)["path"].get<std::string>().front(), '/');
  EXPECT_EQ((*portable)["devices"].size(), 1u);
}

TEST(Backends, FaultyFilesCostOneLineEach) {
  const TempFolder folder;
  const std::string real = read_text(std::string(BITNET_PLUGIN_DIR) + "/bn_cpu_portable.so");
  write_text(folder / "bn_empty.so", "");
  write_text(folder / "bn_text.so", "not a library\n");
  write_text(folder / "bn_cut.so", real.substr(0, real.size() / 2));
  std::string other_machine = real;
  other_machine[18] = 0x28;  // e_machine: 32-bit Arm
  write_text(folder / "bn_arm.so", other_machine);
  const ProgramResult list = run_program({"backends", "list", "--plugin-dir", folder.path().string(), "--json"});
  ASSERT_EQ(list.exit_code, 0) << list;
  const json j = json::parse(list.out);
  for (const char* name : {"empty", "text", "cut", "arm"}) {
    const json* plugin = find_plugin(j, name);
    ASSERT_NE(plugin, nullptr) << name << j;
    EXPECT_FALSE((*plugin)["reason"].get<std::string>().empty()) << name;
  }
  const std::string reason = (*find_plugin(j, "arm"))["reason"].get<std::string>();
  EXPECT_NE(reason.find("made for another machine (ELF machine 40; this one is "), std::string::npos) << reason;
  const ProgramResult run = run_program({"-p", "Once", "-n", "3", "--greedy", "--plugin-dir", folder.path().string()});
  EXPECT_EQ(run.exit_code, 0) << run;
}

TEST(Backends, UnknownNameIsAUsageErrorThatListsTheKnown) {
  const ProgramResult result = run_program({"-p", "Once", "--backend", "tpu"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find("cpu_portable"), std::string::npos) << result;
}

TEST(Backends, AnAbsentNamedOneIsToldAndReplaced) {
  const ProgramResult result = run_program({"-p", "Once", "-n", "3", "--greedy", "--backend", "cuda", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.err.find("backend cuda: not usable (not "), std::string::npos) << result;  // installed, or supported here
  EXPECT_EQ(json::parse(result.out)["fallback"][0]["from"], "cuda");
  EXPECT_EQ(run_program({"-p", "Once", "-n", "3", "--backend", "cuda", "--strict"}).exit_code, 4);
}

struct RefusedOption {
  const char *name, *backend, *options, *message;
  friend std::ostream& operator<<(std::ostream& out, const RefusedOption& o) { return out << o.name; }
};
class Options : public testing::TestWithParam<RefusedOption> {};

// What is asked of a plugin in its own words, and cannot be had, is an error that says so, whatever else could run.
TEST_P(Options, ThatAPluginRefusesAreNamed) {
  const RefusedOption& c = GetParam();
  const ProgramResult result = run_program(
      {"-p", "Once", "-n", "1", "--backend", c.backend, "--backend-options", std::string(c.backend) + "=" + c.options});
  if (result.err.find("this CPU lacks") != std::string::npos) GTEST_SKIP() << "this CPU cannot run " << c.backend << " so";
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find(c.message), std::string::npos) << result;
}

INSTANTIATE_TEST_SUITE_P(Backends, Options,
                         testing::Values(RefusedOption{"isa", "cpu_avx2", R"({"isa": "avx3"})",
                                                       R"(option isa: expected "avx2" or "avx2_vnni", found: {"isa": "avx3"})"},
                                         RefusedOption{
                                             "weights", "cpu_avx512", R"({"weights": "small"})",
                                             R"(option weights: expected "packed" or "in_place", found: {"weights": "small"})"},
                                         RefusedOption{"prompts", "cpu_avx512", R"({"prompts": 3})",
                                                       R"(option prompts: expected "tables" or "dots", found: {"prompts": 3})"},
                                         RefusedOption{"both", "cpu_avx512", R"({"weights": "packed", "prompts": "dots"})",
                                                       R"(options weights and prompts: "packed" goes with "tables" only)"}),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(Backends, StrictAloneTakesTheBestOfThisMachine) {
  const ProgramResult result = run_program({"-p", "Once", "-n", "3", "--greedy", "--strict"});
  EXPECT_EQ(result.exit_code, 0) << result;
}

TEST(Backends, WithoutAnyPluginFileTheBuiltInOneWritesTheSameText) {
  const TempFolder folder;  // a program without plugins beside it
  std::filesystem::create_directories(folder.path() / "bin");
  std::filesystem::copy(BITNET_RUN, folder.path() / "bin/bitnet-run");
  const std::vector<std::string> args = {
      "-m", BITNET_BINARY_DIR "/share/bitnet/models/story.gguf", "-p", "Once", "-n", "12", "--greedy", "--json"};
  const ProgramResult result = run_program(args, {.program = (folder.path() / "bin/bitnet-run").string()});
  ASSERT_EQ(result.exit_code, 0) << result;
  const json j = json::parse(result.out);
  EXPECT_EQ(j["backend"]["name"], "cpu_portable");
  EXPECT_EQ(j["backend"]["path"], "(built in)");
  EXPECT_EQ(j["logits_hash"], json::parse(run_program(args).out)["logits_hash"]);
}

}  // namespace
}  // namespace bitnet::test
