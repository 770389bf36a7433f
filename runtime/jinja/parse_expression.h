// jinja/parse_expression.h - the expressions of Jinja, with its precedence.
#pragma once

#include "jinja/parse_tokens.h"

namespace bitnet::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(ParseTokens& tokens) : t_(tokens) {}

  // "a if c else b", or without with_condition only up to "or", as behind {% if and {% for.
  ExpressionPtr expression(bool with_condition = true);
  // One expression, or several with commas: a tuple. Ends in front of the word "recursive" and at the tag's end.
  ExpressionPtr tuple(bool with_condition = true);
  // Filters behind a set block: "| trim | upper", from the first '|' on.
  std::vector<Link> filters();

 private:
  ExpressionPtr logic_or();
  ExpressionPtr logic_and();
  ExpressionPtr logic_not();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr joined();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr sign(bool with_filter);
  ExpressionPtr primary();
  ExpressionPtr parenthesized(size_t at);
  ExpressionPtr list(size_t at);
  ExpressionPtr dict(size_t at);
  ExpressionPtr text(size_t at);
  ExpressionPtr number();
  template <class Next>
  ExpressionPtr arithmetic(std::initializer_list<std::pair<std::string_view, Operator>> operators, Next&& next);
  // a.b, a[b], a(b) behind an expression.
  ExpressionPtr postfix(ExpressionPtr head);
  // |f, is t, and calls, behind an expression.
  ExpressionPtr filters_and_tests(ExpressionPtr head);
  Link attribute();
  Link item();
  Link call();
  Link filter();
  Link test();
  CallArguments call_arguments();
  void append(ExpressionPtr& head, Link link) const;
  template <class Node>
  static ExpressionPtr make(size_t at, Node node) {
    return std::make_unique<Expression>(Expression{at, std::move(node)});
  }

  ParseTokens& t_;
};

}  // namespace bitnet::jinja
