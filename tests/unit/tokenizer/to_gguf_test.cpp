// unit/tokenizer/to_gguf_test.cpp - rules that merge characters as scores in GGUF keys: recorded ids, every short text of many
// small vocabularies, and what has no scores.
#include "tokenizer/to_gguf.h"

#include <random>
#include <sstream>

#include "gguf/writer.h"
#include "small_json.h"
#include "tokenizer/character_bpe.h"
#include "tokenizer/sentencepiece_bpe.h"
#include "tokenizer/to_files.h"

namespace bitnet {
namespace {

using test::json;

const std::string kData = std::string(BITNET_TEST_DATA) + "/tokenizers/";
const std::string kFiles = std::string(BITNET_TOKENIZER_FILES) + "/";

class ToGguf : public test::TokenizerFolder {
 protected:
  // The tokenizer of a GGUF file with the keys that are made of a tokenizer.json.
  Tokenizer through_keys(const std::string& path) {
    const gguf::KeyValues keys = tokenizer_keys(path, nullptr);
    const std::string made = folder_ / "made.gguf";
    gguf::Writer writer(made);
    for (const gguf::KeyValue& entry : keys.entries()) writer.add_copy(entry);
    writer.finish();
    const gguf::File file(made);
    EXPECT_EQ(file.find("tokenizer.ggml.merges"), nullptr);
    return Tokenizer::from_gguf(file);
  }
  std::string refusal_of(const json& file) {
    write("tokenizer.json", file);
    try {
      tokenizer_keys(folder_ / "tokenizer.json", nullptr);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
    return "was accepted";
  }
};

std::vector<std::string> recorded_texts() {
  std::string texts = test::read_text(kData + "texts.inp");
  const std::string separator = "\n__ggml_vocab_test__\n";
  texts += separator;
  std::vector<std::string> out;
  for (size_t at = 0, end = 0; (end = texts.find(separator, at)) != texts.npos; at = end + separator.size()) {
    out.push_back(texts.substr(at, end - at));
  }
  return out;
}

TEST_F(ToGguf, RecordedIdsOfLlama2) {
  const Tokenizer made = through_keys(kFiles + "llama-spm/tokenizer.json");
  std::istringstream lines(test::read_text(kData + "llama-spm.out"));
  size_t count = 0;
  for (const std::string& text : recorded_texts()) {
    std::string line;
    std::getline(lines, line);  // the last text is empty and has no line
    std::vector<int32_t> expected;
    std::istringstream ids(line);
    for (int32_t id; ids >> id;) expected.push_back(id);
    EXPECT_EQ(made.encode(text, {.add_special = false}), expected) << "text " << count++;
  }
  EXPECT_EQ(made.encode("a").at(0), 1) << "and a begin in front";
}

// With a space in front and without; texts of many tokens, and the recorded ones.
TEST_F(ToGguf, TokensAreThoseOfTheRules) {
  for (const std::string name : {"llama-spm/tokenizer.json", "llama-spm/no_prefix/tokenizer.json"}) {
    SCOPED_TRACE(name);
    const Tokenizer rules = Tokenizer::from_file(kFiles + name), made = through_keys(kFiles + name);
    EXPECT_EQ(difference(rules, made), "");
    for (const std::string& text : recorded_texts()) {
      EXPECT_EQ(made.encode(text, {.parse_special = true}), rules.encode(text, {.parse_special = true})) << text;
    }
    std::mt19937 random(7);
    for (int round = 0; round < 50; ++round) {
      std::string text;
      for (int i = 0; i < 200; ++i) text += rules.token_text(static_cast<int32_t>(3 + random() % (rules.size() - 3)));
      ASSERT_EQ(made.encode(text), rules.encode(text)) << round;
    }
  }
}

// Vocabularies over three characters with rules at random: incomplete, in any order, of tokens that never come about, with
// texts that overlap themselves. Every text of up to 8 characters gets the tokens of the rules, or there are no scores.
TEST_F(ToGguf, EveryShortTextOfManySmallVocabularies) {
  std::mt19937 random(11);
  constexpr size_t kLongest = BITNET_SANITIZED ? 6 : 8;  // a ninth of the texts
  std::vector<std::string> texts = {""};
  for (size_t i = 0; texts[i].size() < kLongest; ++i) {
    for (const char c : {'a', 'b', ' '}) texts.push_back(texts[i] + c);
  }
  int with_scores = 0, without = 0;
  for (int round = 0; round < 400; ++round) {
    test::SmallVocabulary v = test::SmallVocabulary::sentencepiece();
    std::vector<std::string> pieces = {"a", "b", "\u2581"};
    if (round % 5 == 0) pieces.erase(pieces.begin() + 1);  // a character without a token
    for (const std::string& piece : pieces) v.add(piece);
    if (round % 10 == 0) v.add("ab");
    const size_t rules = 2 + random() % 6;
    std::vector<std::string> merges;
    for (size_t i = 0; i < rules; ++i) {
      const std::string left = pieces[random() % pieces.size()], right = pieces[random() % pieces.size()];
      if (std::find(pieces.begin(), pieces.end(), left + right) == pieces.end()) {
        pieces.push_back(left + right);
        v.add(left + right);
      }
      if (random() % 6 != 0) merges.push_back(left + " " + right);
    }
    if (merges.empty()) continue;
    std::shuffle(merges.begin(), merges.end(), random);
    v.data.merges.assign(merges.begin(), merges.end());
    v.data.scores.clear();
    v.data.split_at_spaces = round % 3 == 0;
    std::vector<std::string> warnings;
    const Vocabulary vocabulary(v.data, Spelling::kSentencePiece, warnings);
    const CharacterBpe by_rules(v.data, vocabulary, SpacePrefix::kNever);
    TokenizerData scored = v.data;
    try {
      scored.scores = by_rules.scores();
    } catch (const Error&) {
      ++without;
      continue;
    }
    ++with_scores;
    const SentencePieceBpe by_scores(scored, vocabulary, SpacePrefix::kNever);
    for (const std::string& text : texts) {
      std::vector<int32_t> expected, found;
      by_rules.encode(text, TextPosition::kStart, SIZE_MAX, expected);
      by_scores.encode(text, TextPosition::kStart, SIZE_MAX, found);
      ASSERT_EQ(found, expected) << "round " << round << ", text '" << text << "', "
                                 << fmt::format("{}", fmt::join(merges, "; "));
    }
  }
  EXPECT_GT(with_scores, 50);
  EXPECT_GT(without, 50);
}

// The rules join "ab" and never "a" with "bb"; a token "abb" would be made by any scores.
TEST_F(ToGguf, WhatHasNoScoresIsRefusedWithTheTokenAndTheWayOut) {
  json file = test::small_character_json();
  ASSERT_EQ(refusal_of(file), "was accepted");
  file["model"]["vocab"]["\u2581b"] = 266;
  const std::string stranded = refusal_of(file);
  for (const char* words : {"tokenizer.json: ", "token 266", "\" b\"", "tokenizer.model in its place", "--tokenizer"}) {
    EXPECT_NE(stranded.find(words), std::string::npos) << words << ": " << stranded;
  }
  // Three symbols are left of this one, so no two neighbours make it; but it is a whole word.
  file = test::small_character_json();
  file["model"]["vocab"]["bba"] = 266;
  EXPECT_EQ(refusal_of(file), "was accepted");
  file["model"]["ignore_merges"] = true;
  EXPECT_NE(refusal_of(file).find("whole words (ignore_merges)"), std::string::npos) << refusal_of(file);

  file = test::small_character_json();
  file["pre_tokenizer"]["prepend_scheme"] = "first";
  EXPECT_NE(refusal_of(file).find("at the start alone"), std::string::npos);
  file["pre_tokenizer"]["prepend_scheme"] = "always";
  file["added_tokens"].push_back({{"id", 266}, {"content", "[X]"}, {"special", false}});
  EXPECT_NE(refusal_of(file).find("behind user-defined tokens too"), std::string::npos);
  file["pre_tokenizer"]["prepend_scheme"] = "never";
  EXPECT_EQ(refusal_of(file), "was accepted");
}

}  // namespace
}  // namespace bitnet
