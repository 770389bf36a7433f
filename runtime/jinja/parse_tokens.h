// jinja/parse_tokens.h - the tokens under a parser's hand, shared by the parsers of expressions and statements.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/lexer.h"
#include "jinja/limits.h"
#include "jinja/syntax.h"

namespace bitnet::jinja {

class ParseTokens {
 public:
  explicit ParseTokens(const Source& source) : source_(source), tokens_(tokenize(source)) {}

  const Token& current() const { return tokens_[next_]; }
  const Token& ahead() const { return tokens_[std::min(next_ + 1, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[next_ + 1 < tokens_.size() ? next_++ : next_]; }

  static bool is(const Token& token, TokenKind kind, std::string_view text) { return token.kind == kind && token.text == text; }
  bool is_name(std::string_view word) const { return is(current(), TokenKind::kName, word); }
  bool is_op(std::string_view op) const { return is(current(), TokenKind::kOperator, op); }
  bool skip_name(std::string_view word) { return is_name(word) && (take(), true); }
  bool skip_op(std::string_view op) { return is_op(op) && (take(), true); }

  void expect_op(std::string_view op) {
    if (!skip_op(op)) fail_expected(fmt::format("'{}'", op));
  }
  void expect_name(std::string_view word) {
    if (!skip_name(word)) fail_expected(fmt::format("'{}'", word));
  }
  std::string expect_identifier() {
    if (current().kind != TokenKind::kName) fail_expected("a name");
    return std::string(take().text);
  }
  void expect_block_end() {
    if (current().kind != TokenKind::kBlockEnd) fail_expected("'%}'");
    take();
  }

  [[noreturn]] void fail_expected(std::string_view what) const {
    const bool end = current().kind == TokenKind::kEnd;
    fail(fmt::format("expected {}, found {}", what, end ? "the end" : fmt::format("'{}'", printable(current().text, 40))));
  }
  [[noreturn]] void fail(std::string_view what) const { fail_at(source_, current().at, what); }
  [[noreturn]] void fail_before(size_t at, std::string_view what) const { fail_at(source_, at, what); }

  // One level of nesting for as long as it lives.
  class Level {
   public:
    explicit Level(ParseTokens& tokens) : tokens_(tokens) {
      if (++tokens_.depth_ > kMaxDepth) tokens_.fail(fmt::format("nested deeper than {}", kMaxDepth));
    }
    ~Level() { --tokens_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    ParseTokens& tokens_;
  };

 private:
  const Source& source_;
  std::vector<Token> tokens_;
  size_t next_ = 0;
  size_t depth_ = 0;
};

}  // namespace bitnet::jinja
