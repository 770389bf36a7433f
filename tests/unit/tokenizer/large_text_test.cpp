// unit/tokenizer/large_text_test.cpp - texts whose cost explodes in a quadratic or recursive implementation.
//
// At these sizes quadratic work is 10^12 steps and more, far beyond the test's time limit. With sanitizers a fifth of the size
// is enough: recursion still overflows the stack there, and time is the release build's question.
#include <gtest/gtest.h>

#include <ctime>

#include "small_vocabulary.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {
namespace {

using test::random_text;
using test::SmallVocabulary;

constexpr size_t kMany = BITNET_SANITIZED ? 200'000 : 1'000'000;

std::string repeat(std::string_view part, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += part;
  return text;
}

struct LargeText {
  const char* name;
  std::string text;
};

std::vector<LargeText> large_texts(size_t word_bytes = kMany) {
  std::mt19937 random(6);
  return {{"one word of equal letters", repeat("a", word_bytes)},
          {"one word of random letters", random_text(random, {"a", "b", "c", "d"}, word_bytes)},
          {"newlines", repeat("\n", kMany)},
          {"spaces, then a letter", repeat(" ", kMany) + "a"},
          {"spaces, then a letter without case", repeat(" ", kMany) + "ก"},
          {"joined emoji", repeat("👩\u200D", kMany)},
          {"newline and space in turn", repeat("\n ", kMany)},
          {"digits", repeat("7", kMany)},
          {"one invalid byte after another", repeat("\xFF", kMany)},
          {"valid and invalid in turn", repeat("a\xFF", kMany)},
          {"starts of control tokens", repeat("<|eot_id|", kMany / 5)}};
}

// Rules that make long tokens, so that merging goes through many generations.
SmallVocabulary doubling_vocabulary() {
  SmallVocabulary v = SmallVocabulary::byte_level();
  for (const char* seed : {"a", " ", "\n"}) {
    for (std::string half = seed; half.size() < 64; half += half) v.add_merge(half, half);
  }
  for (const char* pair : {"ab", "bc", "cd", "da", "ba"}) v.add_merge(std::string(1, pair[0]), std::string(1, pair[1]));
  for (const char* pair : {"abcd", "dabc", "cdab"}) v.add_merge(std::string(pair, 2), std::string(pair + 2, 2));
  v.add("<|eot_id|>", 3);
  return v;
}

TEST(LargeText, ByteLevelBpeRoundTripsWithEveryRule) {
  SmallVocabulary v = doubling_vocabulary();
  for (const char* pre : {"llama-bpe", "gpt-2", "falcon", "deepseek-llm"}) {
    v.data.pre = pre;
    const auto texts = large_texts(pre == std::string_view("llama-bpe") ? 5 * kMany : kMany);
    const Tokenizer tokenizer = Tokenizer::from_data(v.data);
    for (const LargeText& large : texts) {
      const auto ids = tokenizer.encode(large.text, {.add_special = false, .parse_special = true});
      EXPECT_TRUE(tokenizer.decode(ids, {.control_tokens = true}) == large.text) << pre << ": " << large.name;
    }
  }
}

TEST(LargeText, EqualLettersBecomeTheLongestTokens) {
  const SmallVocabulary v = doubling_vocabulary();
  const auto ids = Tokenizer::from_data(v.data).encode(repeat("a", 5 * kMany), {.add_special = false});
  EXPECT_EQ(ids.size(), 5 * kMany / 64);
}

TEST(LargeText, SentencePieceRoundTrips) {
  SmallVocabulary v = SmallVocabulary::sentencepiece();
  for (const char* piece : {"a", "\u2581", "ab", "\u2581\u2581", "aa", "aaaa", "\u2581a", "bc", "abc"}) {
    v.add_piece(piece, -static_cast<float>(v.data.tokens.size()));
  }
  const Tokenizer tokenizer = Tokenizer::from_data(v.data);
  for (const LargeText& large : large_texts()) {
    const auto ids = tokenizer.encode(large.text, {.add_special = false});
    EXPECT_TRUE(tokenizer.decode(ids) == large.text) << large.name;
  }
}

// Where executable memory is refused PCRE2 interprets; nothing may then depend on a limit or on the stack.
TEST(LargeText, TheInterpreterCutsAsTheCompiledPatternDoes) {
  for (const char* rule : {"llama-bpe", "deepseek-llm"}) {
    const PreTokenizer with_jit(*find_pre_tokenizer_rule(rule));
    const PreTokenizer interpreted(*find_pre_tokenizer_rule(rule), PreTokenizer::Jit::kNever);
    for (const LargeText& large : large_texts()) {
      if (large.text.find('\xFF') != std::string::npos) continue;
      const auto lengths = [&](const PreTokenizer& pre_tokenizer) {
        std::vector<size_t> out;
        pre_tokenizer.split(large.text, [&](std::string_view piece) {
          out.push_back(piece.size());
          return true;
        });
        return out;
      };
      EXPECT_TRUE(lengths(with_jit) == lengths(interpreted)) << rule << ": " << large.name;
    }
  }
}

TEST(LargeText, ALimitEndsTheWorkEarly) {
  SmallVocabulary v = doubling_vocabulary();
  const Tokenizer tokenizer = Tokenizer::from_data(v.data);
  const std::string text = repeat("word and word ", kMany);
  const auto seconds_of = [&](size_t limit) {
    const std::clock_t begin = std::clock();
    EXPECT_GE(tokenizer.encode(text, {.max_tokens = limit}).size(), std::min<size_t>(limit, 100));
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  };
  EXPECT_LT(seconds_of(100) * 5, seconds_of(SIZE_MAX));  // measured: 1/50
}

}  // namespace
}  // namespace bitnet
