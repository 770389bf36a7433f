// tests/unit/cli/benchmark_options_test.cpp - "benchmark" and "analyze-performance": lists, ranges, aliases, contradictions.
#include "parse.h"

namespace bitnet::cli {
namespace {

BenchmarkOptions parse_benchmark(std::vector<std::string> arguments, const Variables& variables = {}) {
  arguments.insert(arguments.begin(), "benchmark");
  return std::get<BenchmarkOptions>(parse(arguments, variables).command);
}

AnalyzeOptions parse_analyze(std::vector<std::string> arguments, const Variables& variables = {}) {
  arguments.insert(arguments.begin(), "analyze-performance");
  return std::get<AnalyzeOptions>(parse(arguments, variables).command);
}

using Counts = std::vector<uint32_t>;

TEST(BenchmarkOptions, DefaultsAreThoseOfLlamaBench) {
  const BenchmarkOptions o = parse_benchmark({});
  EXPECT_EQ(o.n_prompt, Counts{512});
  EXPECT_EQ(o.n_gen, Counts{128});
  EXPECT_EQ(o.n_depth, Counts{0});
  EXPECT_EQ(o.batch_size, Counts{2048});
  EXPECT_EQ(o.ubatch_size, Counts{512});
  EXPECT_EQ(o.threads, Counts{0});
  EXPECT_EQ(o.repetitions, 5u);
  EXPECT_TRUE(o.warm_up);
  EXPECT_EQ(o.format, ResultsFormat::kMarkdown);
  EXPECT_EQ(o.format_err, ResultsFormat::kNone);
  EXPECT_TRUE(o.prompt_gen.empty());
  EXPECT_FALSE(o.model);
}

TEST(BenchmarkOptions, ListsAndRanges) {
  const struct {
    const char* text;
    Counts counts;
  } rows[] = {
      {"7", {7}},         {"1,2,4", {1, 2, 4}},           {"1-4", {1, 2, 3, 4}}, {"1-8+3", {1, 4, 7}}, {"1-8*2", {1, 2, 4, 8}},
      {"0-2", {0, 1, 2}}, {"16,1-3,0", {16, 1, 2, 3, 0}}, {"5-5*7", {5}}};
  for (const auto& row : rows) EXPECT_EQ(parse_benchmark({"-p", row.text}).n_prompt, row.counts) << row.text;
  EXPECT_EQ(parse_benchmark({"-t", "1-4*2"}).threads, (Counts{1, 2, 4}));
  EXPECT_EQ(parse_benchmark({"-b", "64,128", "-ub", "32"}).batch_size, (Counts{64, 128}));
}

TEST(BenchmarkOptions, BadListsNameTheOptionAndTheText) {
  for (const char* text :
       {"", "x", "1,", ",1", "-1", "4-1", "0-8*2", "1-8*1", "1-8+0", "1-8*", "1--8", "1.5", "99999999999", "1 2", "1-8+2*2"}) {
    const std::string message = refusal({"benchmark", "-p", text});
    EXPECT_TRUE(message.starts_with("-p: expected numbers from 0 to ")) << text << ": " << message;
    EXPECT_CONTAINS(message, std::string("found '") + text + "'");
  }
  EXPECT_CONTAINS(refusal({"benchmark", "-p", "1-1000"}), "at most 64 numbers");
  EXPECT_CONTAINS(refusal({"benchmark", "-b", "0"}), "-b: expected numbers from 1 ");
  EXPECT_CONTAINS(refusal({"benchmark", "-t", "5000"}), "-t: expected numbers from 0 to 1024");
  EXPECT_CONTAINS(refusal({"benchmark", "-ctk", "q8_0"}), "expected f32, f16 or both, found 'q8_0'");
}

TEST(BenchmarkOptions, PromptAndGeneratePairs) {
  const BenchmarkOptions o = parse_benchmark({"-p", "0", "-n", "0", "-pg", "16,4", "-pg", "8,2"});
  ASSERT_EQ(o.prompt_gen.size(), 2u);
  EXPECT_EQ(o.prompt_gen[1].prompt, 8u);
  EXPECT_EQ(o.prompt_gen[1].generate, 2u);
  EXPECT_CONTAINS(refusal({"benchmark", "-pg", "16"}), "expected P,G");
  EXPECT_CONTAINS(refusal({"benchmark", "-pg", "16,0"}), "from 1 to");
}

TEST(BenchmarkOptions, AliasesOfOtherPrograms) {
  const BenchmarkOptions o =
      parse_benchmark({"--tokens", "9", "--prompt-tokens", "11", "--repeat", "7", "--warmup", "--json-output"});
  EXPECT_EQ(o.n_gen, Counts{9});
  EXPECT_EQ(o.n_prompt, Counts{11});
  EXPECT_EQ(o.repetitions, 7u);
  EXPECT_TRUE(o.warm_up);
  EXPECT_EQ(o.format, ResultsFormat::kJson);
  EXPECT_FALSE(parse_benchmark({"--no-warmup"}).warm_up);
  EXPECT_EQ(parse_benchmark({"-o", "jsonl", "-oe", "md"}).format_err, ResultsFormat::kMarkdown);
}

TEST(BenchmarkOptions, ContradictionsAreRefused) {
  EXPECT_CONTAINS(refusal({"benchmark", "-p", "0", "-n", "0"}), "nothing to measure");
  EXPECT_CONTAINS(refusal({"benchmark", "--warmup", "--no-warmup"}), "give one");
  EXPECT_CONTAINS(refusal({"benchmark", "--json", "-o", "csv"}), "give one");
  EXPECT_CONTAINS(refusal({"benchmark", "--preset", "ac10", "-p", "5"}), "give one");
  EXPECT_CONTAINS(refusal({"benchmark", "--preset", "ac10", "--backend", "cpu_avx2"}), "give one");
  EXPECT_CONTAINS(refusal({"benchmark", "-o", "sql"}), "expected one of md, csv, json, jsonl");
  EXPECT_CONTAINS(refusal({"benchmark", "-r", "0"}), "from 1 to 1000");
  EXPECT_CONTAINS(refusal({"benchmark", "stray"}), "unexpected argument 'stray'");
  EXPECT_CONTAINS(refusal({"benchmark", "--seed", "1"}), "not an option of 'benchmark'");
}

TEST(BenchmarkOptions, ThePresetHasTheLengthsOfAc10) {
  const BenchmarkOptions o = parse_benchmark({"--preset", "ac10"});
  EXPECT_TRUE(o.ac10);
  EXPECT_EQ(o.n_prompt, (Counts{10, 50, 100, 200}));
}

TEST(BenchmarkOptions, TheModelComesFromTheEnvironmentToo) {
  EXPECT_EQ(parse_benchmark({}, {{"BITNET_MODEL_PATH", "m.gguf"}}).model, "m.gguf");
}

TEST(AnalyzeOptions, ResultsBaselineAndThreshold) {
  const AnalyzeOptions o =
      parse_analyze({"--results", "a", "--results", "b", "--baseline", "c", "--update", "--format", "junit"});
  EXPECT_EQ(o.results, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(o.baseline, "c");
  EXPECT_FALSE(o.baseline_is_folder);
  EXPECT_EQ(o.threshold, 0.05);
  EXPECT_TRUE(o.update);
  EXPECT_EQ(o.format, ReportFormat::kJUnit);
}

TEST(AnalyzeOptions, TheFolderOfBaselinesComesFromTheEnvironment) {
  const Variables variables = {{"BITNET_BASELINE_DIR", "/base"}};
  EXPECT_EQ(parse_analyze({"--results", "a"}, variables).baseline, "/base");
  EXPECT_TRUE(parse_analyze({"--results", "a"}, variables).baseline_is_folder);
  EXPECT_FALSE(parse_analyze({"--results", "a", "--baseline", "c"}, variables).baseline_is_folder);
}

TEST(AnalyzeOptions, NeedsResultsAndABaseline) {
  EXPECT_CONTAINS(refusal({"analyze-performance", "--baseline", "c"}), "no results");
  EXPECT_CONTAINS(refusal({"analyze-performance", "--results", "a"}), "BITNET_BASELINE_DIR");
  EXPECT_CONTAINS(refusal({"analyze-performance", "--results", "a", "--baseline", "b", "--threshold", "-1"}), "from 0 to 10");
}

}  // namespace
}  // namespace bitnet::cli
