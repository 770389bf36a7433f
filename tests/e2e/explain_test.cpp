// e2e/explain_test.cpp - "backends explain": the chain of decisions for a model, as text and as JSON, and that "run" follows
// it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

const std::string kPacked = std::string(BITNET_TEST_DATA) + "/story/story-tq2_0.gguf";

json explain(std::vector<std::string> more, const std::vector<std::pair<std::string, std::string>>& env = {}) {
  std::vector<std::string> args = {"backends", "explain"};
  args.insert(args.end(), more.begin(), more.end());
  args.push_back("--json");
  const ProgramResult result = run_program(args, {.env = env});
  EXPECT_EQ(result.exit_code, 0) << result;
  return json::parse(result.out, nullptr, false);
}

TEST(Explain, NamesEveryBackendWithVerdictReasonScoreAndAnswers) {
  const json j = explain({kPacked});
  EXPECT_EQ(j["quantization"], "TQ2_0");
  ASSERT_GE(j["chain"].size(), 1u);
  const json& first = j["chain"][0];
  EXPECT_EQ(first["verdict"], "chosen");
  for (const json& entry : j["chain"]) {
    EXPECT_TRUE(j["chain"].size() == 1 || entry["score"]["gb_per_second"] > 0) << entry;
    ASSERT_EQ(entry["weights"].size(), 4u) << entry;
    EXPECT_EQ(entry["weights"][0]["format"], "bn.t2");
    const bool packs = entry["backend"] == "cpu_avx2" || entry["backend"] == "cpu_avx512";
    EXPECT_EQ(entry["weights"][0]["answer"], packs ? "pack" : "native") << entry;
    EXPECT_EQ(entry["problem"], nullptr);
  }
  ASSERT_GE(j["left_out"].size(), 2u);
  EXPECT_EQ(j["left_out"][0]["backend"], "cuda");
  EXPECT_TRUE(j["left_out"][0]["reason"].get<std::string>().starts_with("not "))
      << j["left_out"][0];  // installed, or supported
  EXPECT_EQ(j["left_out"][0]["asked"], false);
}

TEST(Explain, RunUsesWhatIsExplained) {
  const TempFolder cache;  // so that both see the same scores
  const std::vector<std::pair<std::string, std::string>> env = {{"XDG_CACHE_HOME", cache.path().string()}};
  const json j = explain({}, env);
  const ProgramResult result = run_program({"-p", "Once", "-n", "2", "--greedy", "--json", "-v"}, {.env = env});
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(json::parse(result.out)["backend"]["name"], j["chain"][0]["backend"]);
  EXPECT_EQ(explain({}, env)["chain"], j["chain"]) << "remembered, not measured again";
}

TEST(Explain, TextShowsOneLineEach) {
  const ProgramResult result = run_program({"backends", "explain", kPacked, "--backend", "mock,cpu_portable"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.out.find("1. mock 0.1.0 on device mock: chosen (named)"), std::string::npos) << result;
  EXPECT_NE(result.out.find("2. cpu_portable 0.1.0 on device cpu: waiting (named)"), std::string::npos) << result;
  EXPECT_NE(result.out.find("256x768 bn.t2 (4 of them): native"), std::string::npos) << result;
  EXPECT_EQ(result.out.find("GB/s"), std::string::npos) << "nothing to measure: the user has decided" << result;
}

TEST(Explain, WrongCallsAreUsageErrors) {
  EXPECT_EQ(run_program({"backends", "explain", kPacked, kPacked}).exit_code, 2);
  EXPECT_EQ(run_program({"backends", "explain", kPacked, "--backend", "tpu"}).exit_code, 2);
  EXPECT_EQ(run_program({"backends", "explain", "--list-devices"}).exit_code, 2);
  EXPECT_EQ(run_program({"backends", "explain", "/nonexistent.gguf"}).exit_code, 3);
  const ProgramResult list = run_program({"backends", "list", "--backend", "cuda"});
  EXPECT_EQ(list.exit_code, 2) << list;
  EXPECT_NE(list.err.find("--backend has an effect only on 'backends explain MODEL' and 'run'"), std::string::npos) << list;
}

}  // namespace
}  // namespace bitnet::test
