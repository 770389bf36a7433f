// unit/tokenizer/pre_tokenizer_test.cpp - the cutting rules against plain scanners written from their description.
#include "tokenizer/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "small_vocabulary.h"
#include "tokenizer/utf8.h"

namespace bitnet {
namespace {

using test::random_text;
using Pieces = std::vector<std::string>;

Pieces split(const PreTokenizer& pre_tokenizer, std::string_view text) {
  Pieces pieces;
  EXPECT_TRUE(pre_tokenizer.split(text, [&](std::string_view piece) {
    pieces.emplace_back(piece);
    return true;
  }));
  return pieces;
}

Pieces split(const char* rule, std::string_view text) { return split(PreTokenizer(*find_pre_tokenizer_rule(rule)), text); }

// The characters of the differential tests, by their Unicode class.
const std::vector<std::string> kLetters{"a", "B", "s", "T", "l", "L", "d", "é", "ж", "中", "ก", "ª"};
const std::vector<std::string> kNumbers{"0", "7", "½", "Ⅷ", "٣"};
const std::vector<std::string> kSpaces{" ", " ", "\t", "\n", "\r", "\u00A0", "\u0085", "\u2028", "\u3000", "\u1680"};
const std::vector<std::string> kOthers{"'", "'", "!", ".", "-", "\u0301", "😀", "\u180E", "\u200D", "\x01", "$"};

enum class Class { kLetter, kNumber, kSpace, kOther };
struct Character {
  std::string text;
  Class cls;
};

std::vector<Character> classify(std::string_view text) {
  std::vector<Character> out;
  const auto in = [](const std::vector<std::string>& list, const std::string& c) {
    return std::find(list.begin(), list.end(), c) != list.end();
  };
  while (!text.empty()) {
    const std::string c(text.substr(0, utf8_sequence(text).length));
    out.push_back({c, in(kLetters, c)   ? Class::kLetter
                      : in(kNumbers, c) ? Class::kNumber
                      : in(kSpaces, c)  ? Class::kSpace
                                        : Class::kOther});
    text.remove_prefix(c.size());
  }
  return out;
}

// Plain scanners over classified characters: at `at`, how many characters the next piece has.
class Scanner {
 public:
  explicit Scanner(std::vector<Character> text) : text_(std::move(text)) {}
  size_t size() const { return text_.size(); }
  std::string join(size_t at, size_t n) const {
    std::string out;
    for (size_t i = at; i < at + n; ++i) out += text_[i].text;
    return out;
  }

  // The rules of Llama 3, one number of digits apart from qwen2.
  size_t llama_3(size_t at, size_t max_digits) const {
    if (const size_t n = contraction(at, true)) return n;
    if (const size_t n = run(at, Class::kLetter)) return n;
    if (!is_newline(at) && !is(at, Class::kNumber)) {
      if (const size_t n = run(at + 1, Class::kLetter)) return n + 1;
    }
    if (const size_t n = run(at, Class::kNumber)) return std::min(n, max_digits);
    const size_t space = is_blank(at) ? 1 : 0;
    if (size_t n = run(at + space, Class::kOther)) {
      n += space;
      while (is_newline(at + n)) ++n;
      return n;
    }
    const size_t white = run(at, Class::kSpace);
    for (size_t n = white; n > 0; --n) {
      if (is_newline(at + n - 1)) return n;
    }
    return leave_last(at, white);
  }

  size_t gpt_2(size_t at) const {
    if (const size_t n = contraction(at, false)) return n;
    const size_t space = is_blank(at) ? 1 : 0;
    for (const Class cls : {Class::kLetter, Class::kNumber, Class::kOther}) {
      if (const size_t n = run(at + space, cls)) return n + space;
    }
    return leave_last(at, run(at, Class::kSpace));
  }

 private:
  bool is(size_t i, Class cls) const { return i < size() && text_[i].cls == cls; }
  bool is_newline(size_t i) const { return i < size() && (text_[i].text == "\n" || text_[i].text == "\r"); }
  bool is_blank(size_t i) const { return i < size() && text_[i].text == " "; }
  size_t run(size_t at, Class cls) const {
    size_t n = 0;
    while (is(at + n, cls)) ++n;
    return n;
  }
  // A run of white space before other text leaves its last character to that.
  size_t leave_last(size_t at, size_t white) const { return at + white == size() || white == 1 ? white : white - 1; }
  size_t contraction(size_t at, bool any_case) const {
    if (text_[at].text != "'") return 0;
    for (const char* ending : {"s", "t", "re", "ve", "m", "ll", "d"}) {
      const size_t n = std::string_view(ending).size();
      if (at + 1 + n > size()) continue;
      std::string found = join(at + 1, n);
      if (any_case) std::transform(found.begin(), found.end(), found.begin(), [](unsigned char c) { return std::tolower(c); });
      if (found == ending) return n + 1;
    }
    return 0;
  }

  std::vector<Character> text_;
};

template <class Next>
Pieces scan(std::string_view text, Next next) {
  const Scanner scanner(classify(text));
  Pieces pieces;
  for (size_t at = 0; at < scanner.size();) {
    const size_t n = next(scanner, at);
    pieces.push_back(scanner.join(at, n));
    at += n;
  }
  return pieces;
}

std::vector<std::string> all_characters() {
  std::vector<std::string> parts;
  for (const auto* list : {&kLetters, &kNumbers, &kSpaces, &kOthers}) parts.insert(parts.end(), list->begin(), list->end());
  return parts;
}

template <class Next>
void expect_equal_on_random_texts(const char* rule, Next next) {
  const PreTokenizer with_jit(*find_pre_tokenizer_rule(rule));
  const PreTokenizer interpreted(*find_pre_tokenizer_rule(rule), PreTokenizer::Jit::kNever);
  std::mt19937 random(7);
  const auto parts = all_characters();
  for (int round = 0; round < 20000; ++round) {
    // Half of the texts use few characters, so that runs are common.
    std::vector<std::string> some{parts[random() % parts.size()], parts[random() % parts.size()],
                                  parts[random() % parts.size()]};
    const std::string text = random_text(random, round % 2 ? parts : some, 1 + random() % 12);
    const Pieces expected = scan(text, next);
    ASSERT_EQ(split(with_jit, text), expected) << text;
    ASSERT_EQ(split(interpreted, text), expected) << text;
  }
}

TEST(PreTokenizer, LlamaBpeFollowsItsDescription) {
  expect_equal_on_random_texts("llama-bpe", [](const Scanner& s, size_t at) { return s.llama_3(at, 3); });
}
TEST(PreTokenizer, Qwen2FollowsItsDescription) {
  expect_equal_on_random_texts("qwen2", [](const Scanner& s, size_t at) { return s.llama_3(at, 1); });
}
TEST(PreTokenizer, Gpt2FollowsItsDescription) {
  expect_equal_on_random_texts("gpt-2", [](const Scanner& s, size_t at) { return s.gpt_2(at); });
}

TEST(PreTokenizer, LlamaBpeExamples) {
  EXPECT_EQ(split("llama-bpe", "I'LL  pay 12345€!\n\n x"), (Pieces{"I", "'LL", " ", " pay", " ", "123", "45", "€!\n\n", " x"}));
  EXPECT_EQ(split("llama-bpe", " \n \t\n  end"), (Pieces{" \n \t\n", " ", " end"}));
}

TEST(PreTokenizer, FalconCutsPunctuationFirstAndDigitsLast) {
  EXPECT_EQ(split("falcon", "it's 12345 $x"), (Pieces{"it", "'", "s", " ", "123", "45", " ", "$", "x"}));
  EXPECT_EQ(split("falcon_e", "it's 123 $x"), (Pieces{"it", "'", "s", " ", "1", "2", "3", " ", "$", "x"}));
}

TEST(PreTokenizer, DeepseekKeepsNewlinesAlone) {
  EXPECT_EQ(split("deepseek-llm", "a\n\nb 12中文  "), (Pieces{"a", "\n", "\n", "b", " ", "12", "中文", "  "}));
}

TEST(PreTokenizer, DeepseekHasItsOwnLettersAndPunctuation) {
  EXPECT_EQ(split("deepseek-llm", "日、本。"), (Pieces{"日", "、", "本", "。"}));
  // Armenian small letters are not among its letters, Cyrillic ones are.
  EXPECT_EQ(split("deepseek-llm", "աжд"), (Pieces{"ա", "жд"}));
}

TEST(PreTokenizer, EveryRuleKeepsEveryByteOnRandomTexts) {
  std::mt19937 random(8);
  const auto parts = all_characters();
  for (const char* rule : {"llama-bpe", "falcon3", "qwen2", "gpt-2", "falcon", "falcon_e", "deepseek-llm"}) {
    ASSERT_NE(find_pre_tokenizer_rule(rule), nullptr) << rule;
    const PreTokenizer with_jit(*find_pre_tokenizer_rule(rule));
    const PreTokenizer interpreted(*find_pre_tokenizer_rule(rule), PreTokenizer::Jit::kNever);
    for (int round = 0; round < 2000; ++round) {
      const std::string text = random_text(random, parts, 1 + random() % 30);
      const Pieces pieces = split(with_jit, text);
      std::string joined;
      for (const std::string& piece : pieces) {
        EXPECT_FALSE(piece.empty());
        joined += piece;
      }
      ASSERT_EQ(joined, text) << rule;
      ASSERT_EQ(split(interpreted, text), pieces) << rule;
    }
  }
}

TEST(PreTokenizer, TheSinkEndsTheCuttingAtAnyPiece) {
  const PreTokenizer falcon(*find_pre_tokenizer_rule("falcon"));
  const std::string text = "it's 12345 $x";
  const size_t all = split(falcon, text).size();
  for (size_t limit = 1; limit <= all; ++limit) {
    size_t seen = 0;
    EXPECT_FALSE(falcon.split(text, [&](std::string_view) { return ++seen < limit; }));
    EXPECT_EQ(seen, limit);
  }
}

TEST(PreTokenizer, UnknownNamesAreUnknown) {
  EXPECT_EQ(find_pre_tokenizer_rule("smaug-bpe"), nullptr);
  EXPECT_EQ(find_pre_tokenizer_rule(""), nullptr);
  for (const char* alias : {"llama3", "llama-v3"})
    EXPECT_EQ(find_pre_tokenizer_rule(alias), find_pre_tokenizer_rule("llama-bpe"));
}

}  // namespace
}  // namespace bitnet
