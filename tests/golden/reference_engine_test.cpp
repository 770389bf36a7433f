// golden/reference_engine_test.cpp - the SDK's reference engine gives the bits of the runtime's own graph.
//
// It is reached through the mock (mode faithful, tier engine), which without faults is that engine and nothing else.
#include <gtest/gtest.h>

#include <algorithm>

#include "golden/model_run.h"
#include "golden/reference.h"

namespace bitnet::golden_test {
namespace {

class ReferenceEngine : public testing::TestWithParam<std::string> {
 protected:
  static ModelRun run(const std::string& backend, const RunSettings& settings) {
    RunSettings s = settings;
    s.backend = backend;
    if (backend == "mock") s.more.insert(s.more.end(), {"--mock-mode", "faithful", "--mock-tier", "engine"});
    return run_model(s);
  }
  // Both must say the same; returns the run of the engine.
  static ModelRun expect_same(const RunSettings& settings) {
    const ModelRun graph = run("cpu_portable", settings), engine = run("mock", settings);
    EXPECT_TRUE(same_bits(engine.logits, graph.logits));
    EXPECT_EQ(engine.tokens, graph.tokens);
    return engine;
  }
  static const Prompt& longest() {
    const auto shorter = [](const Prompt& a, const Prompt& b) { return a.tokens.size() < b.tokens.size(); };
    const std::vector<Prompt>& prompts = load_case(GetParam()).prompts;
    return *std::max_element(prompts.begin(), prompts.end(), shorter);
  }
};

TEST_P(ReferenceEngine, LogitsOfEveryPrompt) {
  for (const Prompt& prompt : load_case(GetParam()).prompts) {
    SCOPED_TRACE(prompt.name);
    expect_same({.model = load_case(GetParam()).model, .backend = "", .ids = prompt.tokens});
  }
}

TEST_P(ReferenceEngine, LogitsWithF16Cache) {
  expect_same({.model = load_case(GetParam()).model, .backend = "", .ids = longest().tokens, .f16_kv = true});
}

TEST_P(ReferenceEngine, SampledTokensAndTheirLogits) {
  const std::vector<int32_t>& tokens = longest().tokens;
  const std::vector<int32_t> start(tokens.begin(), tokens.begin() + static_cast<long>(std::min<size_t>(tokens.size(), 7)));
  const ModelRun run = expect_same({.model = load_case(GetParam()).model,
                                    .backend = "",
                                    .ids = start,
                                    .n_predict = 20,
                                    .more = {"--seed", "3", "--temp", "1.1", "--ignore-eos"}});
  EXPECT_EQ(run.tokens.size(), 20u);
}

INSTANTIATE_TEST_SUITE_P(Models, ReferenceEngine, testing::ValuesIn(case_names()),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace bitnet::golden_test
