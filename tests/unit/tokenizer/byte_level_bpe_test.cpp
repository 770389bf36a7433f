// unit/tokenizer/byte_level_bpe_test.cpp - merging against a plain quadratic version, and byte-exact round trips.
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "small_vocabulary.h"
#include "tokenizer/spelling.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {
namespace {

using test::one_byte;
using test::random_bytes;
using test::random_text;
using test::SmallVocabulary;
using test::spell;

const EncodeOptions kPlain{.add_special = false};

TEST(Spelling, InvertsGpt2sTableAndRefusesOtherCharacters) {
  for (int byte = 0; byte < 256; ++byte) {
    std::string out = "x";
    ASSERT_TRUE(append_byte_level_spelling(spell(one_byte(byte)), out)) << byte;
    EXPECT_EQ(out, "x" + one_byte(byte));
  }
  EXPECT_EQ(spell(" \n"), "\u0120\u010A");
  for (const char* foreign : {"a b", "\u0144", "中", "\u00AD", "a\xC3", "\xA1", "\x7F", "\n"}) {
    std::string out = "x";
    EXPECT_FALSE(append_byte_level_spelling(foreign, out)) << foreign;
    EXPECT_EQ(out, "x");
  }
}

// Random merges over a small alphabet, so that pairs compete and overlap.
struct RandomBpe {
  SmallVocabulary vocabulary = SmallVocabulary::byte_level();
  std::map<std::pair<std::string, std::string>, size_t> rank;

  RandomBpe(std::mt19937& random, const std::string& alphabet, size_t merges) {
    std::vector<std::string> known;
    for (const char c : alphabet) known.push_back(std::string(1, c));
    std::map<std::string, bool> made;
    while (rank.size() < merges) {
      const std::string left = known[random() % known.size()], right = known[random() % known.size()];
      if (left.size() + right.size() > 9 || rank.contains({left, right}) || made.contains(left + right)) continue;
      made[left + right] = true;
      rank[{left, right}] = rank.size();
      vocabulary.add_merge(left, right);
      known.push_back(left + right);
    }
  }

  // Joins the pair of lowest rank, leftmost first, until there is none.
  std::vector<std::string> merge(const std::string& piece) const {
    std::vector<std::string> parts;
    for (const char c : piece) parts.push_back(std::string(1, c));
    for (;;) {
      size_t best = SIZE_MAX, at = 0;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto rule = rank.find({parts[i], parts[i + 1]});
        if (rule != rank.end() && rule->second < best) best = rule->second, at = i;
      }
      if (best == SIZE_MAX) return parts;
      parts[at] += parts[at + 1];
      parts.erase(parts.begin() + static_cast<ptrdiff_t>(at) + 1);
    }
  }
};

TEST(ByteLevelBpe, MergesAsThePlainVersionDoes) {
  std::mt19937 random(1);
  for (int model = 0; model < 40; ++model) {
    const RandomBpe bpe(random, "abcde", 5 + random() % 60);
    TokenizerData data = bpe.vocabulary.data;
    data.pre = "gpt-2";  // a word of letters is one piece, and no whole-piece rule
    const Tokenizer tokenizer = Tokenizer::from_data(data);
    for (int round = 0; round < 100; ++round) {
      const std::string word = random_text(random, {"a", "b", "c", "d", "e"}, 1 + random() % 60);
      std::vector<std::string> parts;
      for (const int32_t id : tokenizer.encode(word, kPlain)) parts.emplace_back(tokenizer.token_bytes(id));
      ASSERT_EQ(parts, bpe.merge(word)) << word;
    }
  }
}

TEST(ByteLevelBpe, AWholePieceThatIsATokenComesFirstForLlamaBpeOnly) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  const int32_t ab = v.add_merge("a", "b");
  const int32_t bc = v.add_merge("b", "c");
  const int32_t abc = v.add(spell("abc"));  // no rule makes it from "ab" + "c"
  EXPECT_EQ(Tokenizer::from_data(v.data).encode("abc", kPlain), (std::vector<int32_t>{abc}));
  v.data.pre = "qwen2";
  EXPECT_EQ(Tokenizer::from_data(v.data).encode("abc", kPlain), (std::vector<int32_t>{ab, 'c'}));
  EXPECT_EQ(Tokenizer::from_data(v.data).encode("bbc", kPlain), (std::vector<int32_t>{'b', bc}));
}

TEST(ByteLevelBpe, OfEqualRulesTheFirstCounts) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  v.data.pre = "gpt-2";
  const int32_t ab = v.add_merge("a", "b");
  v.add_merge("b", "c");
  v.data.merges.push_back(v.keep("a b"));  // a second rank for a pair must not replace the first
  EXPECT_EQ(Tokenizer::from_data(v.data).encode("abc", kPlain), (std::vector<int32_t>{ab, 'c'}));
}

class RoundTrip : public testing::Test {
 protected:
  RoundTrip() : tokenizer_(make()) {}
  static Tokenizer make() {
    std::mt19937 random(2);
    RandomBpe bpe(random, "ab \n\xC3\xA9\xF0\x9F", 80);
    bpe.vocabulary.add("<|eot_id|>", 3);
    return Tokenizer::from_data(bpe.vocabulary.data);
  }
  void expect_exact(const std::string& text) { ASSERT_EQ(tokenizer_.decode(tokenizer_.encode(text, kPlain)), text); }
  Tokenizer tokenizer_;
};

TEST_F(RoundTrip, EveryByteAndEveryPairOfBytes) {
  for (int first = 0; first < 256; ++first) {
    expect_exact(one_byte(first));
    for (int second = 0; second < 256; ++second) expect_exact(one_byte(first) + one_byte(second));
  }
}

TEST_F(RoundTrip, InvalidUtf8) {
  for (const std::string& text :
       {std::string("\xC0\x80"), std::string("\xE0\x80\x80"), std::string("\xF0\x80\x80\x80"),  // overlong
        std::string("\xED\xA0\x80"), std::string("\xED\xBF\xBF"),                               // surrogates
        std::string("\xF4\x90\x80\x80"), std::string("\xFF\xFE"),                               // beyond Unicode
        std::string("a\xE2\x82"), std::string("\xE2\x82z"), std::string("\x80\x80 é \xC3"),     // cut short
        std::string("\0a\0", 3), std::string("  \xFF  "), std::string("<|eot_id|>")}) {
    expect_exact(text);
    expect_exact("word " + text + " word");
  }
}

TEST_F(RoundTrip, InvalidBytesBecomeTheirByteTokens) {
  EXPECT_EQ(tokenizer_.encode("z\xFF\xE2\x82z", kPlain), (std::vector<int32_t>{'z', 0xFF, 0xE2, 0x82, 'z'}));
}

TEST_F(RoundTrip, RandomBytesAndRandomText) {
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    expect_exact(random_bytes(random, random() % 200));
    expect_exact(
        random_text(random, {"a", "b", " ", "\n", "é", "😀", "\xF0\x9F", "\xC3", "1", "'s", "<|eot_id|>"}, random() % 60));
  }
}

TEST(ByteLevelBpe, AByteWithoutTokenIsUnknownOrAnError) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  v.data.tokens[7] = v.keep("spare");
  try {
    Tokenizer::from_data(v.data).encode("a\x07", kPlain);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("0x07"), std::string::npos);
  }
  v.data.unk = v.add("<unk>", 2);
  EXPECT_EQ(Tokenizer::from_data(v.data).encode("a\x07", kPlain), (std::vector<int32_t>{'a', 256}));
}

}  // namespace
}  // namespace bitnet
