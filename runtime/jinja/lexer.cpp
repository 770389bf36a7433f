// jinja/lexer.cpp - two loops: text between tags, and words inside a tag.
#include "jinja/lexer.h"

#include <algorithm>
#include <array>

namespace bitnet::jinja {
namespace {

bool is_white(char c) { return (c >= '\t' && c <= '\r') || c == ' ' || (c >= '\x1c' && c <= '\x1f'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c); }

class Lexer {
 public:
  explicit Lexer(const Source& source) : source_(source), text_(source.text) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      const size_t tag = find_tag(at_);
      if (tag == text_.size()) {
        add_data(at_, tag);
        at_ = tag;
        break;
      }
      add_data(at_, end_of_data(tag));
      at_ = tag;
      if (text_[tag + 1] == '#') {
        comment();
      } else if (is_raw(tag)) {
        raw();
      } else {
        inside_tag();
      }
    }
    tokens_.push_back({TokenKind::kEnd, text_.size(), {}});
    return std::move(tokens_);
  }

 private:
  bool starts(size_t at, std::string_view what) const { return text_.substr(std::min(at, text_.size())).starts_with(what); }

  size_t find_tag(size_t from) const {
    for (size_t at = text_.find('{', from); at != text_.npos; at = text_.find('{', at + 1)) {
      if (at + 1 < text_.size() && (text_[at + 1] == '{' || text_[at + 1] == '%' || text_[at + 1] == '#')) return at;
    }
    return text_.size();
  }

  size_t skip_white(size_t at) const {
    while (at < text_.size() && is_white(text_[at])) ++at;
    return at;
  }

  void add_data(size_t begin, size_t end) {
    if (end > begin) tokens_.push_back({TokenKind::kData, begin, text_.substr(begin, end - begin)});
  }

  // Where the text that begins at at_ ends in front of a tag.
  size_t end_of_data(size_t tag) const {
    const char sign = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
    size_t white = tag;  // where the white space in front of the tag begins
    while (white > at_ && is_white(text_[white - 1])) --white;
    if (sign == '-') return white;
    if (sign == '+' || text_[tag + 1] == '{') return tag;
    const size_t newline = text_.substr(at_, tag - at_).rfind('\n');
    const size_t line = newline != text_.npos ? at_ + newline + 1 : at_;
    const bool alone = newline != text_.npos || at_ == 0 || text_[at_ - 1] == '\n';
    return alone && white <= line ? line : tag;
  }

  // Behind the end of a tag, at `at`: what its sign and trim_blocks take away.
  void leave(size_t at, char sign, bool block) {
    at_ = at;
    if (sign == '-') {
      at_ = skip_white(at_);
    } else if (sign != '+' && block && at_ < text_.size() && text_[at_] == '\n') {
      ++at_;
    }
  }

  void comment() {
    const size_t begin = at_;
    const bool signed_begin = starts(at_ + 2, "-") || starts(at_ + 2, "+");
    const size_t words = at_ + (signed_begin ? 3 : 2);
    const size_t end = text_.find("#}", words);
    if (end == text_.npos) fail_at(source_, begin, "a comment {# is not closed by #}");
    const char sign = end > words ? text_[end - 1] : '\0';
    leave(end + 2, sign, true);
  }

  // Behind "{%", a sign and white space: is there this word? Returns where it ends, 0: no.
  size_t tag_word(size_t tag, std::string_view word) const {
    if (!starts(tag, "{%")) return 0;
    size_t at = tag + 2;
    if (at < text_.size() && (text_[at] == '-' || text_[at] == '+')) ++at;
    at = skip_white(at);
    return starts(at, word) ? at + word.size() : 0;
  }

  // A block tag that holds nothing but the word ends here: the sign, and where. False: it does not.
  bool tag_end(size_t at, char& sign, size_t& end) const {
    at = skip_white(at);
    sign = at < text_.size() && (text_[at] == '-' || text_[at] == '+') ? text_[at] : '\0';
    if (sign != '\0') ++at;
    end = at + 2;
    return starts(at, "%}");
  }

  bool is_raw(size_t tag) const {
    char sign;
    size_t end;
    const size_t at = tag_word(tag, "raw");
    return at != 0 && tag_end(at, sign, end) && sign != '+';
  }

  void raw() {
    const size_t begin = at_;
    char sign;
    size_t end;
    tag_end(tag_word(at_, "raw"), sign, end);
    leave(end, sign, false);
    for (size_t tag = text_.find("{%", at_); tag != text_.npos; tag = text_.find("{%", tag + 1)) {
      const size_t word = tag_word(tag, "endraw");
      if (word == 0 || !tag_end(word, sign, end)) continue;
      add_data(at_, end_of_data(tag));
      leave(end, sign, true);
      return;
    }
    fail_at(source_, begin, "a block 'raw' is not closed by 'endraw'");
  }

  void inside_tag() {
    const size_t begin = at_;
    const bool block = text_[at_ + 1] == '%';
    tokens_.push_back({block ? TokenKind::kBlockBegin : TokenKind::kPrintBegin, at_, text_.substr(at_, 2)});
    at_ += 2;
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) ++at_;
    open_.clear();
    while (true) {
      at_ = skip_white(at_);
      if (at_ >= text_.size()) fail_at(source_, begin, block ? "a tag {% is not closed by %}" : "a tag {{ is not closed by }}");
      if (open_.empty() && end_tag(block)) return;
      word();
    }
  }

  bool end_tag(bool block) {
    const std::string_view close = block ? "%}" : "}}";
    const char c = text_[at_];
    const bool with_sign = (c == '-' || (block && c == '+')) && starts(at_ + 1, close);
    if (!with_sign && !starts(at_, close)) return false;
    tokens_.push_back({block ? TokenKind::kBlockEnd : TokenKind::kPrintEnd, at_, close});
    leave(at_ + (with_sign ? 3 : 2), with_sign ? c : '\0', block);
    return true;
  }

  void word() {
    const char c = text_[at_];
    if (c == '\'' || c == '"') return string(c);
    if (is_digit(c)) return number();
    if (is_name_char(c)) {
      size_t end = at_;
      while (end < text_.size() && is_name_char(text_[end])) ++end;
      return add(TokenKind::kName, end);
    }
    op();
  }

  void add(TokenKind kind, size_t end) {
    tokens_.push_back({kind, at_, text_.substr(at_, end - at_)});
    at_ = end;
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail_at(source_, at_, "a text in quotes is not closed");
    tokens_.push_back({TokenKind::kString, at_, text_.substr(at_ + 1, end - at_ - 1)});
    at_ = end + 1;
  }

  size_t digits(size_t at) const {
    while (at < text_.size() &&
           (is_digit(text_[at]) || (text_[at] == '_' && at + 1 < text_.size() && is_digit(text_[at + 1])))) {
      ++at;
    }
    return at;
  }

  void number() {
    size_t end = digits(at_);
    bool is_float = false;
    const auto digit_at = [&](size_t at) { return at < text_.size() && is_digit(text_[at]); };
    const bool behind_dot = at_ > 0 && text_[at_ - 1] == '.';  // "x.1": an index, not a fraction
    if (!behind_dot && end < text_.size() && text_[end] == '.' && digit_at(end + 1)) {
      is_float = true;
      end = digits(end + 1);
    }
    if (!behind_dot && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (digit_at(exponent)) {
        is_float = true;
        end = digits(exponent);
      }
    }
    if (end < text_.size() && is_name_char(text_[end])) fail_at(source_, at_, "this spelling of a number is not supported");
    const std::string_view spelled = text_.substr(at_, end - at_);
    if (!is_float && spelled.size() > 1 && spelled[0] == '0' && spelled.find_first_not_of("0_") != spelled.npos) {
      fail_at(source_, at_, "a number cannot begin with 0");
    }
    add(is_float ? TokenKind::kFloat : TokenKind::kInteger, end);
  }

  void op() {
    constexpr std::array<std::string_view, 6> kTwo = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    for (const std::string_view two : kTwo) {
      if (starts(at_, two)) return add(TokenKind::kOperator, at_ + 2);
    }
    const char c = text_[at_];
    if (kOne.find(c) == kOne.npos) {
      fail_at(source_, at_, fmt::format("'{}' is not expected inside a tag", printable(text_.substr(at_, 1))));
    }
    if (c == '(' || c == '[' || c == '{') open_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (open_.empty()) fail_at(source_, at_, fmt::format("'{}' closes nothing", c));
      if (open_.back() != c) fail_at(source_, at_, fmt::format("expected '{}', found '{}'", open_.back(), c));
      open_.pop_back();
    }
    add(TokenKind::kOperator, at_ + 1);
  }

  const Source& source_;
  std::string_view text_;
  size_t at_ = 0;
  std::vector<char> open_;  // closing brackets that are due in this tag
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(const Source& source) { return Lexer(source).run(); }

}  // namespace bitnet::jinja
