// fault/speculation_test.cpp - guessing ahead (--lookup): the text, its end and the logits are those without guesses, on every
// backend, also when the backend fails in the middle of a batch of guesses.
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "support/program.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
const bool kShared = share_cache();
using Args = std::vector<std::string>;

// The model repeats itself here.
const char* const kCircle = "Lily said hello. Tom said hello. Lily said hello. Tom said hello. Lily said hello.";
const Args kGreedy = {"-p", kCircle, "-n", "120", "--greedy"};
const Args kSampled = {"-p", kCircle, "-n", "120", "--temp", "0.2", "--seed", "4"};

Args joined(Args args, const Args& more) {
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

json run(const Args& args, const Args& more) {
  const ProgramResult result = run_program(joined(joined(args, more), {"--json"}));
  EXPECT_EQ(result.exit_code, 0) << result;
  return json::parse(result.out, nullptr, false);
}

const json& plain(const Args& args) {
  static std::map<Args, json> known;
  // With sanitizers the quicker of two that give the same text (Lookup compares them).
  if (!known.contains(args))
    known[args] = run(args, {"--backend", BITNET_SANITIZED ? "cpu_avx2" : "cpu_portable", "--no-fallback"});
  return known[args];
}

void expect_same(const json& got, const json& expected) {
  EXPECT_EQ(got["tokens"], expected["tokens"]);
  EXPECT_EQ(got["text"], expected["text"]);
  EXPECT_EQ(got["finish_reason"], expected["finish_reason"]);
  EXPECT_EQ(got["logits_hash"], expected["logits_hash"]);
}

// Guesses wherever the text repeats itself: whether they save time depends on the machine.
const Args kLookup = {"--lookup", "--draft-min", "6"};

class Lookup : public testing::TestWithParam<Args> {};

TEST_P(Lookup, ChangesNothingButTheTime) {
  for (const Args& args : {kGreedy, kSampled}) {
    ASSERT_GT(plain(args)["tokens"].size(), 80u);
    for (const Args& more : {Args{"-t", "1"}, {"-t", "2", "-ub", "3"}, {"--draft-min", "0"}}) {
      const json got = run(args, joined(joined(GetParam(), kLookup), more));
      expect_same(got, plain(args));
      const json& report = got["speculation"];
      if (more[0] != "--draft-min") {
        EXPECT_GT(report["accepted"], 40) << report;
      }
      EXPECT_TRUE(report["off_because"].is_null()) << report;
      EXPECT_GE(report["steps"].get<size_t>() + report["accepted"].get<size_t>() + 1, got["tokens"].size());
      EXPECT_TRUE(got["fallback"].empty()) << got["fallback"];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Lookup,
                         testing::Values(Args{"--backend", "cpu_portable", "--no-fallback"},
                                         Args{"--backend", "cpu_avx2", "--no-fallback"},
                                         Args{"--backend", "cpu_avx2", "--no-fallback", "--isolate-backend"},
                                         Args{"--backend", "mock", "--no-fallback", "--mock-mode", "faithful"}));

TEST(LookupReport, OfARepeatedTextMostGuessesAreRight) {
  const json got = run(kGreedy, kLookup);
  const json& report = got["speculation"];
  EXPECT_EQ(report["method"], "lookup");
  EXPECT_EQ(report["draft_max"], 15);
  EXPECT_GT(report["acceptance_rate"], 0.5) << report;
  EXPECT_GT(report["tokens_per_step"], 1.0);
  const ProgramResult told = run_program(joined(joined(kGreedy, kLookup), {"-v"}));
  EXPECT_NE(told.err.find("speculation by lookup: "), std::string::npos) << told;
}

TEST(LookupReport, IsNullWhenNobodyAsked) { EXPECT_TRUE(plain(kGreedy)["speculation"].is_null()); }

// Where tokens are sampled from changed logits, or by the backend itself, there are no guesses, and the report says why.
TEST(LookupReport, SaysWhyThereAreNoGuesses) {
  const std::pair<Args, const char*> reasons[] = {
      {{"--repeat-penalty", "1.1"}, "penalties are on"},
      {{"--logit-bias", "5+1"}, "logits have a bias"},
      {{"--ignore-eos"}, "end-of-generation tokens are ignored"},
      {{"--top-k", "0", "--temp", "1"}, "top-k is off or too large"},
      {{"--backend", "mock", "--mock-mode", "faithful", "--mock-tier", "engine"}, "the backend decodes by itself"}};
  const Args args = {"-p", kCircle, "-n", "40", "--seed", "1"};
  for (const auto& [more, reason] : reasons) {
    const json got = run(args, joined(more, kLookup));
    EXPECT_EQ(got["speculation"]["off_because"], reason) << got["speculation"];
    EXPECT_EQ(got["speculation"]["drafted"], 0);
    expect_same(got, run(args, more));
  }
}

constexpr int kStep =
    BITNET_SANITIZED ? 5 : 1;  // inside a batch of guesses and at its ends: with sanitizers some of the places

TEST(LookupEnds, WithTheNumberOfTokens) {
  const json tokens = plain(kGreedy)["tokens"];
  for (int n = 60; n < 76; n += kStep) {
    const json got = run({"-p", kCircle, "-n", std::to_string(n), "--greedy"}, kLookup);
    EXPECT_EQ(got["tokens"], json(tokens.begin(), tokens.begin() + n)) << n;
    EXPECT_EQ(got["finish_reason"], "length");
  }
}

TEST(LookupEnds, WithTheContext) {
  for (int n_ctx = 90; n_ctx < 100; n_ctx += kStep) {
    const Args args = {"-p", kCircle, "-n", "-1", "--greedy", "-c", std::to_string(n_ctx)};
    const json got = run(args, kLookup);
    EXPECT_EQ(got["usage"]["prompt_tokens"].get<int>() + static_cast<int>(got["tokens"].size()), n_ctx + 1);
    expect_same(got, run(args, {}));
  }
}

// Each word of the text in turn: many of them lie inside a batch of guesses.
TEST(LookupEnds, BeforeAStopString) {
  const std::string text = plain(kGreedy)["text"];
  for (const char* stop : {"hello", "said", "Tom", "o. L", "id h", ". Tom said hello. Lily said hello. Tom"}) {
    if (BITNET_SANITIZED && std::strlen(stop) == 4) continue;
    const Args args = joined(kGreedy, {"--stop", stop});
    const json got = run(args, kLookup);
    EXPECT_EQ(got["text"], text.substr(0, text.find(stop))) << stop;
    expect_same(got, run(args, {}));
  }
}

TEST(LookupEnds, WhenInterrupted) {
  const ProgramResult result =
      run_program(joined(joined(kGreedy, kLookup),
                         {"--backend", "mock", "--mock-mode", "faithful", "--mock-faults", "token=slow:30;prefill@2+=slow:30"}),
                  {.send_signal = SIGINT, .send_after_bytes = 40});
  EXPECT_EQ(result.exit_code, 130) << result;
}

// A batch of guesses is a step of several tokens, which the mock counts as prefill; the first is the prompt's.
struct Fault {
  const char* script;
  size_t fallbacks;
  Args more = {};
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.script; }

class ABatchFails : public testing::TestWithParam<Fault> {};

TEST_P(ABatchFails, TextIsTheOneWithoutFailure) {
  for (const Args& args : {kGreedy, kSampled}) {
    // With sanitizers each fault with one of them.
    if (BITNET_SANITIZED && (args == kGreedy) != (GetParam().fallbacks == 0 || !GetParam().more.empty())) continue;
    const json got =
        run(args, joined(joined(GetParam().more, kLookup), {"--backend", "mock,cpu_avx2,cpu_portable", "--mock-mode",
                                                            "faithful", "--mock-faults", GetParam().script}));
    expect_same(got, plain(args));
    ASSERT_EQ(got["fallback"].size(), GetParam().fallbacks) << got["fallback"];
    EXPECT_GT(got["speculation"]["batches"], 0);
    if (GetParam().fallbacks == 0) continue;
    EXPECT_EQ(got["fallback"][0]["stage"], "decode");
    EXPECT_GT(got["fallback"][0]["at_token"], 0);
    EXPECT_EQ(got["backend"]["name"], "cpu_avx2");
  }
}

// Numbers that are not finite in a batch prove nothing, for its tokens may be none of the text: the step that follows decides.
INSTANTIATE_TEST_SUITE_P(Faults, ABatchFails,
                         testing::Values(Fault{"prefill@2=lost", 1}, Fault{"prefill@2=throw", 1}, Fault{"prefill@3=lost", 1},
                                         Fault{"prefill@2=error:internal", 1}, Fault{"prefill@2=nan", 0},
                                         Fault{"prefill@2=nan;token@2+=nan", 1},
                                         Fault{"prefill@2=hang", 1, {"--hang-limit", "1.5"}},
                                         Fault{"prefill@2=segv", 1, {"--isolate-backend"}},
                                         Fault{"prefill@3=exit:0", 1, {"--isolate-backend"}}));

}  // namespace
}  // namespace bitnet::test
