// e2e/run_test.cpp - "bitnet-run -p TEXT": prompts, limits, outputs, signals, exit codes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

constexpr const char* kDefaultModel = BITNET_BINARY_DIR "/share/bitnet/models/story.gguf";

ProgramResult greedy(std::vector<std::string> args, const ProgramOptions& options = {}) {
  args.push_back("--greedy");
  return run_program(args, options);
}

TEST(Run, WritesAStoryWithTheDefaultModel) {
  const ProgramResult result = greedy({"-p", "Once upon a time", "-n", "64"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_GT(result.out.size(), 100u) << result;
  EXPECT_EQ(result.out.back(), '\n');
  EXPECT_EQ(result.err, "") << "nothing to say on a plain run";
}

TEST(Run, TakesThePromptFromTextFileAndStandardInput) {
  const TempFolder folder;
  write_text(folder / "prompt.txt", "One day");
  const std::string text = greedy({"-p", "One day", "-n", "12"}).out;
  EXPECT_GT(text.size(), 12u);
  EXPECT_EQ(greedy({"-f", folder / "prompt.txt", "-n", "12"}).out, text);
  EXPECT_EQ(greedy({"-f", "-", "-n", "12"}, {.stdin_text = "One day"}).out, text);
  EXPECT_EQ(greedy({"-n", "12"}, {.stdin_text = "One day"}).out, text);
  EXPECT_EQ(greedy({"run", "-p", "One day", "-n", "12"}).out, text);
}

TEST(Run, InferStopsAt32TokensAndSaysSo) {
  const ProgramResult result = greedy({"infer", "--prompt", "One day", "--deterministic", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(json::parse(result.out)["tokens"].size(), 32u);
  EXPECT_NE(result.err.find("default limit of 32 tokens"), std::string::npos) << result;
}

TEST(Run, JsonHoldsEveryPromisedField) {
  const ProgramResult result = greedy({"-p", "Once upon a time", "-n", "8", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const json j = json::parse(result.out);
  EXPECT_EQ(j["schema"], 1);
  EXPECT_EQ(j["tokens"].size(), 8u);
  EXPECT_EQ(j["finish_reason"], "length");
  EXPECT_EQ(j["usage"]["prompt_tokens"], 5);
  EXPECT_EQ(j["usage"]["completion_tokens"], 8);
  EXPECT_EQ(j["provider"], "real");
  for (const char* key : {"name", "device", "version"}) EXPECT_TRUE(j["backend"][key].is_string()) << key;
  EXPECT_TRUE(j["fallback"].empty());
  for (const char* key : {"file", "sha256", "architecture", "quantization"}) EXPECT_TRUE(j["model"][key].is_string()) << key;
  EXPECT_EQ(j["model"]["sha256"].get<std::string>().size(), 64u);
  double sum = 0;
  for (const char* key : {"tokenization", "loading", "quantization", "prefill", "decode", "output_generation", "other"}) {
    ASSERT_TRUE(j["timing"][key].is_number()) << key;
    sum += j["timing"][key].get<double>();
  }
  EXPECT_NEAR(sum, j["timing"]["total"].get<double>(), 1e-6);
  EXPECT_GT(j["timing"]["first_token"], 0.0);
  EXPECT_GE(j["timing"]["kernel_execution"].get<double>(), j["timing"]["decode"].get<double>() * 0.5);
  EXPECT_NEAR(j["throughput"]["output_tokens_per_sec"].get<double>(), 7 / j["timing"]["decode"].get<double>(), 1e-6);
  EXPECT_NEAR(j["throughput"]["input_tokens_per_sec"].get<double>(), 5 / j["timing"]["prefill"].get<double>(), 1e-6);
  EXPECT_GT(j["memory"]["peak_rss"], 1000000);
  EXPECT_EQ(j["logits_hash"].get<std::string>().rfind("sha256:", 0), 0u);
}

TEST(Run, WhatWasNotMeasuredIsNull) {
  const ProgramResult result = greedy({"-p", "Once", "-n", "1", "--json"});
  const json j = json::parse(result.out);
  EXPECT_TRUE(j["timing"]["decode"].is_null());
  EXPECT_TRUE(j["throughput"]["output_tokens_per_sec"].is_null());
  EXPECT_TRUE(j["memory"]["device"].is_null());
}

TEST(Run, SameSeedSameTextOtherSeedOtherText) {
  const auto sampled = [](const char* seed, const char* threads) {
    return run_program({"-p", "One day", "-n", "30", "--temp", "1", "--seed", seed, "-t", threads}).out;
  };
  const std::string text = sampled("5", "2");
  EXPECT_EQ(sampled("5", "1"), text);
  EXPECT_EQ(sampled("5", "3"), text);
  EXPECT_NE(sampled("6", "2"), text);
}

TEST(Run, StopStringEndsTheTextBeforeIt) {
  const std::string whole = greedy({"-p", "Once upon a time", "-n", "30"}).out;
  const size_t at = whole.find("named");
  ASSERT_NE(at, std::string::npos) << whole;
  const ProgramResult result = greedy({"-p", "Once upon a time", "-n", "30", "--stop", "named", "--json"});
  const json j = json::parse(result.out);
  EXPECT_EQ(j["text"], whole.substr(0, at));
  EXPECT_EQ(j["finish_reason"], "stop");
}

TEST(Run, EndsAtTheEndOfTheContext) {
  const ProgramResult result = greedy({"-p", "Once upon a time", "-n", "-1", "-c", "20", "--ignore-eos", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result;
  const json j = json::parse(result.out);
  EXPECT_EQ(j["usage"]["prompt_tokens"].get<int>() + j["tokens"].size(), 21u);  // the last token needs no position
  EXPECT_NE(result.err.find("context of 20 tokens is full"), std::string::npos) << result;
}

TEST(Run, PromptLongerThanTheContextIsAUsageErrorWithBothNumbers) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "Once upon a time ";
  const ProgramResult result = greedy({"-f", "-", "-n", "4"}, {.stdin_text = text});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find("512"), std::string::npos) << result;
  EXPECT_EQ(result.out, "");
}

TEST(Run, ContextBeyondTheModelsIsRefused) {
  const ProgramResult result = greedy({"-p", "x", "-c", "100000"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find("512"), std::string::npos) << result;
}

TEST(Run, PromptIdsOutsideTheVocabularyAreRefused) {
  const ProgramResult result = greedy({"--prompt-ids", "1,2,99999", "-n", "1"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find("99999"), std::string::npos) << result;
}

TEST(Run, EmptyPromptStartsFromBos) {
  const ProgramResult result = greedy({"-p", "", "-n", "10"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(result.out.rfind("Once upon a time", 0), 0u) << result;
}

TEST(Run, LogitsFileHasOneRowPerProcessedToken) {
  const TempFolder folder;
  const ProgramResult result = greedy({"-p", "Once upon a time", "-n", "4", "--logits-out", folder / "l.bin"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(read_numbers<float>(folder / "l.bin").size(), (5u + 3u) * 2048u);  // the last token is not processed
}

TEST(Run, LogitsFileThatCannotBeWrittenFailsAndLeavesNothing) {
  const TempFolder folder;
  const ProgramResult result = greedy({"-p", "Once", "-n", "2", "--logits-out", folder / "no/such/l.bin"});
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_NE(result.err.find("no/such/l.bin"), std::string::npos) << result;
  const ProgramResult cut = greedy({"-p", "Once", "-n", "40", "--backend", "mock", "--no-fallback", "--mock-mode", "faithful",
                                    "--mock-faults", "token@9=lost", "--logits-out", folder / "l.bin"});
  EXPECT_EQ(cut.exit_code, 4) << cut;
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "a partial file stayed behind";
}

TEST(Run, FullDiskOnStandardOutputIsAnError) {
  const ProgramResult result =
      run_program({"-c", std::string(BITNET_RUN) + " -p Once -n 8 --greedy > /dev/full"}, {.program = "/bin/sh"});
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_NE(result.err.find("standard output"), std::string::npos) << result;
}

TEST(Run, InterruptKeepsTheTextAndExits130) {
  const ProgramResult result = run_program({"-p", "Once", "-n", "400", "--ignore-eos", "--greedy", "--backend", "mock",
                                            "--no-fallback", "--mock-faults", "token=slow:30"},
                                           {.send_signal = 2, .send_after_bytes = 20});
  EXPECT_EQ(result.exit_code, 130) << result;
  EXPECT_GE(result.out.size(), 20u);
  EXPECT_EQ(result.out.back(), '\n');
  EXPECT_NE(result.err.find("stopped after"), std::string::npos) << result;
}

TEST(Run, TimeLimitExits124WithTheTextSoFar) {
  const ProgramResult result = run_program({"-p", "Once", "-n", "400", "--ignore-eos", "--backend", "mock", "--no-fallback",
                                            "--mock-faults", "token=slow:30", "--time-limit", "0.3"});
  EXPECT_EQ(result.exit_code, 124) << result;
  EXPECT_GT(result.out.size(), 10u);
  EXPECT_LT(result.seconds, 20.0);
}

TEST(Run, ModelPathComesFromTheEnvironmentUnlessGiven) {
  const ProgramResult missing = greedy({"-p", "Once", "-n", "2"}, {.env = {{"BITNET_MODEL_PATH", "/nonexistent/model.gguf"}}});
  EXPECT_EQ(missing.exit_code, 3) << missing;
  EXPECT_NE(missing.err.find("/nonexistent/model.gguf"), std::string::npos) << missing;
  const ProgramResult given =
      greedy({"-m", kDefaultModel, "-p", "Once", "-n", "2"}, {.env = {{"BITNET_MODEL_PATH", "/nonexistent/model.gguf"}}});
  EXPECT_EQ(given.exit_code, 0) << given;
}

TEST(Run, VerboseTellsTheChoices) {
  const ProgramResult result = greedy({"-p", "Once", "-n", "2", "-v"});
  for (const char* word : {"model ", "backend ", "tokens/s", "peak memory", "seed"}) {
    EXPECT_NE(result.err.find(word), std::string::npos) << word << result;
  }
}

TEST(Run, UnimplementedOptionsAndCommandsAreRefused) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"-p", "x", "--grammar", "root ::= x"}, {"serve"}, {"-p", "x", "--mirostat", "2"}}) {
    const ProgramResult result = run_program(args);
    EXPECT_EQ(result.exit_code, 2) << result;
    EXPECT_EQ(result.out, "");
  }
}

}  // namespace
}  // namespace bitnet::test
