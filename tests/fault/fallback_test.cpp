// fault/fallback_test.cpp - the mock fails at load, in prefill and in decode, in every action that answers; the text goes on as
// if nothing had happened, and the change is told on stderr and in the JSON.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fault/second_mock.h"
#include "support/program.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
const bool kShared = share_cache();

// With sanitizers just long enough for the faults.
const char* const kTokens = BITNET_SANITIZED ? "22" : "40";
const std::vector<std::string> kGreedy = {"-p", "Once upon a time", "-n", kTokens, "--greedy"};
const std::vector<std::string> kSampled = {"-p", "One day a dog", "-n", kTokens, "--seed", "11", "--temp", "0.9"};

ProgramResult run(std::vector<std::string> args, const std::vector<std::string>& more) {
  args.insert(args.end(), more.begin(), more.end());
  return run_program(args);
}

json run_json(const std::vector<std::string>& args, std::vector<std::string> more) {
  more.push_back("--json");
  const ProgramResult result = run(args, more);
  EXPECT_EQ(result.exit_code, 0) << result;
  return json::parse(result.out, nullptr, false);
}

json without_failure(const std::vector<std::string>& args) {
  return run_json(args, {"--backend", BITNET_SANITIZED ? "cpu_avx2" : "cpu_portable", "--no-fallback"});
}

struct Fault {
  const char* script;
  const char* stage;  // of the record
  int at_token;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.script; }

class FirstBackendFails : public testing::TestWithParam<Fault> {};

TEST_P(FirstBackendFails, TextIsTheOneWithoutFailure) {
  for (const auto& args : {kGreedy, kSampled}) {
    if (BITNET_SANITIZED && (args == kGreedy) != (GetParam().at_token == 0)) continue;  // each fault with one of them
    const json expected = without_failure(args);
    ASSERT_GT(expected["tokens"].size(), 20u) << "the text must be long enough for the fault to strike";
    const json got = run_json(
        args, {"--backend", "mock,cpu_avx2,cpu_portable", "--mock-mode", "faithful", "--mock-faults", GetParam().script});
    EXPECT_EQ(got["tokens"], expected["tokens"]);
    EXPECT_EQ(got["text"], expected["text"]);
    EXPECT_EQ(got["logits_hash"], expected["logits_hash"]);
    ASSERT_GE(got["fallback"].size(), 1u);
    const json& record = got["fallback"][0];
    EXPECT_EQ(record["from"], "mock");
    EXPECT_EQ(record["stage"], GetParam().stage);
    EXPECT_EQ(record["at_token"], GetParam().at_token);
    EXPECT_FALSE(record["reason"].get<std::string>().empty());
    EXPECT_EQ(got["backend"]["name"], record["to"]);
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, FirstBackendFails,
                         testing::Values(Fault{"open=oom", "load", 0}, Fault{"open=throw", "load", 0},
                                         Fault{"load=lost", "load", 0}, Fault{"accepts=error:unsupported", "load", 0},
                                         Fault{"pack@5=oom", "load", 0}, Fault{"matmul@3=wrong", "load", 0},
                                         Fault{"prefill=lost", "prefill", 0}, Fault{"prefill=oom", "prefill", 0},
                                         Fault{"prefill=throw", "prefill", 0}, Fault{"prefill=error:busy", "prefill", 0},
                                         Fault{"token@2=lost", "decode", 1}, Fault{"token@17=lost", "decode", 16},
                                         Fault{"token@17=throw", "decode", 16}, Fault{"token@17=nan", "decode", 16},
                                         Fault{"token@17=error:internal", "decode", 16},
                                         Fault{"token@17=error:data", "decode", 16}));

// Both backends with the int8 copy of the head; the one that fails has used it for some tokens. An estimate that is not finite
// (the 20th call is among those of the first token) only means the full head for that token.
TEST(ScreenedHead, TheNextBackendGoesOnWithTheSameText) {
  for (const auto& args : {kGreedy, kSampled}) {
    if (BITNET_SANITIZED && args == kGreedy) continue;
    const json expected = without_failure(args);
    for (const char* script : {"token@17=lost", "token@17=nan", "dense@60=nan", "dense@70=lost"}) {
      const json got = run_json(args, {"--head", "screened", "-t", "2", "--backend", "mock,cpu_portable", "--mock-mode",
                                       "faithful", "--mock-faults", script});
      EXPECT_EQ(got["tokens"], expected["tokens"]) << script;
      EXPECT_EQ(got["logits_hash"], expected["logits_hash"]) << script;
      EXPECT_EQ(got["head"]["mode"], "screened") << script;
      EXPECT_GT(got["head"]["screened_tokens"], 0) << script;
      const bool lost = std::string_view(script) != "dense@60=nan";
      EXPECT_EQ(got["fallback"].size(), lost ? 1u : 0u) << script << got["fallback"];
    }
  }
}

class TwoBackendsFail : public testing::TestWithParam<Fault> {};

TEST_P(TwoBackendsFail, TextIsTheOneWithoutFailure) {
  const TempFolder folder;
  const std::string second = make_other_mock(folder, "moc2");
  const json expected = without_failure(kGreedy);
  const json got = run_json(kGreedy, {"--plugin", second, "--backend", "mock,moc2,cpu_avx2", "--mock-mode", "faithful",
                                      "--mock-faults", GetParam().script});
  EXPECT_EQ(got["tokens"], expected["tokens"]);
  EXPECT_EQ(got["logits_hash"], expected["logits_hash"]);
  ASSERT_EQ(got["fallback"].size(), 2u) << got["fallback"];
  EXPECT_EQ(got["fallback"][0]["from"], "mock");
  EXPECT_EQ(got["fallback"][1]["from"], "moc2");
  EXPECT_EQ(got["fallback"][1]["stage"], GetParam().stage);
  EXPECT_EQ(got["fallback"][1]["at_token"], GetParam().at_token);
  EXPECT_EQ(got["backend"]["name"], "cpu_avx2");
}

// The second mock counts from its replay, whose logits are its token 1: token@9 strikes it seven tokens later.
INSTANTIATE_TEST_SUITE_P(Faults, TwoBackendsFail,
                         testing::Values(Fault{"open=oom", "load", 0}, Fault{"prefill=lost", "prefill", 0},
                                         Fault{"token@9=throw", "decode", 15}));

TEST(Fallback, IsToldInOneLine) {
  const ProgramResult result =
      run(kGreedy, {"--backend", "mock,cpu_avx2", "--mock-mode", "faithful", "--mock-faults", "token@17=lost"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.err.find("backend mock: failed in decode at token 17 (device lost"), std::string::npos) << result;
  EXPECT_NE(result.err.find("; using cpu_avx2\n"), std::string::npos) << result;
}

TEST(Fallback, StrictEndsWithTheTextSoFarAndCode4) {
  const json expected = without_failure(kGreedy);
  const ProgramResult result =
      run(kGreedy, {"--backend", "mock,cpu_avx2", "--strict", "--mock-mode", "faithful", "--mock-faults", "token@17=lost"});
  EXPECT_EQ(result.exit_code, 4) << result;
  std::string text = result.out;
  ASSERT_EQ(text.rfind("[mock] ", 0), 0u) << result;
  text = text.substr(7, text.size() - 8);  // the mark, and the line end behind a cut text
  EXPECT_GT(text.size(), 20u);
  EXPECT_EQ(expected["text"].get<std::string>().rfind(text, 0), 0u) << result;
  EXPECT_NE(result.err.find("device lost"), std::string::npos) << result;
}

TEST(Fallback, WithNobodyLeftNamesEveryReason) {
  const ProgramResult result =
      run(kGreedy, {"--backend", "mock,mock", "--mock-mode", "faithful", "--mock-faults", "token@3=lost"});
  EXPECT_EQ(result.exit_code, 4) << result;
  EXPECT_NE(result.err.find("no usable backend is left: mock: device lost"), std::string::npos) << result;
}

TEST(Fallback, LogitsFileHoldsEveryRowOnce) {
  const std::vector<std::string> args = {"-p", "Once upon a time", "-n", "20", "--greedy"};
  const std::string a = testing::TempDir() + "/fallback_a.bin", b = testing::TempDir() + "/fallback_b.bin";
  EXPECT_EQ(run(args, {"--backend", "cpu_portable", "--logits-out", a}).exit_code, 0);
  EXPECT_EQ(
      run(args, {"--backend", "mock,cpu_avx2", "--mock-mode", "faithful", "--mock-faults", "token@9=lost", "--logits-out", b})
          .exit_code,
      0);
  const ProgramResult same = run_program({a, b}, {.program = "cmp"});
  EXPECT_EQ(same.exit_code, 0) << same;
  std::remove(a.c_str());
  std::remove(b.c_str());
}

TEST(Mock, IsMarkedInEveryOutput) {
  const ProgramResult text = run(kGreedy, {"--backend", "mock", "--no-fallback"});
  EXPECT_EQ(text.exit_code, 0) << text;
  EXPECT_EQ(text.out.rfind("[mock] ", 0), 0u) << text;
  EXPECT_NE(text.err.find("mock"), std::string::npos) << text;
  const json j = run_json(kGreedy, {"--backend", "mock", "--no-fallback"});
  EXPECT_EQ(j["provider"], "mock");
  EXPECT_EQ(j["mock"], true);
}

TEST(Mock, StaysMarkedAfterARealBackendTookOver) {
  const json j = run_json(kGreedy, {"--backend", "mock,cpu_avx2", "--mock-mode", "faithful", "--mock-faults", "token@9=lost"});
  EXPECT_EQ(j["mock"], true);
  EXPECT_EQ(j["backend"]["name"], "cpu_avx2");
}

TEST(Mock, NeverRunsByItself) {
  const json j = run_json(kGreedy, {});
  EXPECT_EQ(j["mock"], false);
  EXPECT_NE(j["backend"]["name"], "mock");
  EXPECT_TRUE(j["fallback"].empty()) << j["fallback"];
}

TEST(Mock, IsForbiddenByRealModel) {
  EXPECT_EQ(run(kGreedy, {"--real-model", "--backend", "mock"}).exit_code, 2);
  EXPECT_EQ(run(kGreedy, {"--real-model", "--allow-mock"}).exit_code, 2);
}

TEST(Mock, CannedNeedsNoWeights) {
  const ProgramResult result = run_program({"-m", std::string(BITNET_TEST_DATA) + "/tokenizers/gpt-2.gguf", "--backend", "mock",
                                            "--no-fallback", "-p", "Hello world", "-n", "4"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(result.out, "[mock] Hello worldHello world\n") << result;
}

TEST(Mock, UnknownFaultWordIsAUsageError) {
  const ProgramResult result = run(kGreedy, {"--backend", "mock", "--mock-faults", "token@3=explode"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find("explode"), std::string::npos) << result;
}

}  // namespace
}  // namespace bitnet::test
