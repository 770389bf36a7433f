// golden/generation_test.cpp - greedy continuations against the reference; sampled ones against each other.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <span>

#include "golden/model_run.h"
#include "golden/reference.h"
#include "support/program.h"

namespace bitnet::golden_test {
namespace {

using Parameter = std::tuple<std::string, std::string>;  // backend, case
class Greedy : public BackendTest<Parameter> {
 protected:
  const Case& expected() const { return load_case(std::get<1>(GetParam())); }

  // As many tokens as the reference has. A program stops at an end-of-text token; the reference of the random models went on,
  // so the rest is asked for with a longer prompt.
  std::vector<int32_t> continuation(const Prompt& p) const {
    std::vector<int32_t> ids = p.tokens;
    const size_t wanted = ids.size() + p.greedy.size();
    while (ids.size() < wanted) {
      const ModelRun run = run_model({.model = expected().model,
                                      .backend = backend(),
                                      .ids = ids,
                                      .n_predict = static_cast<int64_t>(wanted - ids.size()),
                                      .more = {"--greedy"}});
      if (run.tokens.empty()) break;
      ids.insert(ids.end(), run.tokens.begin(), run.tokens.end());
    }
    return {ids.begin() + static_cast<std::ptrdiff_t>(p.tokens.size()), ids.end()};
  }
};

TEST_P(Greedy, TokensAreTheReferencesWhereItIsSure) {
  for (const Prompt& p : expected().prompts) {
    SCOPED_TRACE(p.name);
    const std::vector<int32_t> tokens = continuation(p);
    ASSERT_EQ(tokens.size(), p.greedy.size());
    const size_t equal =
        static_cast<size_t>(std::mismatch(tokens.begin(), tokens.end(), p.greedy.begin()).first - tokens.begin());
    EXPECT_GE(equal, p.greedy_sure) << "the first tokens that are sure must be equal";
    if (equal < tokens.size()) {
      EXPECT_LT(p.greedy_margin[equal], p.greedy_limit)
          << "left the reference at token " << equal << ", where its margin is large";
    }
    std::cout << p.name << ": " << equal << " of " << tokens.size() << " equal, " << p.greedy_sure << " sure\n";
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Greedy, testing::Combine(testing::ValuesIn(backends()), testing::ValuesIn(case_names())),
                         parameter_name<Parameter>);

using StoryText = BackendTest<std::tuple<std::string>>;

// What a customer sees: text in, text on standard output. Equal as far as the reference's tokens are sure, and for prompts
// whose whole continuation came out equal, equal to the end.
TEST_P(StoryText, GreedyTextOnStandardOutput) {
  const Case& story = load_case(kStory);
  size_t whole = 0, compared = 0;
  for (const Prompt& p : story.prompts) {
    if (!p.text) continue;
    SCOPED_TRACE(p.name);
    const std::vector<std::string> args = {
        "-m", story.model, "--backend", backend(), "--no-fallback", "--greedy", "-n", std::to_string(p.greedy.size()),
        "-p", *p.text};
    const test::ProgramResult result = test::run_program(args);
    ASSERT_EQ(result.exit_code, 0) << result;
    const ModelRun run = run_model({.model = story.model,
                                    .backend = backend(),
                                    .ids = p.tokens,
                                    .n_predict = static_cast<int64_t>(p.greedy.size()),
                                    .more = {"--greedy"}});
    EXPECT_EQ(result.out, run.report.at("text").get<std::string>() + "\n") << "text through -p and through token ids differ";
    ++compared;
    if (run.tokens != p.greedy) continue;
    // The reference spells the token that ends a text; the program does not print it.
    const std::string end = "<|end_of_text|>";
    const std::string text =
        p.greedy_text.ends_with(end) ? p.greedy_text.substr(0, p.greedy_text.size() - end.size()) : p.greedy_text;
    EXPECT_EQ(result.out, text + "\n");
    ++whole;
  }
  std::cout << whole << " of " << compared << " texts equal to the end\n";
  EXPECT_GE(compared, 5u);
  EXPECT_GE(whole, 1u) << "no text at all came out as the reference's";
}

// With and without the int8 copy of the head: the same tokens, greedy and sampled, and the same logits behind the last.
TEST_P(StoryText, TheScreenedHeadWritesTheSameText) {
  const Case& story = load_case(kStory);
  const auto generate = [&](const Prompt& p, std::vector<std::string> args, const char* head) {
    args.insert(args.end(), {"-m", story.model, "--backend", backend(), "--no-fallback", "--json", "-n", "32", "-p", *p.text,
                             "--head", head});
    const test::ProgramResult result = test::run_program(args);
    EXPECT_EQ(result.exit_code, 0) << result;
    return nlohmann::json::parse(result.out, nullptr, false);
  };
  const std::vector<std::vector<std::string>> kWays = {
      {"--greedy"}, {"--seed", "3", "--temp", "0.9"}, {"--seed", "4", "--temp", "1.2", "--top-k", "200", "--top-p", "1"}};
  for (const Prompt& p : story.prompts) {
    if (!p.text) continue;
    SCOPED_TRACE(p.name);
    const size_t ways = p.name == "once" ? kWays.size() : 1;
    for (const auto& way : std::span(kWays).first(ways)) {
      const nlohmann::json full = generate(p, way, "full"), screened = generate(p, way, "screened");
      EXPECT_EQ(full["head"]["mode"], "full");
      EXPECT_EQ(screened["head"]["mode"], "screened");
      EXPECT_EQ(screened["head"]["screened_tokens"].get<size_t>() > 0, full["tokens"].size() > 1);
      EXPECT_EQ(screened["tokens"], full["tokens"]);
      EXPECT_EQ(screened["text"], full["text"]);
      EXPECT_EQ(screened["logits_hash"], full["logits_hash"]);
    }
  }
}

// The same seed gives the same tokens on every backend, with any number of threads and any split of the prompt; other seeds
// give other tokens.
TEST_P(StoryText, SamplingDependsOnTheSeedAlone) {
  const Case& story = load_case(kStory);
  const Prompt& p = story.prompt("once");
  const auto sample = [&](const std::string& name, int seed, uint32_t threads, uint32_t step_tokens) {
    return run_model({.model = story.model,
                      .backend = name,
                      .ids = p.tokens,
                      .n_predict = 32,
                      .threads = threads,
                      .step_tokens = step_tokens,
                      .more = {"--seed", std::to_string(seed), "--temp", "1.1", "--top-p", "0.98", "--repeat-penalty", "1.1"}})
        .tokens;
  };
  std::set<std::vector<int32_t>> different;
  for (int seed : {1, 2, 3, 4, 5}) {
    const std::vector<int32_t> tokens = sample(backends().front(), seed, 1, 512);
    ASSERT_GE(tokens.size(), 8u) << "too short to tell";
    different.insert(tokens);
    for (uint32_t threads : {1u, 2u, 3u})
      EXPECT_EQ(sample(backend(), seed, threads, 512), tokens) << "seed " << seed << ", threads " << threads;
    EXPECT_EQ(sample(backend(), seed, 2, 3), tokens) << "seed " << seed << ", prompt in steps of 3";
    std::vector<int32_t> greedy(p.greedy.begin(),
                                p.greedy.begin() + std::min<std::ptrdiff_t>(32, static_cast<std::ptrdiff_t>(p.greedy.size())));
    EXPECT_NE(tokens, greedy) << "seed " << seed << " gave the most likely tokens";
  }
  EXPECT_EQ(different.size(), 5u) << "seeds that give the same tokens";
}

INSTANTIATE_TEST_SUITE_P(Backends, StoryText, testing::ValuesIn(one_by_one(backends())),
                         parameter_name<std::tuple<std::string>>);

}  // namespace
}  // namespace bitnet::golden_test
