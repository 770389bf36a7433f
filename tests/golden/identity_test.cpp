// golden/identity_test.cpp - the same bits on every backend, with any number of threads, however the prompt is cut.
#include <gtest/gtest.h>

#include <algorithm>

#include "golden/model_run.h"
#include "golden/reference.h"

namespace bitnet::golden_test {
namespace {

using Parameter = std::tuple<std::string, std::string>;  // backend, case
class Identity : public BackendTest<Parameter> {
 protected:
  const Case& model() const { return load_case(std::get<1>(GetParam())); }
  // The longest prompt of the case.
  const std::vector<int32_t>& prompt() const {
    const auto shorter = [](const Prompt& a, const Prompt& b) { return a.tokens.size() < b.tokens.size(); };
    return std::max_element(model().prompts.begin(), model().prompts.end(), shorter)->tokens;
  }
  std::vector<float> logits(const std::string& name, uint32_t threads, uint32_t step_tokens, bool f16_kv) const {
    RunSettings settings{.model = model().model, .backend = name, .ids = prompt()};
    settings.threads = threads;
    settings.step_tokens = step_tokens;
    settings.f16_kv = f16_kv;
    return run_model(settings).logits;
  }
  void expect_same_bits(const std::vector<uint32_t>& thread_counts, const std::vector<uint32_t>& steps, bool f16_kv) const {
    const std::vector<float> plain = logits(backends().front(), 1, 512, f16_kv);
    for (uint32_t threads : thread_counts) {
      for (uint32_t step : steps) {
        EXPECT_TRUE(same_bits(logits(backend(), threads, step, f16_kv), plain)) << threads << " threads, steps of " << step;
      }
    }
  }
};

TEST_P(Identity, LogitsWithF32Cache) { expect_same_bits({1, 2, 3}, {512, 1, 3, 7}, false); }
TEST_P(Identity, LogitsWithF16Cache) { expect_same_bits({1, 3}, {512, 1, 7}, true); }

// A token processed while generating has the logits it has when it is part of the prompt.
TEST_P(Identity, GeneratingEqualsPrefilling) {
  const ModelRun generated =
      run_model({.model = model().model, .backend = backend(), .ids = prompt(), .n_predict = 12, .more = {"--greedy"}});
  std::vector<int32_t> ids = prompt();
  ASSERT_GE(generated.tokens.size(), 2u);
  ids.insert(ids.end(), generated.tokens.begin(), generated.tokens.end() - 1);  // the last one was not processed
  const ModelRun prefilled = run_model({.model = model().model, .backend = backend(), .ids = ids});
  EXPECT_TRUE(same_bits(generated.logits, prefilled.logits));
}

INSTANTIATE_TEST_SUITE_P(Models, Identity, testing::Combine(testing::ValuesIn(backends()), testing::ValuesIn(case_names())),
                         parameter_name<Parameter>);

}  // namespace
}  // namespace bitnet::golden_test
