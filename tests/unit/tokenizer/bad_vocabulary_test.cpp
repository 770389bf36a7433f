// unit/tokenizer/bad_vocabulary_test.cpp - files whose tokenizer keys are missing, contradictory, hostile or huge.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "base/error.h"
#include "gguf/reader.h"
#include "gguf/writer.h"
#include "small_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {
namespace {

using test::SmallVocabulary;
using test::spell;

struct BadCase {
  const char* name;
  bool sentencepiece;
  std::function<void(SmallVocabulary&)> spoil;
  const char* expected;  // part of the message
};

void PrintTo(const BadCase& c, std::ostream* out) { *out << c.name; }

class BadVocabulary : public testing::TestWithParam<BadCase> {};

TEST_P(BadVocabulary, IsAnInvalidModelWithOneLine) {
  SmallVocabulary v = GetParam().sentencepiece ? SmallVocabulary::sentencepiece() : SmallVocabulary::byte_level();
  ASSERT_NO_THROW(Tokenizer::from_data(v.data));  // sound until spoiled
  GetParam().spoil(v);
  try {
    Tokenizer::from_data(v.data);
    FAIL() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidModel);
    const std::string message = error.what();
    EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadVocabulary,
    testing::Values(
        BadCase{"UnknownModel", false, [](auto& v) { v.data.model = "bert\n"; }, "tokenizer.ggml.model is \"bert\\n\""},
        BadCase{"UnknownPre", false, [](auto& v) { v.data.pre = "new-bpe"; }, "\"new-bpe\", expected one of llama-bpe"},
        BadCase{"NoTokens", false, [](auto& v) { v.data.tokens.clear(); }, "tokenizer.ggml.tokens is missing"},
        BadCase{"TooFewTypes", false, [](auto& v) { v.data.types.pop_back(); }, "token_type has 255 elements, expected 256"},
        BadCase{"TooManyTypes", false, [](auto& v) { v.data.types.push_back(1); }, "token_type has 257"},
        BadCase{"TypeZero", false, [](auto& v) { v.data.types[3] = 0; }, "token_type[3] is 0"},
        BadCase{"TypeSeven", false, [](auto& v) { v.data.types[9] = 7; }, "token_type[9] is 7"},
        BadCase{"TypeHuge", false, [](auto& v) { v.data.types[9] = int64_t{1} << 32 | 1; }, "token_type[9] is 4294967297"},
        BadCase{"NoScores", true, [](auto& v) { v.data.scores.clear(); }, "scores has 0 elements, expected 259"},
        BadCase{"TooManyScores", true, [](auto& v) { v.data.scores.push_back(1); }, "scores has 260"},
        BadCase{"ScoreNotANumber", true, [](auto& v) { v.data.scores[5] = NAN; }, "scores[5] is not a number"},
        BadCase{"ByteTokenWithoutByte", true, [](auto& v) { v.data.tokens[7] = "<0x4G>"; }, "tokens[7] is \"<0x4G>\""},
        BadCase{"BosIsVocabularySize", false, [](auto& v) { v.data.bos = 256; }, "bos_token_id is 256"},
        BadCase{"EosIsMinusOne", false, [](auto& v) { v.data.eos = -1; }, "eos_token_id is -1"},
        BadCase{"EotIsAllOnes", false, [](auto& v) { v.data.eot = 4294967295; }, "eot_token_id is 4294967295"},
        BadCase{"EomBeyondInt32", false, [](auto& v) { v.data.eom = int64_t{1} << 32; }, "eom_token_id is 4294967296"},
        BadCase{"UnknownOutside", false, [](auto& v) { v.data.unk = 1000; }, "unknown_token_id is 1000"},
        BadCase{"PadOutside", true, [](auto& v) { v.data.pad = 259; }, "padding_token_id is 259"},
        BadCase{"MergeOfUnknownLeft", false, [](auto& v) { v.data.merges = {"zz a"}; }, "merges[0] is \"zz a\", but \"zz\""},
        BadCase{"MergeOfUnknownRight", false, [](auto& v) { v.data.merges = {"a zz"}; }, "but \"zz\""},
        BadCase{"MergeIntoUnknown", false, [](auto& v) { v.data.merges = {"a b"}; }, "but \"ab\""},
        BadCase{"MergeOfForeignCharacters", false, [](auto& v) { v.data.merges = {"中 a"}; }, "but \"中\""},
        BadCase{"MergeWithoutSpace", false, [](auto& v) { v.data.merges = {"ab"}; }, "expected two tokens"},
        BadCase{"MergeWithoutRight", false, [](auto& v) { v.data.merges = {"a "}; }, "expected two tokens"},
        BadCase{"MergeOfALiteralSpace", false, [](auto& v) { v.data.merges = {"  a"}; }, "but \" \" is no token"},
        BadCase{"MergeEmpty", false, [](auto& v) { v.data.merges = {""}; }, "expected two tokens"},
        BadCase{"MergeOfASpace", false, [](auto& v) { v.data.merges = {" "}; }, "expected two tokens"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(OddVocabulary, DuplicateTokensLoadWithAWarningAndTheFirstEncodes) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  const int32_t again = v.add("a");
  const Tokenizer tokenizer = Tokenizer::from_data(v.data);
  EXPECT_EQ(tokenizer.encode("a", {.add_special = false}), (std::vector<int32_t>{'a'}));
  EXPECT_EQ(tokenizer.token_bytes(again), "a");
  ASSERT_EQ(tokenizer.warnings().size(), 1u);
  EXPECT_NE(tokenizer.warnings()[0].find("(for example 97 and 256)"), std::string::npos) << tokenizer.warnings()[0];
}

TEST(OddVocabulary, EmptyAndForeignTokensLoad) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  const int32_t empty = v.add("");
  const int32_t empty_control = v.add("", 3);
  const int32_t foreign = v.add("中 文\xFF");  // no byte-level spelling: taken as it is
  const Tokenizer tokenizer = Tokenizer::from_data(v.data);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{empty, empty_control, foreign}), "中 文\xFF");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("ab", {.parse_special = true})), "ab");
}

TEST(OddVocabulary, ATokenMergedWithItselfLoads) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  v.data.pre = "gpt-2";
  const int32_t aa = v.add_merge("a", "a");
  EXPECT_EQ(Tokenizer::from_data(v.data).encode("aaa", {.add_special = false}), (std::vector<int32_t>{aa, 'a'}));
}

TEST(OddVocabulary, TenMillionMergeRulesLoad) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  v.data.pre = "gpt-2";
  const int32_t ab = v.add_merge("a", "b");
  const int32_t bc = v.add_merge("b", "c");
  constexpr size_t kMany = BITNET_SANITIZED ? 1'000'000 : 10'000'000;
  v.data.merges.reserve(kMany);
  while (v.data.merges.size() < kMany) v.data.merges.push_back(v.data.merges[v.data.merges.size() % 2]);
  EXPECT_EQ(Tokenizer::from_data(v.data).encode("abbc", {.add_special = false}), (std::vector<int32_t>{ab, bc}));
}

TEST(OddVocabulary, ManyRulesOfTokensThatCannotMergeAreLeftOutQuickly) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  for (int i = 0; i < 2000; ++i) v.add("<|" + std::to_string(i) + "|>", 3);
  v.add("<|0|>a", 3);
  for (int i = 0; i < 1'000'000; ++i) v.data.merges.push_back("<|0|> a");
  EXPECT_EQ(Tokenizer::from_data(v.data).encode("a", {.add_special = false}), (std::vector<int32_t>{'a'}));
}

// The same through a file, where keys can also be missing or of a wrong type.
class File : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "bitnet_tokenizer_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::function<void(gguf::Writer&)>& add_keys) {
    const std::string path = folder_ + "/model.gguf";
    gguf::Writer writer(path);
    add_keys(writer);
    writer.finish();
    return path;
  }
  void expect_invalid(const std::function<void(gguf::Writer&)>& add_keys, const std::string& expected) {
    const std::string path = write(add_keys);
    try {
      Tokenizer::from_gguf(gguf::File(path));
      FAIL() << "was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalidModel);
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
  }
  static void add_bytes(gguf::Writer& writer) {
    const SmallVocabulary v = SmallVocabulary::byte_level();
    writer.add_string("tokenizer.ggml.model", "gpt2");
    writer.add_string("tokenizer.ggml.pre", "llama-bpe");
    writer.add_string_array("tokenizer.ggml.tokens", v.data.tokens);
  }
  static void add_no_merges(gguf::Writer& writer) {
    writer.add_string_array("tokenizer.ggml.merges", std::vector<std::string_view>{});
  }

  std::string folder_;
};

TEST_F(File, ReadsEveryKey) {
  const std::string path = write([](gguf::Writer& writer) {
    SmallVocabulary v = SmallVocabulary::byte_level();
    v.add_merge("a", "b");
    for (const char* name : {"<bos>", "<eos>", "<eot>", "<eom>", "<unk>", "<pad>"}) v.add(name, 3);
    writer.add_string("tokenizer.ggml.model", "gpt2");
    writer.add_string("tokenizer.ggml.pre", "qwen2");
    writer.add_string_array("tokenizer.ggml.tokens", v.data.tokens);
    writer.add_array<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>(v.data.types.begin(), v.data.types.end()));
    writer.add_string_array("tokenizer.ggml.merges", v.data.merges);
    const char* keys[] = {"bos", "eos", "eot", "eom", "unknown", "padding"};
    for (uint32_t i = 0; i < 6; ++i) writer.add_key<uint32_t>(std::string("tokenizer.ggml.") + keys[i] + "_token_id", 257 + i);
    writer.add_key<bool>("tokenizer.ggml.add_bos_token", true);
    writer.add_key<bool>("tokenizer.ggml.add_eos_token", true);
  });
  const Tokenizer tokenizer = Tokenizer::from_gguf(gguf::File(path), {.strict = true});
  EXPECT_EQ(tokenizer.encode("ab"), (std::vector<int32_t>{257, 256, 258}));
  EXPECT_EQ(tokenizer.eot(), 259);
  EXPECT_EQ(tokenizer.eom(), 260);
  EXPECT_EQ(tokenizer.unk(), 261);
  EXPECT_EQ(tokenizer.pad(), 262);
  EXPECT_EQ(tokenizer.pre(), "qwen2");
  EXPECT_EQ(tokenizer.model(), "gpt2");
  EXPECT_TRUE(tokenizer.add_eos());
}

TEST_F(File, ReadsSentencePieceKeys) {
  const std::string path = write([](gguf::Writer& writer) {
    SmallVocabulary v = SmallVocabulary::sentencepiece();
    v.add_piece("ab", -1);
    v.add_piece("a", -2);
    v.add_piece("b", -3);
    writer.add_string("tokenizer.ggml.model", "llama");
    writer.add_string_array("tokenizer.ggml.tokens", v.data.tokens);
    writer.add_array<float>("tokenizer.ggml.scores", v.data.scores);
    writer.add_array<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>(v.data.types.begin(), v.data.types.end()));
    writer.add_key<uint32_t>("tokenizer.ggml.bos_token_id", 1);
    writer.add_key<bool>("tokenizer.ggml.add_space_prefix", false);
  });
  EXPECT_EQ(Tokenizer::from_gguf(gguf::File(path), {.strict = true}).encode("ab"), (std::vector<int32_t>{1, 259}));
}

TEST_F(File, WithoutTokenizerKeys) {
  expect_invalid([](gguf::Writer& writer) { writer.add_string("general.architecture", "bitnet"); }, "tokenizer.ggml.model");
}

TEST_F(File, WithoutMerges) { expect_invalid(add_bytes, "tokenizer.ggml.merges is missing"); }

TEST_F(File, TokensOfAnotherType) {
  expect_invalid(
      [](gguf::Writer& writer) {
        writer.add_string("tokenizer.ggml.model", "gpt2");
        writer.add_array<int32_t>("tokenizer.ggml.tokens", std::vector<int32_t>{1, 2});
      },
      "tokenizer.ggml.tokens");
}

TEST_F(File, TypesOfAnotherType) {
  expect_invalid(
      [](gguf::Writer& writer) {
        add_bytes(writer);
        add_no_merges(writer);
        writer.add_array<float>("tokenizer.ggml.token_type", std::vector<float>(256, 1.0f));
      },
      "tokenizer.ggml.token_type");
}

TEST_F(File, AnIdOutsideTheVocabulary) {
  expect_invalid(
      [](gguf::Writer& writer) {
        add_bytes(writer);
        add_no_merges(writer);
        writer.add_key<uint32_t>("tokenizer.ggml.eos_token_id", 0xFFFFFFFFu);
      },
      "eos_token_id is 4294967295");
}

TEST_F(File, ANegativeId) {
  expect_invalid(
      [](gguf::Writer& writer) {
        add_bytes(writer);
        add_no_merges(writer);
        writer.add_key<int32_t>("tokenizer.ggml.padding_token_id", -1);
      },
      "padding_token_id is -1");
}

}  // namespace
}  // namespace bitnet
