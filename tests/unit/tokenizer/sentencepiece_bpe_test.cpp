// unit/tokenizer/sentencepiece_bpe_test.cpp - score merging against a plain quadratic version, spaces, byte fallback.
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "small_vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace bitnet {
namespace {

using test::random_bytes;
using test::random_text;
using test::SmallVocabulary;

const EncodeOptions kPlain{.add_special = false};
constexpr int32_t kFirstByte = 3;

TEST(SentencePieceBpe, MergesAsThePlainVersionDoes) {
  std::mt19937 random(4);
  const std::vector<std::string> alphabet{"a", "b", "é", " ", "c"};
  for (int model = 0; model < 40; ++model) {
    SmallVocabulary v = SmallVocabulary::sentencepiece();
    std::map<std::string, float> score;
    for (int i = 0; i < 40; ++i) {
      const std::string piece = random_text(random, alphabet, 1 + random() % 5);
      if (score.contains(piece)) continue;
      score[piece] = -static_cast<float>(random() % 12);  // equal scores occur, so ties are tried
      std::string spelled = piece;
      for (size_t at; (at = spelled.find(' ')) != spelled.npos;) spelled.replace(at, 1, "\u2581");
      v.add_piece(spelled, score[piece]);
    }
    const Tokenizer tokenizer = Tokenizer::from_data(v.data);
    for (int round = 0; round < 100; ++round) {
      const std::string text = random_text(random, alphabet, 1 + random() % 40);
      std::vector<std::string> parts;
      const std::string spaced = " " + text;
      for (std::string_view rest = spaced; !rest.empty();) {
        parts.emplace_back(rest.substr(0, utf8_sequence(rest).length));
        rest.remove_prefix(parts.back().size());
      }
      for (;;) {
        const float none = -1e9f;
        float best = none;
        size_t at = 0;
        for (size_t i = 0; i + 1 < parts.size(); ++i) {
          const auto joined = score.find(parts[i] + parts[i + 1]);
          if (joined != score.end() && joined->second > best) best = joined->second, at = i;
        }
        if (best == none) break;
        parts[at] += parts[at + 1];
        parts.erase(parts.begin() + static_cast<ptrdiff_t>(at) + 1);
      }
      std::vector<std::string> expected;
      for (const std::string& part : parts) {
        if (score.contains(part)) {
          expected.push_back(part);
        } else {
          for (const char byte : part) expected.push_back(std::string(1, byte));
        }
      }
      std::vector<std::string> found;
      for (const int32_t id : tokenizer.encode(text, kPlain)) found.emplace_back(tokenizer.token_bytes(id));
      ASSERT_EQ(found, expected) << text;
    }
  }
}

class SentencePiece : public testing::Test {
 protected:
  SentencePiece() {
    space_ = v_.add_piece("\u2581", -1);
    hi_ = v_.add_piece("hi", -2);
    space_hi_ = v_.add_piece("\u2581hi", -1.5f);
    v_.add_piece("h", -5);
    v_.add_piece("i", -5);
  }
  SmallVocabulary v_ = SmallVocabulary::sentencepiece();
  int32_t space_, hi_, space_hi_;
};

TEST_F(SentencePiece, ASpaceStandsInFrontAndGoesAgain) {
  const Tokenizer tokenizer = Tokenizer::from_data(v_.data);
  EXPECT_EQ(tokenizer.encode("hi"), (std::vector<int32_t>{1, space_hi_}));  // BOS is on by default
  EXPECT_EQ(tokenizer.encode(" hi", kPlain), (std::vector<int32_t>{space_, space_hi_}));
  EXPECT_EQ(tokenizer.encode("", kPlain), (std::vector<int32_t>{}));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{1, space_hi_}), "hi");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{space_hi_}, {.text_start = false}), " hi");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{space_hi_, space_hi_}), "hi hi");
  EXPECT_EQ(tokenizer.token_bytes(space_hi_), " hi");
}

TEST_F(SentencePiece, NoSpaceWhereTheFileSaysSo) {
  v_.data.space_prefix = SpacePrefix::kNever;
  const Tokenizer tokenizer = Tokenizer::from_data(v_.data);
  EXPECT_EQ(tokenizer.encode("hi", kPlain), (std::vector<int32_t>{hi_}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(" hi", kPlain)), " hi");
}

TEST_F(SentencePiece, ASpaceFollowsControlTokensButNotUserDefinedOnes) {
  const int32_t user = v_.add("[X]", 4);
  v_.data.scores.push_back(0);
  const Tokenizer tokenizer = Tokenizer::from_data(v_.data);
  EXPECT_EQ(tokenizer.encode("hi</s>hi", {.add_special = false, .parse_special = true}),
            (std::vector<int32_t>{space_hi_, 2, space_hi_}));
  // No text means "unknown", parsed or not.
  const auto unknown = tokenizer.encode("<unk>", {.add_special = false, .parse_special = true});
  EXPECT_EQ(tokenizer.decode(unknown), "<unk>");
  EXPECT_EQ(tokenizer.encode("hi[X]hi", kPlain), (std::vector<int32_t>{space_hi_, user, hi_}));
  for (const char* text : {"[X]hi", "[X] hi", "hi[X]", "[X][X]", " [X]", "[X]"}) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, kPlain)), text);
  }
}

TEST_F(SentencePiece, AUserDefinedTokenWithASpaceIsNotMadeByTheSpaceInFront) {
  const int32_t user = v_.add(" hi", 4);
  v_.data.scores.push_back(100);
  v_.data.tokens[static_cast<size_t>(space_hi_)] = "unused";
  const Tokenizer tokenizer = Tokenizer::from_data(v_.data);
  EXPECT_EQ(tokenizer.encode("hi", kPlain), (std::vector<int32_t>{space_, hi_}));
  EXPECT_EQ(tokenizer.encode(" hi", kPlain), (std::vector<int32_t>{user}));
  for (const char* text : {" hi", "hi hi", " hi hi", "hi"}) EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, kPlain)), text);
}

TEST_F(SentencePiece, UnlistedCharactersBecomeBytes) {
  const Tokenizer tokenizer = Tokenizer::from_data(v_.data);
  EXPECT_EQ(tokenizer.encode("é", kPlain), (std::vector<int32_t>{space_, kFirstByte + 0xC3, kFirstByte + 0xA9}));
  // The mark that means a space inside the vocabulary is a character like others in a text.
  EXPECT_EQ(tokenizer.encode("\u2581hi", kPlain),
            (std::vector<int32_t>{space_, kFirstByte + 0xE2, kFirstByte + 0x96, kFirstByte + 0x81, hi_}));
  // Text that looks like a byte token is no byte.
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("<0x41>", kPlain)), "<0x41>");
}

TEST_F(SentencePiece, RoundTripOfRandomBytes) {
  std::mt19937 random(5);
  const Tokenizer tokenizer = Tokenizer::from_data(v_.data);
  for (int round = 0; round < 3000; ++round) {
    const std::string bytes = random_bytes(random, random() % 100);
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(bytes, kPlain)), bytes);
    const std::string text = random_text(
        random, {"h", "i", " ", "\u2581", "é", "\xE2", "\x96", "<s>", "</s>", "<0x00>", std::string(1, '\0')}, random() % 40);
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text, kPlain)), text);
  }
}

}  // namespace
}  // namespace bitnet
