// e2e/many_prompts_test.cpp - "--prompts FILE": every answer is the one its prompt gets alone, whatever happens to the others
// or to the backend; the order is that of the file; what is wrong with a line is said before anything is computed.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
const bool kShared = share_cache();
using Args = std::vector<std::string>;

// With sanitizers fewer prompts and tokens: every way is gone, how often is left to the release build.
constexpr bool kShort = BITNET_SANITIZED;

// Of different lengths, so that they begin to write and end at different steps.
const std::vector<std::string> kPrompts = {"Once upon a time",
                                           "One day a dog",
                                           "Lily",
                                           "Tom and his sister went to the park. They saw a big tree and a small bird, and a "
                                           "cat that was up in the tree. The cat was sad",
                                           "The sun",
                                           "She said \"hello\" and",
                                           "A boy named Ben had a red ball. He"};

std::vector<std::string> usual_prompts() { return {kPrompts.begin(), kPrompts.end() - (kShort ? 2 : 0)}; }

Args join(Args a, const Args& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<json> json_lines(const ProgramResult& result) {
  std::vector<json> lines;
  std::istringstream text(result.out);
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line, nullptr, false));
  return lines;
}

class ManyPrompts : public testing::Test {
 protected:
  std::string write(const std::vector<std::string>& lines, const std::string& name = "prompts.txt") {
    const std::string path = folder_ / name;
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    write_text(path, text);
    return path;
  }

  // The answers of all prompts must be those of each alone with `args`; more: only for the run of all.
  std::vector<json> expect_as_alone(const Args& args, const Args& more,
                                    const std::vector<std::string>& prompts = usual_prompts()) {
    // On a machine that has other things to do, threads wait for each other.
    const ProgramResult result = run_program(join(join(args, more), {"--prompts", write(prompts), "--json"}), {.timeout = 300});
    EXPECT_EQ(result.exit_code, 0) << result;
    std::vector<json> got = json_lines(result);
    EXPECT_EQ(got.size(), prompts.size()) << result;
    for (size_t i = 0; i < std::min(got.size(), prompts.size()); ++i) {
      json& expected = alone_[fmt_key(args) + prompts[i]];
      if (expected.is_null()) {
        expected = json::parse(run_program(join(args, {"-p", prompts[i], "--json", "--backend", "cpu_portable"})).out);
      }
      for (const char* field : {"text", "tokens", "finish_reason", "usage", "seed", "logits_hash", "context_shifts"}) {
        EXPECT_EQ(got[i][field], expected[field]) << field << " of prompt " << i + 1 << " with " << fmt_key(more);
      }
      EXPECT_EQ(got[i]["number"], i + 1);
    }
    return got;
  }

  static std::string fmt_key(const Args& args) {
    std::string key;
    for (const std::string& arg : args) key += arg + ' ';
    return key;
  }

  const TempFolder folder_;
  static inline std::map<std::string, json> alone_;
};

const Args kGreedy = {"-n", kShort ? "8" : "24", "--greedy", "--seed", "1"};
const Args kSampled = {"-n", kShort ? "10" : "24", "--seed", "7", "--temp", "0.9"};

TEST_F(ManyPrompts, AnswersAreThoseOfEachAlone) {
  for (const char* parallel : {"1", "2", "3", "8"}) {
    for (const char* backend : {"cpu_portable", "cpu_avx2"}) {
      if (kShort && (*parallel == '2' || (*parallel == '3') != (std::string(backend) == "cpu_portable"))) continue;
      expect_as_alone(kSampled, {"-np", parallel, "--backend", backend, "-t", "2"});
    }
  }
  expect_as_alone(kGreedy, {"-np", "7", "-t", "3", "-ub", "9"});
  expect_as_alone(kSampled, {"-np", "5", "-t", "1", "--head", "screened"});
}

TEST_F(ManyPrompts, WhereTheRuntimeSamplesToo) {
  const char* n = kShort ? "6" : "16";
  expect_as_alone({"-n", n, "--seed", "3", "--repeat-penalty", "1.3"}, {"-np", "4"});
  expect_as_alone({"-n", n, "--seed", "3", "--top-k", "0", "--ignore-eos"}, {"-np", "4"});
}

TEST_F(ManyPrompts, StopTextsLimitsAndContextsAreEachOnesOwn) {
  const std::vector<json> stopped = expect_as_alone({"-n", "60", "--greedy", "--stop", ".", "--seed", "1"}, {"-np", "4"});
  EXPECT_EQ(stopped[0]["finish_reason"], "stop");
  // The fourth prompt is longer than the others: its context is full first, and they go on.
  const std::vector<json> full = expect_as_alone({"-n", "-1", "--greedy", "-c", "40", "--seed", "1"}, {"-np", "4"});
  EXPECT_EQ(full[3]["finish_reason"], "length");
  EXPECT_GT(full[0]["tokens"].size(), full[3]["tokens"].size());
  expect_as_alone({"-n", kShort ? "45" : "70", "--greedy", "-c", "40", "--context-shift", "--seed", "1"}, {"-np", "4"});
  expect_as_alone({"-n", "0", "--greedy", "--seed", "1"}, {"-np", "4"});
  expect_as_alone({"-n", "1", "--greedy", "--seed", "1"}, {"-np", "4"});
}

TEST_F(ManyPrompts, OtherFamilies) {
  for (const char* family : {"bitnet_b158_relu2", "llama_falcon3_hd256"}) {
    const std::string model = std::string(BITNET_TEST_DATA) + "/families/" + family + "/model.gguf";
    expect_as_alone({"-m", model, "-n", "12", "--seed", "4"}, {"-np", "3", "--backend", "cpu_avx2"},
                    {"Once", "a b c d e f", "x"});
  }
}

// The mock fails in the middle of a step of several: all of them go on with the next backend, with the same tokens.
TEST_F(ManyPrompts, WhenTheBackendFailsAllGoOnWithTheNext) {
  for (const char* script :
       {"prefill@1=lost", "prefill@9=lost", "attention@150=lost", kShort ? "attention@100=throw" : "attention@300=throw",
        kShort ? "dense@12=nan" : "dense@40=nan", "matmul@700=error:internal", "load=oom"}) {
    const std::vector<json> got = expect_as_alone(kSampled, {"-np", "3", "-t", "1", "--backend", "mock,cpu_avx2,cpu_portable",
                                                             "--mock-mode", "faithful", "--mock-faults", script});
    size_t told = 0;
    for (const json& answer : got) told += answer["fallback"].size();
    EXPECT_GE(told, 1u) << script;
    EXPECT_EQ(got.back()["backend"]["name"], "cpu_avx2") << script;
  }
  const ProgramResult result =
      run_program({"--prompts", write(kPrompts), "-n", "20", "-np", "3", "-t", "1", "--greedy", "--backend", "mock,cpu_avx2",
                   "--mock-mode", "faithful", "--mock-faults", "attention@150=lost"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.err.find(" of 3 sequences (device lost"), std::string::npos) << result;
}

TEST_F(ManyPrompts, WithNobodyLeftTheAnswersSoFarAreThere) {
  const ProgramResult result =
      run_program({"--prompts", write(kPrompts), "-n", "20", "-np", "2", "-t", "1", "--greedy", "--json", "--backend", "mock",
                   "--strict", "--mock-mode", "faithful", "--mock-faults", "attention@300=lost"});
  EXPECT_EQ(result.exit_code, 4) << result;
  const std::vector<json> got = json_lines(result);
  ASSERT_EQ(got.size(), kPrompts.size()) << result;
  EXPECT_EQ(got.front()["finish_reason"], "length");
  EXPECT_EQ(got.back()["finish_reason"], "error");
  EXPECT_FALSE(got.back()["error"].get<std::string>().empty());
  EXPECT_TRUE(got.back()["tokens"].empty());
}

// Engine plugins and worker processes hold one sequence: the answers are the same, one after the other.
TEST_F(ManyPrompts, BackendsThatHoldOneSequenceGetOneAfterTheOther) {
  expect_as_alone(kSampled, {"-np", "3", "--backend", "mock", "--mock-mode", "faithful", "--mock-tier", "engine"});
  expect_as_alone(kSampled, {"-np", "3", "--backend", "cpu_portable", "--isolate-backend"});
  // From a backend that holds several to one that does not, in the middle.
  expect_as_alone(kSampled, {"-np", "3", "-t", "1", "--backend", "mock,cpu_portable", "--isolate-backend", "--mock-mode",
                             "faithful", "--mock-faults", "token@9=lost"});
}

TEST_F(ManyPrompts, TextsComeUnderTheirNumbers) {
  const std::string path = write({kPrompts[0], "", kPrompts[1]});
  const ProgramResult result = run_program({"--prompts", path, "-n", "12", "--greedy"});
  EXPECT_EQ(result.exit_code, 0) << result;
  std::string expected;
  for (size_t i = 0; i < 2; ++i) {
    const ProgramResult one = run_program({"-p", kPrompts[i], "-n", "12", "--greedy"});
    expected += "== " + std::to_string(i + 1) + " ==\n" + one.out;
  }
  EXPECT_EQ(result.out, expected) << result;
  const ProgramResult mock = run_program({"--prompts", path, "-n", "3", "--backend", "mock"});
  EXPECT_EQ(mock.out.rfind("== 1 ==\n[mock] ", 0), 0u) << mock;
}

TEST_F(ManyPrompts, ObjectsAndStandardInput) {
  const std::string objects = write({R"({"prompt": "Once upon\na time"})", "", R"({"prompt":"The sun"})"}, "p.jsonl");
  const std::vector<json> got = json_lines(run_program({"--prompts", objects, "-n", "8", "--greedy", "--json"}));
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[1]["line"], 3);
  const json alone = json::parse(run_program({"-p", "Once upon\na time", "-n", "8", "--greedy", "--json"}).out);
  EXPECT_EQ(got[0]["tokens"], alone["tokens"]);
  EXPECT_EQ(got[0]["logits_hash"], alone["logits_hash"]);
  const ProgramResult piped =
      run_program({"--prompts", "-", "-n", "8", "--greedy", "--json"}, {.stdin_text = "The sun\r\nOnce upon"});
  ASSERT_EQ(json_lines(piped).size(), 2u) << piped;
  EXPECT_EQ(json_lines(piped)[0]["tokens"], got[1]["tokens"]) << "with the line end of other systems";
}

TEST_F(ManyPrompts, WhatIsWrongIsSaidWithItsLineAndNothingIsComputed) {
  const auto refuse = [&](const Args& args, const std::string& says) {
    const ProgramResult result = run_program(args);
    EXPECT_EQ(result.exit_code, 2) << result;
    EXPECT_EQ(result.out, "") << result;
    EXPECT_NE(result.err.find(says), std::string::npos) << says << "\n" << result;
  };
  const std::string good = R"({"prompt": "x"})";
  const auto objects = [&](const std::string& line) { return Args{"--prompts", write({good, line}, "p.jsonl")}; };
  refuse(objects("Once"), "p.jsonl, line 2: expected an object {\"prompt\": TEXT}, found no JSON");
  refuse(objects("[1]"), "line 2: expected an object {\"prompt\": TEXT}, found array");
  refuse(objects("{}"), "found no \"prompt\"");
  refuse(objects(R"({"prompt": 3})"), "found a prompt that is no text");
  refuse(objects(R"({"prompt": "a", "seed": 3})"), "found the key \"seed\"");
  refuse(objects("{\"prompt\": \"\xff\"}"), "found no JSON");
  refuse({"--prompts", write({"", ""})}, "expected one prompt a line, found none");
  refuse({"--prompts", folder_ / "absent"}, "absent");
  refuse({"--prompts", write({"a", kPrompts[3]}), "-c", "16"}, "the prompt of line 2 has more than 16 tokens");
  refuse({"--prompts", write({"a"}), "-p", "x"}, "two prompts");
  refuse({"-p", "x", "-np", "2"}, "-np has no effect without --prompts");
  refuse({"--prompts", write({"a"}), "-np", "0"}, "-np");
  refuse({"--prompts", write({"a"}), "--logits-out", folder_ / "l"}, "--logits-out is for one prompt");
  refuse({"--prompts", write({"a"}), "--lookup"}, "is for one prompt");
  refuse({"--prompts", write({"a"}), "-cnv"}, "no chat template beside it");
  refuse({"--prompts", write({"a"}), "--chat-template", "chatml"}, "no chat template beside it");
}

TEST_F(ManyPrompts, CtrlCEndsWithWhatIsThere) {
  const std::string path = write(kPrompts);
  const Args args = {"--prompts",   path,       "-np",           "2",           "--greedy", "--backend", "mock",
                     "--mock-mode", "faithful", "--mock-faults", "norm=slow:2", "-n",       "30"};
  const ProgramResult text = run_program(args, {.send_signal = 2, .send_after_bytes = 20});
  EXPECT_EQ(text.exit_code, 130) << text;
  EXPECT_EQ(text.out.rfind("== 1 ==\n", 0), 0u) << text;
  EXPECT_NE(text.err.find("stopped"), std::string::npos) << text;
  const ProgramResult lines = run_program(join(args, {"--json"}), {.send_signal = 2, .send_after_bytes = 20});
  EXPECT_EQ(lines.exit_code, 130) << lines;
  const std::vector<json> got = json_lines(lines);
  ASSERT_EQ(got.size(), kPrompts.size()) << lines;
  EXPECT_EQ(got.front()["finish_reason"], "length");
  EXPECT_EQ(got.back()["finish_reason"], "cancelled");
}

TEST_F(ManyPrompts, TheTimeLimitIsThatOfTheWholeRun) {
  const ProgramResult result =
      run_program({"--prompts", write(kPrompts), "-np", "2", "--greedy", "--json", "-n", "200", "--backend", "mock",
                   "--mock-mode", "faithful", "--mock-faults", "norm=slow:2", "--time-limit", "2"});
  EXPECT_EQ(result.exit_code, 124) << result;
  const std::vector<json> got = json_lines(result);
  ASSERT_EQ(got.size(), kPrompts.size()) << result;
  EXPECT_EQ(got.back()["finish_reason"], "time");
  EXPECT_LT(result.seconds, 20);
}

TEST_F(ManyPrompts, BenchmarkCountsSequencesTogether) {
  const ProgramResult result =
      run_program({"benchmark", "-p", "0", "-n", "4", "-npl", "1,3", "-r", "1", "-o", "jsonl", "-t", "1"});
  EXPECT_EQ(result.exit_code, 0) << result;
  const std::vector<json> rows = json_lines(result);
  ASSERT_EQ(rows.size(), 2u) << result;
  EXPECT_EQ(rows[0]["test"], "tg4");
  EXPECT_EQ(rows[1]["test"], "tg4 x 3");
  EXPECT_EQ(rows[1]["n_parallel"], 3);
  EXPECT_EQ(rows[1]["logits_hash"], rows[0]["logits_hash"]) << "the first sequence is the same";
  const double ns = rows[1]["avg_ns"];
  EXPECT_NEAR(rows[1]["avg_ts"].get<double>(), 12 / (1e-9 * ns), 1e-3 * rows[1]["avg_ts"].get<double>());
  const ProgramResult one = run_program({"benchmark", "-p", "0", "-n", "2", "-npl", "2", "-r", "1", "--backend", "mock",
                                         "--mock-mode", "faithful", "--mock-tier", "engine"});
  EXPECT_EQ(one.exit_code, 4) << one;
  EXPECT_NE(one.out.find("holds one sequence at a time"), std::string::npos) << one;
  EXPECT_EQ(run_program({"benchmark", "-npl", "0"}).exit_code, 2);
}

}  // namespace
}  // namespace bitnet::test
