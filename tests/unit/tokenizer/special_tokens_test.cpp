// unit/tokenizer/special_tokens_test.cpp - finding special texts, against a search that tries every token everywhere.
#include "tokenizer/special_tokens.h"

#include <gtest/gtest.h>

#include "small_vocabulary.h"

namespace bitnet {
namespace {

using test::random_text;

TEST(SpecialTokens, FindsTheFirstAndOfThoseTheLongest) {
  const SpecialTokens tokens({{"<|a|>", 1}, {"<|a|>b", 2}, {"b", 3}});
  const SpecialTokens::Cut cut = tokens.next("xx<|a|>bb", 0);
  EXPECT_EQ(cut.begin, 2u);
  EXPECT_EQ(cut.end, 8u);
  EXPECT_EQ(cut.id, 2);
  EXPECT_EQ(tokens.next("xx<|a|>bb", 8).id, 3);
  const SpecialTokens::Cut none = tokens.next("xx<|a|", 0);
  EXPECT_EQ(none.id, -1);
  EXPECT_EQ(none.begin, 6u);
}

TEST(SpecialTokens, FindsNamesExactly) {
  const SpecialTokens tokens({{"<|a|>", 7}, {"<|b|>", 2}, {"<|a|>", 1}});
  EXPECT_EQ(tokens.find("<|a|>"), 1);  // of equal texts the lowest id
  EXPECT_EQ(tokens.find("<|b|>"), 2);
  EXPECT_EQ(tokens.find("<|b|"), -1);
  EXPECT_EQ(tokens.find("<|c|>"), -1);
  EXPECT_EQ(SpecialTokens({}).find("a"), -1);
  EXPECT_EQ(SpecialTokens({}).next("abc", 0).begin, 3u);
}

TEST(SpecialTokens, EqualsTryingEveryTokenEverywhere) {
  std::mt19937 random(9);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> texts;
    const size_t n = 1 + random() % 12;
    for (size_t i = 0; i < n; ++i) texts.push_back(random_text(random, {"a", "b", "\xFF"}, 1 + random() % 5));
    std::vector<SpecialToken> list;
    for (size_t i = 0; i < n; ++i) list.push_back({texts[i], static_cast<int32_t>(i)});
    const SpecialTokens tokens(list);
    const std::string text = random_text(random, {"a", "b", "c", "\xFF"}, random() % 20);
    size_t begin = text.size(), longest = 0;
    for (size_t at = 0; at < text.size() && longest == 0; ++at) {
      for (const std::string& token : texts) {
        if (text.compare(at, token.size(), token) == 0 && token.size() > longest) begin = at, longest = token.size();
      }
    }
    const SpecialTokens::Cut cut = tokens.next(text, 0);
    ASSERT_EQ(cut.begin, begin);
    ASSERT_EQ(cut.end, begin + longest);
    ASSERT_EQ(cut.id < 0 ? "" : texts[static_cast<size_t>(cut.id)], text.substr(begin, longest));
  }
}

}  // namespace
}  // namespace bitnet
