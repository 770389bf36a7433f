// golden/logits_test.cpp - logits and NLL of every model and prompt against the reference, on every backend.
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "golden/compare.h"
#include "golden/model_run.h"
#include "golden/reference.h"

namespace bitnet::golden_test {
namespace {

using Parameter = std::tuple<std::string, std::string>;  // backend, case
class Golden : public BackendTest<Parameter> {
 protected:
  const Case& expected() const { return load_case(std::get<1>(GetParam())); }
  // Prompts with a text go through the tokenizer, as a customer's do.
  ModelRun run(const Case& c, const Prompt& p) const {
    RunSettings settings{.model = c.model, .backend = backend(), .ids = p.text ? std::vector<int32_t>{} : p.tokens};
    settings.text = p.text.value_or("");
    const ModelRun result = run_model(settings);
    EXPECT_EQ(result.report.at("model").at("sha256"), c.model_sha256) << "the reference was computed from another file";
    EXPECT_EQ(result.report.at("usage").at("prompt_tokens"), p.tokens.size());
    return result;
  }
};

TEST_P(Golden, LogitsAreWithinTolerance) {
  for (const Prompt& p : expected().prompts) {
    SCOPED_TRACE(p.name);
    const ModelRun result = run(expected(), p);
    ASSERT_EQ(result.logits.size(), p.logits.size());
    const LogitsDifference difference = compare_logits(result.logits, p.logits, expected().n_vocab, p.tolerance);
    EXPECT_TRUE(difference.allowed()) << difference.text();
    // Behind the strict rows a code may be another one and move a row; in most rows of a correct program none is.
    EXPECT_GE(2 * difference.rows_within_strict, p.tokens.size()) << difference.text();
    std::cout << p.name << ", " << p.tokens.size() << " rows: " << difference.text() << "\n";
  }
}

TEST_P(Golden, NllIsWithinTolerance) {
  for (const Prompt& p : expected().prompts) {
    if (p.nll.empty()) continue;  // a single token predicts nothing that is known
    SCOPED_TRACE(p.name);
    const ModelRun result = run(expected(), p);
    ASSERT_EQ(result.logits.size(), p.logits.size());
    double sum = 0, worst = 0;
    for (uint32_t row = 0; row < p.nll.size(); ++row) {
      const std::span<const float> logits(result.logits.data() + size_t{row} * expected().n_vocab, expected().n_vocab);
      const double nll = negative_log_likelihood(logits, p.tokens[row + 1]), limit = 2 * p.tolerance.limit_of_row(row);
      ASSERT_NEAR(nll, p.nll[row], limit) << "of token " << row + 1;
      worst = std::max(worst, std::fabs(nll - p.nll[row]) / limit);
      sum += nll;
    }
    EXPECT_NEAR(sum, p.nll_sum, p.nll_sum_max_abs);
    std::cout << p.name << ": worst token " << worst << " of the limit, sum " << std::fabs(sum - p.nll_sum) / p.nll_sum_max_abs
              << "\n";
  }
}

// With an f16 KV cache logits move by about what the reference saw when it did the same: more than half, less than twice that.
TEST_P(Golden, F16KvCacheMovesLogitsAsFarAsItShould) {
  const Case& c = expected();
  const Prompt& p = c.prompt(c.f16_kv_prompt);
  RunSettings settings{.model = c.model, .backend = backend(), .ids = p.tokens};
  settings.f16_kv = true;
  const ModelRun f16 = run_model(settings);
  ASSERT_EQ(f16.logits.size(), p.logits.size());
  Tolerance tolerance;
  tolerance.loose_max_abs = 2 * c.f16_kv_max_abs;
  tolerance.loose_rms = 2 * c.f16_kv_rms;
  const LogitsDifference difference = compare_logits(f16.logits, p.logits, c.n_vocab, tolerance);
  EXPECT_LE(difference.loose, 1) << difference.text();
  EXPECT_LE(difference.loose_rms, 1) << difference.text();
  EXPECT_GE(difference.loose_rms, 0.25) << "less than half of it: " << difference.text();
  std::cout << difference.text() << "\n";
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::Combine(testing::ValuesIn(backends()), testing::ValuesIn(case_names())),
                         parameter_name<Parameter>);

// The story model converted to other formats.
using StoryFormat = BackendTest<Parameter>;  // backend, format

TEST_P(StoryFormat, LogitsAreWithinTolerance) {
  const Case c = load_story_format(std::get<1>(GetParam()));
  const Prompt& p = c.prompts.front();
  const ModelRun result = run_model({.model = c.model, .backend = backend(), .ids = p.tokens});
  ASSERT_EQ(result.report.at("model").at("sha256"), c.model_sha256);
  ASSERT_EQ(result.logits.size(), p.logits.size());
  const LogitsDifference difference = compare_logits(result.logits, p.logits, c.n_vocab, p.tolerance);
  EXPECT_TRUE(difference.allowed()) << difference.text();
  std::cout << difference.text() << "\n";
}

INSTANTIATE_TEST_SUITE_P(Formats, StoryFormat,
                         testing::Combine(testing::ValuesIn(backends()), testing::Values("iq2_bn", "tq1_0", "tq2_0")),
                         parameter_name<Parameter>);

using StoryPair = BackendTest<std::tuple<std::string>>;

// Same trits and scales in another format: the same bits, not merely close ones.
TEST_P(StoryPair, Iq2BnGivesTheBitsOfI2S) {
  const Case& story = load_case(kStory);
  const Case converted = load_story_format("iq2_bn");
  for (const Prompt& p : story.prompts) {
    const ModelRun a =
        run_model({.model = story.model, .backend = backend(), .ids = p.tokens, .n_predict = 8, .more = {"--greedy"}});
    const ModelRun b =
        run_model({.model = converted.model, .backend = backend(), .ids = p.tokens, .n_predict = 8, .more = {"--greedy"}});
    EXPECT_TRUE(same_bits(a.logits, b.logits)) << p.name;
  }
}

TEST_P(StoryPair, Tq1AndTq2HoldTheSameModel) {
  const std::vector<int32_t> ids = load_case(kStory).prompt("long").tokens;
  const ModelRun a = run_model({.model = load_story_format("tq1_0").model, .backend = backend(), .ids = ids});
  const ModelRun b = run_model({.model = load_story_format("tq2_0").model, .backend = backend(), .ids = ids});
  EXPECT_TRUE(same_bits(a.logits, b.logits));
}

INSTANTIATE_TEST_SUITE_P(Backends, StoryPair, testing::ValuesIn(one_by_one(backends())),
                         parameter_name<std::tuple<std::string>>);

}  // namespace
}  // namespace bitnet::golden_test
