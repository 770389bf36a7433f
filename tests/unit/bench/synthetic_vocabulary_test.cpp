// unit/bench/synthetic_vocabulary_test.cpp - the vocabulary loads, encodes every text and knows its special tokens.
#include "synthetic_vocabulary.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace bitnet::bench {
namespace {

Tokenizer tokenizer_of(const SyntheticVocabulary& v) {
  TokenizerData data;
  data.model = "gpt2";
  data.pre = "llama-bpe";
  data.tokens.assign(v.tokens.begin(), v.tokens.end());
  data.types.assign(v.types.begin(), v.types.end());
  data.merges.assign(v.merges.begin(), v.merges.end());
  data.bos = v.bos, data.eos = v.eos, data.eot = v.eot;
  data.add_bos = true;
  return Tokenizer::from_data(data, {.strict = true});
}

TEST(SyntheticVocabulary, EncodesEveryTextAndBack) {
  for (const uint32_t size : {259u, 320u, 5000u, 32002u, 128256u}) {
    const SyntheticVocabulary v = make_vocabulary(size);
    ASSERT_EQ(v.tokens.size(), size);
    EXPECT_EQ(std::set(v.tokens.begin(), v.tokens.end()).size(), size) << "names are unique";
    const Tokenizer tokenizer = tokenizer_of(v);
    EXPECT_TRUE(tokenizer.warnings().empty()) << tokenizer.warnings().front();
    std::string text = "Hello, the world of 2026: \xC3\xA4\xE2\x82\xAC \xF0\x9F\x98\x80\n\t";
    for (int byte = 0; byte < 256; ++byte) text.push_back(static_cast<char>(byte));
    const std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(ids.front(), static_cast<int32_t>(v.bos));
    EXPECT_EQ(tokenizer.decode(ids), text) << size;
    EXPECT_LT(tokenizer.encode("hello").size(), size > 5000 ? 4u : 7u) << "letters are merged";
  }
}

TEST(SyntheticVocabulary, HasTheSpecialTokensOfLlama3WhereItHasItsSize) {
  const Tokenizer tokenizer = tokenizer_of(make_vocabulary(128256));
  EXPECT_EQ(tokenizer.find_special("<|begin_of_text|>"), 128000);
  EXPECT_EQ(tokenizer.find_special("<|end_of_text|>"), 128001);
  EXPECT_EQ(tokenizer.find_special("<|reserved_special_token_3|>"), 128005);
  EXPECT_EQ(tokenizer.find_special("<|start_header_id|>"), 128006);
  EXPECT_EQ(tokenizer.find_special("<|reserved_special_token_4|>"), 128008);
  EXPECT_EQ(tokenizer.find_special("<|eot_id|>"), 128009);
  EXPECT_EQ(tokenizer.find_special("<|reserved_special_token_5|>"), 128010);
  EXPECT_EQ(tokenizer.find_special("<|reserved_special_token_250|>"), 128255);
  EXPECT_EQ(tokenizer.bos(), 128000);
  EXPECT_TRUE(tokenizer.is_end_of_generation(128001));
  EXPECT_TRUE(tokenizer.is_end_of_generation(128009));
}

TEST(SyntheticVocabulary, RefusesToBeSmallerThanItsBytes) { EXPECT_THROW(make_vocabulary(258), Error); }

}  // namespace
}  // namespace bitnet::bench
