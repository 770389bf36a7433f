// golden/tokens_test.cpp - texts to token ids through the program, as the reference's tokenizer does it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "golden/reference.h"
#include "support/files.h"
#include "support/program.h"

namespace bitnet::golden_test {
namespace {

using Tokens = std::vector<int32_t>;

TEST(HeldOutText, TokenizesAsTheReferenceSays) {
  const test::ProgramResult result =
      test::run_program({"tokenize", "-m", load_case(kStory).model, "-f", data_path("story/heldout_text.txt"), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const Tokens tokens = nlohmann::json::parse(result.out).at("tokens").get<Tokens>();
  EXPECT_EQ(tokens, test::read_numbers<int32_t>(data_path("story/heldout_tokens.i32.bin")));
}

TEST(Prompts, TokenizeAsTheReferenceSays) {
  size_t compared = 0;
  for (const Prompt& p : load_case(kStory).prompts) {
    if (!p.text) continue;
    const test::ProgramResult result =
        test::run_program({"tokenize", "-m", load_case(kStory).model, "--add-special", "--json", "-p", *p.text});
    ASSERT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(nlohmann::json::parse(result.out).at("tokens").get<Tokens>(), p.tokens) << p.name;
    ++compared;
  }
  EXPECT_GE(compared, 5u);
}

}  // namespace
}  // namespace bitnet::golden_test
