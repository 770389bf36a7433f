// unit/tokenizer/tokenizer_test.cpp - special tokens, ids with a role, options, and what counts as a guess.
#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "small_vocabulary.h"

namespace bitnet {
namespace {

using test::SmallVocabulary;
using test::spell;
using Ids = std::vector<int32_t>;

class Chat : public testing::Test {
 protected:
  Chat() {
    ab_ = v_.add_merge("a", "b");
    bos_ = v_.add("<|begin_of_text|>", 3);
    eos_ = v_.add("<|end_of_text|>", 3);
    eot_ = v_.add("<|eot_id|>", 3);
    user_ = v_.add("[X Y]", 4);
    odd_ = v_.add("<|odd|>", 1);  // of the form, but not marked
    v_.data.bos = bos_;
    v_.data.eos = eos_;
    v_.data.add_bos = true;
  }
  Tokenizer make(bool strict = false) const { return Tokenizer::from_data(v_.data, {.strict = strict}); }

  SmallVocabulary v_ = SmallVocabulary::byte_level();
  int32_t ab_, bos_, eos_, eot_, user_, odd_;
};

TEST_F(Chat, ControlTextOfAUserStaysText) {
  const Tokenizer tokenizer = make();
  for (const std::string text : {"<|eot_id|>", "a<|begin_of_text|>b<|odd|>", "<|end_of_text|><|eot_id|>"}) {
    const Ids ids = tokenizer.encode(text, {.add_special = false});
    for (const int32_t id : ids) EXPECT_FALSE(tokenizer.is_control(id)) << text;
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
}

TEST_F(Chat, AWholePieceOrAMergeCannotYieldAControlTokenEither) {
  // "<|" and "|>" are pieces of their own, so these names could be found as a whole piece.
  const int32_t control = v_.add("ab", 3);
  v_.data.merges.push_back(v_.keep("a " + spell("c")));
  v_.add("ac", 3);
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.encode("ab", {.add_special = false}), (Ids{ab_}));
  EXPECT_EQ(tokenizer.encode("ac", {.add_special = false}), (Ids{'a', 'c'}));
  EXPECT_EQ(tokenizer.encode("ab", {.add_special = false, .parse_special = true}), (Ids{control}));
}

TEST_F(Chat, ParsedSpecialTextBecomesTokens) {
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.encode("ab<|eot_id|>ab<|odd|>", {.parse_special = true}), (Ids{bos_, ab_, eot_, ab_, odd_}));
  EXPECT_EQ(tokenizer.encode("<|eot_id", {.add_special = false, .parse_special = true}).size(), 8u);
}

TEST_F(Chat, UserDefinedTokensAreAlwaysCutOut) {
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.encode("ab[X Y]ab", {.add_special = false}), (Ids{ab_, user_, ab_}));
  EXPECT_EQ(tokenizer.decode(Ids{user_}), "[X Y]");
  EXPECT_FALSE(tokenizer.is_control(user_));
}

TEST_F(Chat, BosAndEosByTheFilesFlags) {
  EXPECT_EQ(make().encode("ab"), (Ids{bos_, ab_}));
  EXPECT_EQ(make().encode("ab", {.add_special = false}), (Ids{ab_}));
  EXPECT_EQ(make().encode(""), (Ids{bos_}));
  v_.data.add_eos = true;
  v_.data.add_bos = false;
  EXPECT_EQ(make().encode("ab"), (Ids{ab_, eos_}));
  v_.data.add_bos.reset();  // llama-bpe asks for it by default, gpt-2 does not
  EXPECT_TRUE(make().add_bos());
  v_.data.pre = "gpt-2";
  EXPECT_FALSE(make().add_bos());
}

TEST_F(Chat, AFlagWithoutItsIdIsAGuess) {
  v_.data.bos.reset();
  const Tokenizer tokenizer = make();
  EXPECT_FALSE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.encode("ab"), (Ids{ab_}));
  ASSERT_EQ(tokenizer.warnings().size(), 1u);
  EXPECT_NE(tokenizer.warnings()[0].find("bos_token_id"), std::string::npos);
  EXPECT_THROW(make(true), Error);
}

TEST_F(Chat, DecodingLeavesControlTokensOutUnlessAsked) {
  const Tokenizer tokenizer = make();
  const Ids ids{bos_, ab_, odd_, eot_, 'c'};
  EXPECT_EQ(tokenizer.decode(ids), "abc");
  EXPECT_EQ(tokenizer.decode(ids, {.control_tokens = true}), "<|begin_of_text|>ab<|odd|><|eot_id|>c");
  EXPECT_EQ(tokenizer.token_bytes(eot_), "");
  EXPECT_EQ(tokenizer.token_text(eot_), "<|eot_id|>");
  EXPECT_EQ(tokenizer.token_bytes(ab_), "ab");
}

TEST_F(Chat, IdsOutsideTheVocabularyAreErrors) {
  const Tokenizer tokenizer = make();
  for (const int32_t id : {-1, static_cast<int32_t>(tokenizer.size()), INT32_MAX, INT32_MIN}) {
    EXPECT_THROW(tokenizer.token_bytes(id), Error);
    EXPECT_THROW(tokenizer.decode(Ids{id}), Error);
    EXPECT_FALSE(tokenizer.is_control(id));
    EXPECT_FALSE(tokenizer.is_end_of_generation(id));
  }
}

TEST_F(Chat, EndOfGenerationByKeyAndByName) {
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.end_of_generation_ids(), (Ids{eos_, eot_}));
  EXPECT_TRUE(tokenizer.is_end_of_generation(eot_));
  EXPECT_FALSE(tokenizer.is_end_of_generation(bos_));
  EXPECT_EQ(tokenizer.eot(), eot_);
  v_.data.eot = user_;
  v_.data.eom = ab_;
  EXPECT_EQ(make().end_of_generation_ids(), (Ids{ab_, eos_, eot_, user_}));
  EXPECT_EQ(make().eot(), user_);
  for (const char* name : {"<|im_end|>", "<|endoftext|>", "<end_of_turn>", "</s>", "<|eom_id|>"}) {
    const int32_t id = v_.add(name, 3);
    EXPECT_TRUE(make().is_end_of_generation(id)) << name;
  }
}

TEST_F(Chat, AnOrdinaryTokenSpelledLikeAnEndIsNone) {
  const int32_t id = v_.add("</s>", 1);
  EXPECT_FALSE(make().is_end_of_generation(id));
  EXPECT_FALSE(make().is_control(id));
}

TEST_F(Chat, TheLimitCutsTheResult) {
  v_.data.add_eos = true;
  const Tokenizer tokenizer = make();
  const Ids all = tokenizer.encode("ab cd <|eot_id|> ef", {.parse_special = true});
  for (size_t limit = 0; limit <= all.size() + 1; ++limit) {
    const Ids some = tokenizer.encode("ab cd <|eot_id|> ef", {.parse_special = true, .max_tokens = limit});
    EXPECT_EQ(some, Ids(all.begin(), all.begin() + static_cast<ptrdiff_t>(std::min(limit, all.size())))) << limit;
  }
}

TEST_F(Chat, FindsSpecialTokensByName) {
  const Tokenizer tokenizer = make();
  EXPECT_EQ(tokenizer.find_special("<|eot_id|>"), eot_);
  EXPECT_EQ(tokenizer.find_special("[X Y]"), user_);
  EXPECT_EQ(tokenizer.find_special("ab"), std::nullopt);
}

TEST_F(Chat, AMissingPreTokenizerIsAGuess) {
  for (const std::optional<std::string>& pre : {std::optional<std::string>(), std::optional<std::string>("default")}) {
    v_.data.pre = pre;
    const Tokenizer tokenizer = make();
    EXPECT_EQ(tokenizer.pre(), "gpt-2");
    EXPECT_TRUE(tokenizer.pre_inferred());
    ASSERT_EQ(tokenizer.warnings().size(), 1u);
    EXPECT_NE(tokenizer.warnings()[0].find("tokenizer.ggml.pre"), std::string::npos);
    EXPECT_THROW(make(true), Error);
  }
  v_.data.pre = "llama-bpe";
  EXPECT_FALSE(make(true).pre_inferred());
  EXPECT_TRUE(make(true).warnings().empty());
}

TEST_F(Chat, TheLlama3VocabularyIsKnownByItsSizeAndFirstSpecialToken) {
  v_.data.pre.reset();
  while (v_.data.tokens.size() < 128000) v_.add("filler" + std::to_string(v_.data.tokens.size()), 5);
  v_.add("<|begin_of_text|>", 3);
  while (v_.data.tokens.size() < 128255) v_.add("filler" + std::to_string(v_.data.tokens.size()), 5);
  EXPECT_EQ(make().pre(), "gpt-2");  // one token short
  v_.add("last", 5);
  EXPECT_EQ(make(true).pre(), "llama-bpe");
  EXPECT_TRUE(make(true).pre_inferred());
  v_.data.tokens[128000] = "other";
  EXPECT_EQ(make().pre(), "gpt-2");
}

TEST_F(Chat, WithoutTypesRolesAndFormsTellControlTokens) {
  const int32_t slash_s = v_.add("</s>", 3);
  v_.data.types.clear();
  v_.data.eot = slash_s;
  const Tokenizer tokenizer = make();
  for (const int32_t id : {bos_, eos_, eot_, odd_, slash_s}) EXPECT_TRUE(tokenizer.is_control(id)) << id;
  EXPECT_FALSE(tokenizer.is_control(ab_));
  EXPECT_TRUE(tokenizer.is_end_of_generation(slash_s));
  EXPECT_EQ(tokenizer.warnings().size(), 1u);
  EXPECT_THROW(make(true), Error);
}

TEST_F(Chat, FalconsShortAngleTokenIsText) {
  const int32_t id = v_.add("<|>", 1);
  EXPECT_FALSE(make().is_control(id));
}

}  // namespace
}  // namespace bitnet
