// e2e/benchmark_test.cpp - "bitnet-run benchmark": forms, exact counts, honesty about what was not measured. No test looks at
// how fast anything is.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "benchmark/measure.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

const std::string kScripts = std::string(BITNET_TEST_DATA) + "/../../bench/";

ProgramResult bench(std::vector<std::string> args, const ProgramOptions& options = {}) {
  share_cache();
  args.insert(args.begin(), "benchmark");
  return run_program(args, options);
}

// Of the story model, one repetition of little.
ProgramResult small(std::vector<std::string> args) {
  for (const char* word : {"-r", "1", "-t", "1", "--backend", "cpu_portable"}) {
    if (std::find(args.begin(), args.end(), word) == args.end() || word[0] != '-') args.emplace_back(word);
  }
  return bench(args);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line);
  std::string cell;
  std::getline(stream, cell, '|');
  while (std::getline(stream, cell, '|')) {
    const size_t begin = cell.find_first_not_of(' ');
    cells.push_back(begin == std::string::npos ? "" : cell.substr(begin, cell.find_last_not_of(' ') - begin + 1));
  }
  return cells;
}

TEST(Benchmark, TableHasTheColumnsOfLlamaBenchFirst) {
  const ProgramResult result =
      bench({"-p", "7", "-n", "3", "-pg", "4,2", "-d", "0,5", "-r", "2", "-t", "1", "--backend", "cpu_portable"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const auto lines = lines_of(result.out);
  ASSERT_GE(lines.size(), 8u) << result;
  const auto titles = cells_of(lines[0]);
  EXPECT_EQ((std::vector<std::string>(titles.begin(), titles.begin() + 7)),
            (std::vector<std::string>{"model", "size", "params", "backend", "threads", "test", "t/s"}));
  const char* tests[] = {"pp7", "tg3", "pp4+tg2", "pp7 @ d5", "tg3 @ d5", "pp4+tg2 @ d5"};
  for (size_t i = 0; i < 6; ++i) {
    const auto cells = cells_of(lines[2 + i]);
    ASSERT_EQ(cells.size(), titles.size()) << lines[2 + i];
    EXPECT_EQ(cells[0], "bitnet-b1.58 I2_S");
    EXPECT_EQ(cells[3], "cpu_portable");
    EXPECT_EQ(cells[4], "1");
    EXPECT_EQ(cells[5], tests[i]);
    EXPECT_NE(cells[6].find(" ± "), std::string::npos) << cells[6];
  }
  for (const char* text : {"ceilings, 1 thread: read ", "machine: ", "build: ", "(the embedded story model)"}) {
    EXPECT_NE(result.out.find(text), std::string::npos) << text << " in\n" << result.out;
  }
  EXPECT_NE(result.err.find("no model named: the embedded story model"), std::string::npos) << result;
}

TEST(Benchmark, JsonHoldsEverySampleAndWhereItComesFrom) {
  const ProgramResult result = bench(
      {"-p", "20", "-n", "6", "-r", "3", "-t", "2", "--backend", "cpu_portable", "-ub", "8", "-ctk", "f16", "-o", "json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const json j = json::parse(result.out);
  EXPECT_EQ(j["schema"], 1);
  for (const char* name : {"machine", "build", "model"}) EXPECT_FALSE(j["key"][name].get<std::string>().empty()) << name;
  EXPECT_EQ(j["model"]["sha256"].get<std::string>().size(), 64u);
  EXPECT_EQ(j["model"]["embedded"], true);
  for (const char* name : {"cpu", "cores", "governor", "smt", "load"}) EXPECT_TRUE(j["machine"].contains(name)) << name;
  ASSERT_EQ(j["rows"].size(), 2u);
  for (const json& row : j["rows"]) {
    EXPECT_EQ(row["backends"], "cpu_portable");
    EXPECT_EQ(row["provider"], "real");
    EXPECT_EQ(row["n_threads"], 2);
    EXPECT_EQ(row["n_ubatch"], 8);
    EXPECT_EQ(row["type_k"], "f16");
    EXPECT_TRUE(row["measured"]);
    ASSERT_EQ(row["samples_ts"].size(), 3u);
    ASSERT_EQ(row["samples_ns"].size(), 3u);
    EXPECT_EQ(row["samples_ceilings"].size(), 3u);
    EXPECT_GT(row["ceilings"]["read_gbps"], 0);
    EXPECT_GT(row["ceilings"]["read_median_gbps"], 0);
    EXPECT_LE(row["ceilings"]["read_median_gbps"], row["ceilings"]["read_gbps"]);
    EXPECT_GT(row["peak_rss"], 1000000);
    EXPECT_TRUE(row["ceiling_share"].is_null()) << "the story model lies in the cache";
    const double tokens = row["n_prompt"].get<double>() + row["n_gen"].get<double>();
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(row["samples_ts"][i].get<double>() * row["samples_ns"][i].get<double>() / 1e9 / tokens, 1, 1e-3);
    }
  }
  EXPECT_EQ(j["rows"][0]["test"], "pp20");
  EXPECT_GT(j["rows"][0]["first_token_ns"], 0);
  EXPECT_TRUE(j["rows"][0]["step_p50_ns"].is_null());
  EXPECT_EQ(j["rows"][1]["test"], "tg6");
  EXPECT_TRUE(j["rows"][1]["first_token_ns"].is_null());
  EXPECT_EQ(j["rows"][1]["samples_step_ns"].size(), 3u);
  EXPECT_EQ(j["rows"][1]["samples_step_ns"][0].size(), 6u) << "exactly six tokens";
  EXPECT_LE(j["rows"][1]["step_p50_ns"], j["rows"][1]["step_p95_ns"]);
}

// The logits behind 5 + 12 + 3 tokens are those of `run` behind the same tokens as its prompt, on another backend too.
TEST(Benchmark, HashIsThatOfTheSameTokensInRun) {
  std::string ids;
  for (const int32_t id : benchmark::test_tokens(20, 2048)) ids += fmt::format("{},", id);
  ids.pop_back();
  const ProgramResult run = run_program({"run", "--prompt-ids", ids, "-n", "1", "--greedy", "--json", "--ignore-eos"});
  ASSERT_EQ(run.exit_code, 0) << run;
  const ProgramResult result = small({"-p", "0", "-n", "0", "-pg", "12,3", "-d", "5", "-o", "json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(json::parse(result.out)["rows"][0]["logits_hash"], json::parse(run.out)["logits_hash"]);
}

// Shares and GB/s mean something only when the bytes are those that are read.
TEST(Benchmark, BytesAreThoseOfTheMatricesAsTheBackendHasThem) {
  const auto bytes = [](const std::string& weights) {
    const ProgramResult result = bench({"-p", "0", "-n", "1", "-r", "1", "-t", "1", "--backend", "cpu_avx512", "-o", "json",
                                        "--backend-options", "cpu_avx512={\"weights\":\"" + weights + "\"}"});
    if (result.exit_code != 0 && (result.out + result.err).find("this CPU lacks") != std::string::npos) return 0.0;
    EXPECT_EQ(result.exit_code, 0) << result;
    return json::parse(result.out)["rows"][0]["bytes"].get<double>();
  };
  const double in_place = bytes("in_place"), packed = bytes("packed");
  if (packed == 0.0) GTEST_SKIP() << "this CPU has no AVX-512 VBMI";
  // Four layers: q, output 256x256, k, v 128x256, gate, up 768x256, down 256x768. Packed: 320 bytes for 16 rows x 96 columns.
  EXPECT_EQ(in_place - packed, 4.0 * ((2304 * 64 + 256 * 192) - (2304 / 16 * 3 * 320 + 256 / 16 * 8 * 320)));
}

TEST(Benchmark, OtherFormsHoldTheSameRows) {
  const ProgramResult lines = small({"-p", "4", "-n", "2", "-o", "jsonl", "-oe", "csv"});
  ASSERT_EQ(lines.exit_code, 0) << lines;
  const auto objects = lines_of(lines.out);
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(json::parse(objects[0])["test"], "pp4");
  EXPECT_EQ(json::parse(objects[1])["test"], "tg2");
  std::vector<std::string> csv = lines_of(lines.err);
  std::erase_if(csv, [](const std::string& line) { return line.find(',') == line.npos || line.find(": ") < 12; });
  ASSERT_EQ(csv.size(), 3u) << lines;
  EXPECT_TRUE(csv[0].starts_with("build_commit,cpu_info,")) << csv[0];
  EXPECT_NE(csv[1].find("\"pp4\""), std::string::npos) << csv[1];
}

TEST(Benchmark, NeverMeasuresAnotherBackendThanTheOneNamed) {
  const ProgramResult result =
      bench({"-p", "4", "-n", "0", "-r", "1", "-t", "1", "--backend", "cpu_portable,cuda", "-o", "json"});
  EXPECT_EQ(result.exit_code, 4) << result;
  const json rows = json::parse(result.out)["rows"];
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["measured"], true);
  EXPECT_EQ(rows[1]["backends"], "cuda");
  EXPECT_EQ(rows[1]["measured"], false);
  EXPECT_FALSE(rows[1]["reason"].get<std::string>().empty());
  EXPECT_FALSE(rows[1].contains("avg_ts"));
  const ProgramResult unknown = bench({"--backend", "cpu_imaginary"});
  EXPECT_EQ(unknown.exit_code, 2) << unknown;
  EXPECT_EQ(unknown.out, "");
}

// A backend that fails in the middle does not hand its row to the next one.
TEST(Benchmark, AFailingBackendIsNotMeasured) {
  const ProgramResult result = bench({"-p", "4", "-n", "4", "-r", "1", "-t", "1", "--backend", "mock", "--mock-mode",
                                      "faithful", "--mock-faults", "token@2=lost", "-o", "json"});
  EXPECT_EQ(result.exit_code, 4) << result;
  const json rows = json::parse(result.out)["rows"];
  ASSERT_EQ(rows.size(), 2u) << result;
  EXPECT_EQ(rows[1]["measured"], false);
  EXPECT_EQ(rows[1]["backends"], "mock");
}

// It samples its own tokens; the logits that are compared are of the fixed ones all the same.
TEST(Benchmark, AnEngineThatDecodesByItself) {
  const auto hash = [](std::vector<std::string> more) {
    std::vector<std::string> words = {"-p", "0", "-n", "70", "-r", "2", "-t", "1", "-o", "json"};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = bench(words);
    EXPECT_EQ(result.exit_code, 0) << result;
    return json::parse(result.out)["rows"][0]["logits_hash"].get<std::string>();
  };
  const std::string engine = hash({"--backend", "mock", "--mock-mode", "faithful", "--mock-tier", "engine"});
  EXPECT_EQ(engine, hash({"--backend", "cpu_portable"}));
}

TEST(Benchmark, PresetSaysThatThereIsNoGpu) {
  const ProgramResult result = bench({"--preset", "ac10", "-n", "2", "-r", "1"});
  EXPECT_EQ(result.exit_code, 0) << result;
  const auto lines = lines_of(result.out);
  size_t cpu = 0, missing = 0;
  for (const std::string& line : lines) {
    const auto cells = cells_of(line);
    if (cells.size() < 7 || (cells[5].rfind("pp", 0) != 0 && cells[5].rfind("tg", 0) != 0)) continue;
    (cells[3] == "cuda" ? missing : cpu) += 1;
    EXPECT_EQ(cells[6] == "not measured", cells[3] == "cuda") << line;
  }
  EXPECT_EQ(cpu, 5u) << result;
  EXPECT_EQ(missing, 5u) << result;
  EXPECT_NE(result.out.find("not measured: cuda: "), std::string::npos) << result;
}

TEST(Benchmark, MockRowsAreMarked) {
  const ProgramResult table = bench({"-p", "4", "-n", "0", "-r", "1", "--backend", "mock"});
  ASSERT_EQ(table.exit_code, 0) << table;
  EXPECT_NE(table.out.find("[mock] pp4"), std::string::npos) << table;
  EXPECT_NE(table.out.find("no measurement of a model"), std::string::npos) << table;
  const ProgramResult result = bench({"-p", "4", "-n", "0", "-r", "1", "--backend", "mock", "--json"});
  EXPECT_EQ(json::parse(result.out)["rows"][0]["provider"], "mock") << result;
  EXPECT_EQ(bench({"--backend", "mock", "--real-model"}).exit_code, 2);
}

// Nothing when there is no Python to run it.
std::optional<ProgramResult> run_script(std::vector<std::string> args) try {
  args.front() = kScripts + args.front();
  return run_program(args, {.program = "python3"});
} catch (const std::runtime_error&) {
  return std::nullopt;
}

// The scripts beside the benchmarks read what the program writes.
TEST(Benchmark, PlotDrawsAPanelForEachTestAndAxis) {
  const TempFolder folder;
  const ProgramResult result = bench({"-p", "4", "-n", "2", "-r", "1", "-t", "1,2", "--backend", "cpu_portable", "-o", "json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  write_text(folder / "r.json", result.out);
  const auto script = run_script({"plot.py", folder / "r.json"});
  if (!script) GTEST_SKIP() << "python3 is missing";
  const ProgramResult& plot = *script;
  ASSERT_EQ(plot.exit_code, 0) << plot;
  for (const char* text : {"<svg ", "pp4, by threads", "tg2, by threads", "tokens/s", "</svg>"}) {
    EXPECT_NE(plot.out.find(text), std::string::npos) << text << " in " << plot;
  }
  EXPECT_EQ(plot.out.find("by depth"), std::string::npos) << "there is one depth only";
}

TEST(Benchmark, CompareTakesTurnsAndJudges) {
  if (BITNET_SANITIZED) GTEST_SKIP() << "a script that starts the program twelve times with the same arguments";
  const TempFolder folder;
  const auto script = run_script({"compare.py", "--a", BITNET_RUN, "--b", BITNET_RUN, "--keep", folder / "kept", "--threshold",
                                  "10", "--", "-p", "4", "-n", "0", "-t", "1", "--backend", "cpu_portable"});
  if (!script) GTEST_SKIP() << "python3 is missing";
  const ProgramResult& result = *script;
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.out.find("6 pairs, covers 96.9 %"), std::string::npos) << result;
  for (const char* name : {"kept/a.json", "kept/b.json"}) {
    EXPECT_EQ(json::parse(read_text(folder / name))["rows"][0]["samples_ts"].size(), 6u) << name;
  }
  size_t at = 0;
  for (const char* turn : {"1 of 6, A", "1 of 6, B", "2 of 6, B", "2 of 6, A", "3 of 6, A"}) {
    at = result.err.find(turn, at);
    ASSERT_NE(at, std::string::npos) << turn << " in " << result;
  }
}

TEST(Benchmark, RefusesWhatDoesNotFitTheModel) {
  const ProgramResult result = small({"-p", "500", "-n", "0", "-d", "20"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find("pp500 @ d20 needs 520 tokens, the model's context is 512"), std::string::npos) << result;
  EXPECT_EQ(bench({"-m", "none.gguf"}).exit_code, 3);
}

}  // namespace
}  // namespace bitnet::test
