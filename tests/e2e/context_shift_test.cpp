// e2e/context_shift_test.cpp - going on when the context is full: what follows is what a new run with the tokens that stayed
// would give, also with guesses and when the backend fails just then.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/program.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
using Args = std::vector<std::string>;
using Tokens = std::vector<int32_t>;

constexpr uint32_t kContext = 48;

json run(Args args, const Args& more) {
  args.insert(args.end(), more.begin(), more.end());
  args.insert(args.end(), {"--json", "-c", std::to_string(kContext)});
  const ProgramResult result = run_program(args);
  EXPECT_EQ(result.exit_code, 0) << result;
  return json::parse(result.out, nullptr, false);
}

Tokens prompt_tokens(const std::string& text) {
  const ProgramResult result = run_program({"tokenize", "--add-special", "--json", "-p", text});
  return json::parse(result.out)["tokens"].get<Tokens>();
}

std::string text_of(const Tokens& ids) {
  std::string text;
  for (int32_t id : ids) text += std::to_string(id) + " ";
  return text;
}

// The sequence as it was when the context was full, without what was forgotten, and the token sampled last.
Tokens that_stayed(const Tokens& before, const json& shift) {
  const auto kept = shift["kept"].get<ptrdiff_t>(), dropped = shift["dropped"].get<ptrdiff_t>();
  Tokens stayed(before.begin(), before.begin() + kept);
  stayed.insert(stayed.end(), before.begin() + kept + dropped, before.end());
  return stayed;
}

struct Setting {
  const char* name;
  Args sampling;
  int seed;
  Args more;
  size_t fallbacks = 0;
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

class Shift : public testing::TestWithParam<Setting> {};

TEST_P(Shift, GoesOnAsANewRunWithTheTokensThatStayed) {
  const Setting& s = GetParam();
  const std::string text = "Lily said hello. Tom said hello. Lily said hello.";
  const Tokens prompt = prompt_tokens(text);
  const json got = run({"-p", text, "-n", "90", "--context-shift", "--seed", std::to_string(s.seed)}, [&] {
    Args a = s.sampling;
    a.insert(a.end(), s.more.begin(), s.more.end());
    return a;
  }());
  const Tokens tokens = got["tokens"].get<Tokens>();
  const json& shifts = got["context_shifts"];
  ASSERT_GE(shifts.size(), 2u) << "the text must be long enough for several shifts";
  EXPECT_EQ(got["fallback"].size(), s.fallbacks) << got["fallback"];
  Tokens sequence = prompt;
  sequence.insert(sequence.end(), tokens.begin(), tokens.begin() + shifts[0]["at_token"].get<ptrdiff_t>());
  for (size_t i = 0; i < shifts.size(); ++i) {
    ASSERT_EQ(sequence.size(), kContext + 1);
    sequence = that_stayed(sequence, shifts[i]);
    const size_t from = shifts[i]["at_token"],
                 to = i + 1 < shifts.size() ? shifts[i + 1]["at_token"].get<size_t>() : tokens.size();
    const Tokens part(tokens.begin() + static_cast<ptrdiff_t>(from), tokens.begin() + static_cast<ptrdiff_t>(to));
    ASSERT_FALSE(part.empty());
    Args again = {"--prompt-ids", text_of(sequence), "-n", std::to_string(part.size()), "--backend", "cpu_portable"};
    again.insert(again.end(), s.sampling.begin(), s.sampling.end());
    const json fresh = run(again, {"--seed", std::to_string(s.seed + static_cast<int>(i) + 1)});
    EXPECT_EQ(fresh["tokens"], json(part)) << "shift " << i;
    sequence.insert(sequence.end(), part.begin(), part.end());
  }
}

const Args kFailing = {"--backend", "mock,cpu_avx2", "--mock-mode", "faithful", "--mock-faults", "prefill@2=lost"};
INSTANTIATE_TEST_SUITE_P(Settings, Shift,
                         testing::Values(Setting{"greedy", {"--greedy"}, 1, {}}, Setting{"sampled", {"--temp", "0.7"}, 3, {}},
                                         Setting{"penalties", {"--temp", "0.7", "--repeat-penalty", "1.2"}, 3, {}},
                                         Setting{"keep", {"--greedy"}, 1, {"--keep", "7"}},
                                         Setting{"prompt", {"--greedy"}, 1, {"--keep", "-1"}},
                                         Setting{"lookup", {"--greedy"}, 1, {"--lookup", "--draft-min", "4"}},
                                         Setting{"isolated", {"--greedy"}, 1, {"--isolate-backend"}},
                                         Setting{"fallback", {"--temp", "0.7"}, 3, kFailing, 1}),
                         [](const auto& setting) { return std::string(setting.param.name); });

TEST(ContextEnd, StopsUnlessAskedToGoOnAndSaysHow) {
  const ProgramResult result = run_program({"-p", "Once upon a time", "-n", "60", "-c", "20", "--greedy"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.err.find("context of 20 tokens is full; --context-shift"), std::string::npos) << result;
}

TEST(ContextEnd, KeptTokensAreThoseOfThePrompt) {
  const Args args = {"-p", "Once upon a time", "-n", "60", "--greedy", "--context-shift"};
  EXPECT_EQ(run(args, {})["context_shifts"][0]["kept"], 1) << "the beginning of the text always stays";
  EXPECT_EQ(run(args, {"--keep", "3"})["context_shifts"][0]["kept"], 3);
  EXPECT_EQ(run(args, {"--keep", "-1"})["context_shifts"][0]["kept"], 5);
  EXPECT_EQ(run(args, {"--keep", "30"})["context_shifts"][0]["kept"], 5) << "the prompt has no more";
}

TEST(ContextEnd, TokensToKeepMustLeaveRoom) {
  const ProgramResult result =
      run_program({"-p", "Once upon a time", "-c", "6", "--context-shift", "--keep", "-1", "-n", "9", "--greedy"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find("5 tokens to keep leave no room in a context of 6"), std::string::npos) << result;
  EXPECT_EQ(result.out, "");
}

}  // namespace
}  // namespace bitnet::test
