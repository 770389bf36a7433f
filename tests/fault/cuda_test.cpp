// fault/cuda_test.cpp - the backend for NVIDIA GPUs through the program, over an emulated GPU: the text and the logits are
// those of cpu_portable, whatever call to the GPU fails; with fast numerics they are near, and the program says so.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/program.h"
#include "support/temp_folder.h"

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

// ------------------------------------------------------------------------------------------------- fast numerics

const Words kFast = {"--backend-options", R"(cuda_emulated={"path": "dot4", "numerics": "fast"})"};

TEST(CudaEmulated, FastNumericsAreTold) {
  const Words args = {"-p", "Once upon a time", "-n", "12", "--greedy"};
  const json exact = run(args, "cuda_emulated", {"--no-fallback"});
  EXPECT_EQ(exact["backend"]["numerics"], "exact-1");
  EXPECT_TRUE(exact["backend"]["tolerance"].is_null());
  EXPECT_EQ(exact["stderr"].get<std::string>().find("approximate"), std::string::npos);
  const json fast = run(args, "cuda_emulated", kFast + Words{"--no-fallback"});
  EXPECT_EQ(fast["backend"]["numerics"], "approx-1");
  EXPECT_GT(fast["backend"]["tolerance"], 0.0);
  EXPECT_NE(fast["stderr"].get<std::string>().find("backend cuda_emulated: results are approximate (approx-1, logits within"),
            std::string::npos)
      << fast["stderr"];
  EXPECT_EQ(fast["tokens"].size(), 12u);
}

TEST(CudaEmulated, DeterministicRefusesFastNumerics) {
  const Words args = {"-p", "Once upon a time", "-n", "5", "--greedy", "--deterministic"};
  const json got = run(args, "cuda_emulated,cpu_portable", kFast);
  EXPECT_EQ(got["backend"]["name"], "cpu_portable");
  ASSERT_EQ(got["fallback"].size(), 1u);
  EXPECT_EQ(got["fallback"][0]["reason"], "is not exact-1 with its options, and --deterministic asks for it");
  EXPECT_EQ(got["fallback"][0]["text_may_differ"], false);
}

// The CPU goes on behind what was committed, as from any text; that the rest is of other numbers is said.
TEST(CudaEmulated, WhereFastNumericsEndInTheMiddleIsTold) {
  const Words prompt = {"--prompt-ids", "5,9,44,2,7,8,1,3,9,22,41,17"};
  const std::string fast_and_lost =
      R"(cuda_emulated={"path": "dot4", "numerics": "fast", "watchdog_ms": 500, "faults": "launch_graph:6:700"})";
  const json got =
      run(prompt + Words{"-n", "20", "--greedy"}, "cuda_emulated,cpu_portable", {"--backend-options", fast_and_lost});
  ASSERT_EQ(got["fallback"].size(), 1u);
  EXPECT_EQ(got["fallback"][0]["text_may_differ"], true);
  EXPECT_EQ(got["backend"]["numerics"], "exact-1");
  EXPECT_NE(got["stderr"].get<std::string>().find(
                "the text may differ from here: cuda_emulated is approx-1, cpu_portable is exact-1"),
            std::string::npos)
      << got["stderr"];
  const size_t at = got["fallback"][0]["at_token"];
  ASSERT_TRUE(at > 0 && at < 20) << at;
  std::string ids = prompt[1];
  for (size_t i = 0; i < at; ++i) ids += "," + std::to_string(got["tokens"][i].get<int>());
  const json rest = run({"--prompt-ids", ids, "-n", std::to_string(20 - at), "--greedy"}, "cpu_portable");
  ASSERT_EQ(got["tokens"].size(), 20u);
  for (size_t i = at; i < 20; ++i) EXPECT_EQ(got["tokens"][i], rest["tokens"][i - at]) << i;
}

// What cpu_portable and the emulated GPU make of the same tokens: the largest relative L2 error of a row of logits.
class FastError {
 public:
  double of(const Words& args, const std::string& name) {
    const std::vector<float> exact = logits(args, "cpu_portable", {}), fast = logits(args, "cuda_emulated", kFast);
    EXPECT_EQ(exact.size(), fast.size()) << name;
    const size_t row = n_vocab_;
    double worst = 0;
    for (size_t at = 0; row != 0 && at + row <= std::min(exact.size(), fast.size()); at += row) {
      double error = 0, size = 0;
      for (size_t i = at; i < at + row; ++i) {
        const double want = static_cast<double>(exact[i]), difference = static_cast<double>(fast[i]) - want;
        error += difference * difference;
        size += want * want;
      }
      worst = std::max(worst, std::sqrt(error / size));
    }
    std::printf("  %-28s %zu rows, largest error %.3g\n", name.c_str(), row == 0 ? 0 : exact.size() / row, worst);
    return worst;
  }
  double tolerance() const { return tolerance_; }

 private:
  std::vector<float> logits(const Words& args, const std::string& backend, const Words& more) {
    const TempFolder folder;
    const std::string file = folder / "logits";
    const json j = run(args + Words{"--logits-out", file, "--no-fallback", "--greedy", "-n", "1"}, backend, more);
    n_vocab_ = j["model"]["n_vocab"];
    if (j["backend"]["tolerance"].is_number()) tolerance_ = j["backend"]["tolerance"];
    std::ifstream in(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    std::vector<float> rows(bytes.size() / sizeof(float));
    std::memcpy(rows.data(), bytes.data(), rows.size() * sizeof(float));
    return rows;
  }

  size_t n_vocab_ = 0;
  double tolerance_ = 0;
};

// n token ids below n_vocab, mixed.
std::string some_ids(uint32_t n, uint32_t n_vocab, uint32_t seed) {
  std::string ids;
  for (uint32_t i = 0; i < n; ++i) ids += (i == 0 ? "" : ",") + std::to_string((seed + i) * 2654435761u % n_vocab);
  return ids;
}

// Measures what the README says, and what engine/table.h declares with a margin. -ub 1: every token by the kernels of decode.
TEST(CudaEmulated, FastNumericsAreWithinTheirTolerance) {
  FastError error;
  double worst = 0;
  for (const auto& folder : std::filesystem::directory_iterator(kModels)) {
    const std::string name = folder.path().filename().string(), model = folder.path() / "model.gguf";
    if (!std::filesystem::exists(model) || name.find("embedding") != std::string::npos) continue;
    Words args = {"-m", model, "--prompt-ids", some_ids(60, 60, 7)};
    const std::string config = folder.path() / "kernel_config.ini";
    if (std::filesystem::exists(config)) args = args + Words{"--kernel-config", config};
    for (const char* batch : {"1", "64"}) worst = std::max(worst, error.of(args + Words{"-ub", batch}, name + " -ub " + batch));
  }
  for (const uint32_t seed : {1u, 2u, 3u}) {
    const Words args = {"--prompt-ids", some_ids(100, 500, seed)};
    worst = std::max(worst, error.of(args + Words{"-ub", "1"}, "story, mixed tokens"));
  }
  worst = std::max(worst, error.of({"--prompt-ids", some_ids(240, 500, 4), "-ub", "128"}, "story, 240 tokens"));
  std::printf("  largest of all %.3g, declared %.3g\n", worst, error.tolerance());
  EXPECT_GT(worst, 0.0);
  EXPECT_LT(2 * worst, error.tolerance());
}

TEST(CudaEmulated, IsNeverFoundByItself) {
  const ProgramResult list = run_program({"backends", "list"});
  EXPECT_EQ(list.exit_code, 0) << list;
  EXPECT_EQ((list.out + list.err).find("emulated"), std::string::npos) << list;
}

}  // namespace
}  // namespace bitnet::test
