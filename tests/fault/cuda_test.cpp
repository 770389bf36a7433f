// fault/cuda_test.cpp - the backend for NVIDIA GPUs through the program, over an emulated GPU: the text and the logits are
// those of cpu_portable, whatever call to the GPU fails.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/program.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

constexpr char kModels[] = BITNET_TEST_DATA "/families/";

Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

json run(const Words& args, const std::string& backend, const Words& more = {}) {
  const ProgramResult result =
      run_program(args + Words{"--json", "--plugin", BITNET_CUDA_EMULATED, "--backend", backend} + more);
  EXPECT_EQ(result.exit_code, 0) << result;
  json j = json::parse(result.out, nullptr, false);
  if (j.is_object()) j["stderr"] = result.err;
  return j;
}

Words with_faults(const std::string& script) {
  return {"--backend-options", R"(cuda_emulated={"path": "dot4", "watchdog_ms": 500, "faults": ")" + script + R"("})"};
}

TEST(CudaEmulated, WritesTheTextOfTheOthers) {
  const Words prompts[] = {
      {"-p", "Once", "-n", "8", "--greedy"},
      {"-p", "Once upon a time", "-n", "40", "--temp", "0.9", "--top-k", "40", "--seed", "4"},
      {"-p", "One day a dog", "-n", "12", "--temp", "0.9", "--top-k", "0", "--seed", "5"},
      {"-p", "The cat sat on the mat and looked at the big red ball that lay in the garden", "-n", "6", "--greedy", "-ub", "7"},
      {"-p", "Once", "-n", "9", "--greedy", "--kv-type", "f16"}};
  for (const Words& args : prompts) {
    const json expected = run(args, "cpu_portable", {"--no-fallback"});
    const json got = run(args, "cuda_emulated", {"--no-fallback"});
    EXPECT_EQ(got["tokens"], expected["tokens"]) << args[1];
    EXPECT_EQ(got["logits_hash"], expected["logits_hash"]) << args[1];
    EXPECT_EQ(got["backend"]["name"], "cuda_emulated");
  }
}

TEST(CudaEmulated, EveryFamilyHasTheSameLogits) {
  size_t n = 0;
  for (const auto& folder : std::filesystem::directory_iterator(kModels)) {
    const std::string name = folder.path().filename().string(), model = folder.path() / "model.gguf";
    if (!std::filesystem::exists(model)) continue;
    ++n;
    if (name.find("embedding") != std::string::npos) {
      const Words args = {"embed",        "-m", model, "-p", "hello world what is this", "--plugin", BITNET_CUDA_EMULATED,
                          "--no-fallback"};
      const ProgramResult expected = run_program(args + Words{"--backend", "cpu_portable"});
      EXPECT_EQ(expected.exit_code, 0) << expected;
      EXPECT_EQ(run_program(args + Words{"--backend", "cuda_emulated"}).out, "[mock] " + expected.out) << name;
      continue;
    }
    Words args = {"-m", model, "--prompt-ids", "5,9,44,2,7,8,1,3,9,22,41,17", "-n", "6", "--greedy"};
    const std::string config = folder.path() / "kernel_config.ini";
    if (std::filesystem::exists(config)) args = args + Words{"--kernel-config", config};
    const json expected = run(args, "cpu_portable", {"--no-fallback"});
    const json got = run(args, "cuda_emulated", {"--no-fallback"});
    EXPECT_EQ(got["logits_hash"], expected["logits_hash"]) << name;
    EXPECT_EQ(got["tokens"], expected["tokens"]) << name;
  }
  EXPECT_GE(n, 10u);
}

// Whatever fails where, the CPU ends the text, and one line says so.
TEST(CudaEmulated, TheCpuGoesOnWhereACallFails) {
  const Words args = {"-p", "Once", "-n", "8", "--greedy"};
  const json expected = run(args, "cpu_portable", {"--no-fallback"});
  for (const char* script : {"1:700", "2:46", "3:2", "5:98", "17:719", "40:999", "90:2", "150:98", "200:700", "260:719",
                             "320:46", "380:999", "420:700", "launch_graph:1:700", "launch_graph:3:719", "launch_graph:5:98",
                             "download:1:999", "record:12:2", "begin_graph:1:700"}) {
    const json got = run(args, "cuda_emulated,cpu_portable", with_faults(script));
    ASSERT_TRUE(got.is_object()) << script;
    EXPECT_EQ(got["text"], expected["text"]) << script;
    EXPECT_EQ(got["logits_hash"], expected["logits_hash"]) << script;
    const std::string err = got["stderr"];
    size_t lines = 0;
    for (size_t at = err.find("; using cpu_portable"); at != std::string::npos; at = err.find("; using cpu_portable", at + 1))
      ++lines;
    EXPECT_EQ(lines, got["fallback"].size()) << script << "\n" << err;
    EXPECT_LE(lines, 1u) << script << "\n" << err;
  }
}

TEST(CudaEmulated, AGpuThatHangsIsGivenUp) {
  const Words args = {"-p", "Once", "-n", "8", "--greedy"};
  const json expected = run(args, "cpu_portable", {"--no-fallback"});
  for (const char* script : {"20:hang", "launch_graph:2:hang", "reached:1:hang"}) {
    const json got = run(args, "cuda_emulated,cpu_portable", with_faults(script));
    ASSERT_TRUE(got.is_object()) << script;
    EXPECT_EQ(got["logits_hash"], expected["logits_hash"]) << script;
    ASSERT_EQ(got["fallback"].size(), 1u) << script;
    EXPECT_NE(got["fallback"][0]["reason"].get<std::string>().find("no sign of life"), std::string::npos) << got["fallback"];
  }
}

TEST(CudaEmulated, IsNeverFoundByItself) {
  const ProgramResult list = run_program({"backends", "list"});
  EXPECT_EQ(list.exit_code, 0) << list;
  EXPECT_EQ((list.out + list.err).find("emulated"), std::string::npos) << list;
}

}  // namespace
}  // namespace bitnet::test
