// unit/bench/end_to_end_test.cpp - what the benchmark counts, and that its report is complete and honest.
#include "end_to_end.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/program.h"
#include "support/temp_folder.h"
#include "synthetic_model.h"

namespace bitnet::bench {
namespace {

using nlohmann::json;
using test::TempFolder;

std::string write_tiny(const TempFolder& folder) {
  SyntheticModel model;
  model.shape = *find_shape("tiny");
  write_model(model, folder / "tiny.gguf");
  return folder / "tiny.gguf";
}

test::ProgramResult run_bench(const std::vector<std::string>& args) {
  test::ProgramOptions options;
  options.program = BITNET_BINARY_DIR "/bin/bitnet-bench";
  return test::run_program(args, options);
}

TEST(Workload, CountsWhatATokenNeeds) {
  const TempFolder folder;
  const model::Model model(write_tiny(folder));
  const Workload w = count_workload(model);
  // Per layer: q, output 256x256, k, v 128x256, gate, up, down 512x256.
  const uint64_t macs = 2 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 512 * 256);
  EXPECT_EQ(w.matrix_macs, macs);
  EXPECT_EQ(w.matrix_bytes, macs / 4);
  EXPECT_EQ(w.head_macs, 320u * 256);
  EXPECT_EQ(w.head_bytes, 320u * 256 * 2);
  EXPECT_EQ(w.kv_position_bytes, 2u * 2 * 2 * 64 * 4);
  EXPECT_EQ(w.head_row_bytes, 256u * 2);
  const model::HeadUse full;
  EXPECT_EQ(bytes_at(w, full, 0), static_cast<double>(w.matrix_bytes + w.head_bytes + w.kv_position_bytes));
  EXPECT_EQ(bytes_at(w, full, 9) - bytes_at(w, full, 0), 9.0 * static_cast<double>(w.kv_position_bytes));
  model::HeadUse screened;
  screened.screen_bytes = 1000, screened.screened = 3, screened.candidates = 12, screened.fell_back = 1;
  EXPECT_EQ(head_bytes_read(w, screened), 1000 + (12 * 512 + static_cast<double>(w.head_bytes)) / 4);
}

TEST(Median, IsTheMiddleOrTheMeanOfTheTwo) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 4}), 4);
  EXPECT_EQ(median({9, 1, 4, 2}), 3);
}

TEST(Bench, ReportsEveryRepetitionOfBothTests) {
  const TempFolder folder;
  const auto result =
      run_bench({"-m", write_tiny(folder), "--backend", "cpu_portable", "-p", "20", "-n", "6", "-r", "2", "-t", "2", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const json j = json::parse(result.out);
  EXPECT_EQ(j["backend"], "cpu_portable");
  EXPECT_EQ(j["threads"], 2);
  for (const char* key : {"cpu", "compiler", "commit"}) EXPECT_FALSE(j["machine"][key].get<std::string>().empty()) << key;
  ASSERT_EQ(j["tests"].size(), 2u);
  EXPECT_EQ(j["tests"][0]["test"], "pp20");
  EXPECT_EQ(j["tests"][0]["per_token"], 1'179'648);  // see Workload
  EXPECT_EQ(j["tests"][1]["test"], "tg6");
  EXPECT_EQ(j["tests"][1]["step_seconds"].size(), 12u);
  // Positions 16..21: 18.5 on average, so 19.5 positions of 2048 bytes are read.
  EXPECT_EQ(j["tests"][1]["per_token"], 1'179'648 / 4 + 320 * 256 * 2 + 19.5 * 2048);
  for (const json& test : j["tests"]) {
    ASSERT_EQ(test["tokens_per_second"].size(), 2u);
    for (const json& speed : test["tokens_per_second"]) EXPECT_GT(speed, 0);
    EXPECT_EQ(test["logits_hash"].get<std::string>().size(), 7u + 64);
    const double achieved = test["median_tokens_per_second"].get<double>() * test["per_token"].get<double>();
    EXPECT_NEAR(test["achieved_per_second"].get<double>() / achieved, 1, 1e-9);
  }
  EXPECT_EQ(j["ceilings"].size(), 2u);
  EXPECT_EQ(j["load_seconds"]["backend"].size(), 4u) << "two tests, two repetitions, warm-up left out";
  EXPECT_GT(j["memory"]["peak_rss"], 0);
  EXPECT_EQ(j["memory"]["kv_cache"], 2 * 2 * 2 * 128 * 64 * 4) << "one page";
}

TEST(Bench, HashIsThatOfAnotherBackend) {
  const TempFolder folder;
  const std::string path = write_tiny(folder);
  const model::Model model(path);
  backend::DiscoveryOptions discovery;
  discovery.program_path = BITNET_RUN;
  const auto registry = backend::Registry::discover(discovery);
  const backend::Plugin* avx2 = registry.find("cpu_avx2");
  if (avx2 == nullptr || !avx2->usable) GTEST_SKIP() << "cpu_avx2 does not run here";
  EndToEndOptions options;
  options.n_prompt = 20, options.n_generate = 6, options.repetitions = 1, options.threads = 2;
  const EndToEndResult fast = run_end_to_end(model, registry, options);
  options.backend = "cpu_portable";
  const EndToEndResult slow = run_end_to_end(model, registry, options);
  EXPECT_EQ(fast.prompt.logits_sha256, slow.prompt.logits_sha256);
  EXPECT_EQ(fast.generate.logits_sha256, slow.generate.logits_sha256);
  EXPECT_NE(fast.prompt.logits_sha256, fast.generate.logits_sha256);
  EXPECT_GT(fast.ceilings.at(0).read_gbps_n, 0) << "this machine has AVX2";
}

TEST(Bench, TheScreenedHeadReadsLessAndSamplesTheSame) {
  const TempFolder folder;
  const std::string path = write_tiny(folder);
  const auto bench = [&](const char* head) {
    const auto result = run_bench(
        {"-m", path, "--backend", "cpu_portable", "-p", "0", "-n", "20", "-r", "1", "--top-k", "1", "--head", head, "--json"});
    EXPECT_EQ(result.exit_code, 0) << result;
    return json::parse(result.out, nullptr, false);
  };
  const json full = bench("full"), screened = bench("screened");
  EXPECT_EQ(full["tests"][0]["logits_hash"], screened["tests"][0]["logits_hash"]);
  EXPECT_EQ(full["head"]["screened_tokens"], 0);
  EXPECT_EQ(full["head"]["bytes_read"], 320 * 256 * 2);
  EXPECT_GT(screened["head"]["screened_tokens"], 0);
  EXPECT_EQ(screened["head"]["screen_bytes"], 320 * (256 + 8));
  EXPECT_LT(screened["tests"][0]["per_token"], full["tests"][0]["per_token"]);
}

TEST(Bench, PrintsATable) {
  const TempFolder folder;
  const auto result = run_bench({"-m", write_tiny(folder), "--backend", "cpu_portable", "-p", "0", "-n", "4", "-r", "1"});
  ASSERT_EQ(result.exit_code, 0) << result;
  for (const char* text : {"model    ", "machine  ", "tg4 ", "GB/s", "aim", "60 %", "memory   peak"}) {
    EXPECT_NE(result.out.find(text), std::string::npos) << text << " in\n" << result.out;
  }
  EXPECT_EQ(result.out.find("pp"), std::string::npos) << "-p 0 leaves the prompt out";
}

TEST(Bench, SaysHowToMakeAModelThatIsMissing) {
  const TempFolder folder;
  const auto result = run_bench({"-m", folder / "none.gguf"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find("bitnet-make-model --shape 2b-4t -o " + (folder / "none.gguf")), std::string::npos) << result;
}

TEST(Bench, NeverRunsAnotherBackendThanTheOneNamed) {
  const TempFolder folder;
  const auto result = run_bench({"-m", write_tiny(folder), "--backend", "cpu_imaginary", "-p", "4", "-n", "2", "-r", "1"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("cpu_imaginary"), std::string::npos) << result;
}

TEST(Bench, RefusesWhatDoesNotFitTheContext) {
  const TempFolder folder;
  const std::string path = write_tiny(folder);
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{{"-m", path, "-p", "1025"},
                                                                                    {"-m", path, "-n", "1010"},
                                                                                    {"-m", path, "-n", "0", "-p", "0"},
                                                                                    {"-m", path, "-t", "0"},
                                                                                    {"-m", path, "--top-k", "0"},
                                                                                    {"-m", path, "--head", "half"}}) {
    const auto result = run_bench(args);
    EXPECT_EQ(result.exit_code, 2) << result;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result;
  }
}

}  // namespace
}  // namespace bitnet::bench
