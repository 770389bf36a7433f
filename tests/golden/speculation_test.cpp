// golden/speculation_test.cpp - guesses (--lookup) change nothing: tokens, text and logits of every model on every backend.
#include <gtest/gtest.h>

#include "golden/model_run.h"
#include "golden/reference.h"
#include "support/program.h"

namespace bitnet::golden_test {
namespace {

using Parameter = std::tuple<std::string, std::string>;  // backend, case
class Guesses : public BackendTest<Parameter> {
 protected:
  nlohmann::json run(const std::vector<int32_t>& ids, std::vector<std::string> more) const {
    std::string text;
    for (int32_t id : ids) text += std::to_string(id) + " ";
    more.insert(more.end(), {"-m", load_case(std::get<1>(GetParam())).model, "--backend", backend(), "--no-fallback",
                             "--prompt-ids", text, "-n", "40", "--seed", "9", "--json"});
    const std::vector<std::string> reading = reading_options(load_case(std::get<1>(GetParam())).model);
    more.insert(more.end(), reading.begin(), reading.end());
    const test::ProgramResult result = test::run_program(more);
    EXPECT_EQ(result.exit_code, 0) << result;
    return nlohmann::json::parse(result.out, nullptr, false);
  }
};

TEST_P(Guesses, ChangeNothing) {
  for (const Prompt& p : load_case(std::get<1>(GetParam())).prompts) {
    SCOPED_TRACE(p.name);
    std::vector<int32_t> ids = p.tokens;  // with what the model says to it, so that there is something to look up
    ids.insert(ids.end(), p.greedy.begin(), p.greedy.begin() + std::min<std::ptrdiff_t>(40, std::ssize(p.greedy)));
    ids.insert(ids.end(), p.tokens.begin(), p.tokens.end());
    for (const char* temperature : {"0", "0.7"}) {
      const nlohmann::json plain = run(ids, {"--temp", temperature}),
                           guessed = run(ids, {"--temp", temperature, "--lookup", "--draft-min", "4"});
      for (const char* field : {"tokens", "text", "finish_reason", "logits_hash"}) EXPECT_EQ(guessed[field], plain[field]);
      EXPECT_TRUE(guessed["speculation"].is_object());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Guesses, testing::Combine(testing::ValuesIn(backends()), testing::ValuesIn(case_names())),
                         parameter_name<Parameter>);

}  // namespace
}  // namespace bitnet::golden_test
