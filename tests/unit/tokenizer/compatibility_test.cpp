// unit/tokenizer/compatibility_test.cpp - the report on tokenizer and model: sizes, roles, round trips.
#include "tokenizer/compatibility.h"

#include <gtest/gtest.h>

#include "gguf/writer.h"
#include "small_vocabulary.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using test::SmallVocabulary;

class Compatibility : public testing::Test {
 protected:
  Compatibility() {
    v_.data.eos = v_.add("<|end|>", 3);
    v_.data.bos = v_.add("<|begin|>", 3);
  }
  // With 0 rows the model has no embeddings.
  CompatibilityReport check(uint64_t rows, bool strict = false) {
    const std::string path = folder_ / "model.gguf";
    gguf::Writer writer(path);
    writer.add_string("general.architecture", "llama");
    if (rows > 0) writer.skip(writer.add_tensor("token_embd.weight", gguf::Type::kF32, {8, rows}));
    writer.finish();
    return check_compatibility(Tokenizer::from_data(v_.data), gguf::File(path), strict);
  }
  static bool has(const std::vector<TokenizerFinding>& findings, TokenizerFault fault, const std::string& words) {
    for (const TokenizerFinding& f : findings) {
      if (f.fault == fault && f.message.find(words) != std::string::npos) return true;
    }
    return false;
  }

  test::TempFolder folder_;
  SmallVocabulary v_ = SmallVocabulary::byte_level();
};

TEST_F(Compatibility, AMatchHasNoErrors) {
  const CompatibilityReport report = check(258);
  EXPECT_TRUE(report.passed());
  EXPECT_EQ(report.vocab_size_match, true);
  EXPECT_TRUE(report.special_tokens_present && report.encoding_consistency);
  EXPECT_EQ(report.model_expectations.expected, 258u);
  EXPECT_EQ(report.model_expectations.actual, 258u);
  EXPECT_EQ(report.model_expectations.embedding_dim, 8u);
  EXPECT_TRUE(has(report.notes, TokenizerFault::kMissingSpecialToken, "pad"));
  EXPECT_TRUE(has(report.notes, TokenizerFault::kMissingSpecialToken, "unk"));
  EXPECT_EQ(report.notes.size(), 2u);
  EXPECT_TRUE(report.warnings.empty());
}

TEST_F(Compatibility, StrictAcceptsAModelWithoutPaddingAndUnknown) {
  EXPECT_TRUE(check(258, true).passed());
  EXPECT_EQ(check(258, true).notes.size(), 2u);
}

TEST_F(Compatibility, TokensWithoutRowsAreAnError) {
  const CompatibilityReport report = check(257);
  EXPECT_FALSE(report.passed());
  EXPECT_EQ(report.vocab_size_match, false);
  EXPECT_TRUE(has(report.errors, TokenizerFault::kVocabSizeMismatch, "258 tokens, token_embd.weight only 257 rows"));
}

TEST_F(Compatibility, RowsWithoutTokensAreAWarning) {
  EXPECT_TRUE(check(300).passed());
  EXPECT_TRUE(has(check(300).warnings, TokenizerFault::kVocabSizeMismatch, "258 tokens, token_embd.weight 300 rows"));
  EXPECT_FALSE(check(300, true).passed());
  EXPECT_TRUE(has(check(300, true).errors, TokenizerFault::kVocabSizeMismatch, "300 rows"));
}

TEST_F(Compatibility, WithoutEmbeddingsNothingIsCompared) {
  const CompatibilityReport report = check(0);
  EXPECT_EQ(report.vocab_size_match, std::nullopt);
  EXPECT_EQ(report.model_expectations.expected, std::nullopt);
  EXPECT_TRUE(report.passed());
}

TEST_F(Compatibility, AModelThatCannotEndIsAnError) {
  v_.data.eos.reset();
  const CompatibilityReport report = check(258);
  EXPECT_FALSE(report.special_tokens_present);
  EXPECT_TRUE(has(report.errors, TokenizerFault::kMissingSpecialToken, "would never end"));
  EXPECT_EQ(fault_name(report.errors[0].fault), "MissingSpecialToken");
}

TEST_F(Compatibility, TextThatDoesNotComeBack) {
  v_.data.tokens['w'] = "ww";  // the byte w has no token
  v_.data.ignore_merges = false;
  const CompatibilityReport report = check(258);
  EXPECT_FALSE(report.encoding_consistency);
  EXPECT_TRUE(has(report.errors, TokenizerFault::kEncodingInconsistent, "Hello, world!"));
  EXPECT_TRUE(has(report.warnings, TokenizerFault::kEncodingInconsistent, "the texts of 1 tokens"));
  EXPECT_TRUE(has(report.notes, TokenizerFault::kEncodingInconsistent, "1 of the 256 bytes"));
}

}  // namespace
}  // namespace bitnet
