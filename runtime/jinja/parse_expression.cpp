// jinja/parse_expression.cpp - recursive descent; every recursion passes a Level.
#include "jinja/parse_expression.h"

#include <charconv>
#include <optional>

#include "jinja/escapes.h"

namespace bitnet::jinja {

using Level = ParseTokens::Level;

ExpressionPtr ExpressionParser::expression(bool with_condition) {
  const Level level(t_);
  if (!with_condition) return logic_or();
  const size_t at = t_.current().at;
  ExpressionPtr value = logic_or();
  while (t_.skip_name("if")) {
    Conditional conditional{logic_or(), std::move(value), nullptr};
    if (t_.skip_name("else")) conditional.otherwise = expression();
    value = make(at, std::move(conditional));
    if (t_.is_name("if")) t_.fail("a second 'if' behind an expression needs parentheses");
  }
  return value;
}

ExpressionPtr ExpressionParser::tuple(bool with_condition) {
  const size_t at = t_.current().at;
  ExpressionPtr first = expression(with_condition);
  if (!t_.is_op(",")) return first;
  Items items{true, {}};
  items.items.push_back(std::move(first));
  const auto ends = [&] {
    const TokenKind kind = t_.current().kind;
    return kind == TokenKind::kBlockEnd || kind == TokenKind::kPrintEnd || t_.is_op(")") || t_.is_name("recursive");
  };
  while (t_.skip_op(",")) {
    if (ends()) break;
    items.items.push_back(expression(with_condition));
  }
  return make(at, std::move(items));
}

ExpressionPtr ExpressionParser::logic_or() {
  const size_t at = t_.current().at;
  ExpressionPtr first = logic_and();
  if (!t_.is_name("or")) return first;
  Logic logic{true, {}};
  logic.operands.push_back(std::move(first));
  while (t_.skip_name("or")) logic.operands.push_back(logic_and());
  return make(at, std::move(logic));
}

ExpressionPtr ExpressionParser::logic_and() {
  const size_t at = t_.current().at;
  ExpressionPtr first = logic_not();
  if (!t_.is_name("and")) return first;
  Logic logic{false, {}};
  logic.operands.push_back(std::move(first));
  while (t_.skip_name("and")) logic.operands.push_back(logic_not());
  return make(at, std::move(logic));
}

ExpressionPtr ExpressionParser::logic_not() {
  const size_t at = t_.current().at;
  if (!t_.skip_name("not")) return comparison();
  const Level level(t_);
  return make(at, Not{logic_not()});
}

ExpressionPtr ExpressionParser::comparison() {
  constexpr std::pair<std::string_view, Relation> kRelations[] = {{"==", Relation::kEqual},  {"!=", Relation::kNotEqual},
                                                                  {"<", Relation::kLess},    {"<=", Relation::kLessEqual},
                                                                  {">", Relation::kGreater}, {">=", Relation::kGreaterEqual}};
  const size_t at = t_.current().at;
  Comparison out{sum(), {}};
  const auto relation = [&]() -> std::optional<Relation> {
    for (const auto& [op, meaning] : kRelations) {
      if (t_.skip_op(op)) return meaning;
    }
    if (t_.skip_name("in")) return Relation::kIn;
    if (t_.is_name("not") && ParseTokens::is(t_.ahead(), TokenKind::kName, "in")) {
      t_.take();
      t_.take();
      return Relation::kNotIn;
    }
    return std::nullopt;
  };
  while (const auto found = relation()) out.rest.emplace_back(*found, sum());
  if (out.rest.empty()) return std::move(out.first);
  return make(at, std::move(out));
}

template <class Next>
ExpressionPtr ExpressionParser::arithmetic(std::initializer_list<std::pair<std::string_view, Operator>> operators,
                                           Next&& next) {
  const size_t at = t_.current().at;
  Arithmetic out{next(), {}};
  const auto read = [&]() -> std::optional<Operator> {
    for (const auto& [op, meaning] : operators) {
      if (t_.skip_op(op)) return meaning;
    }
    return std::nullopt;
  };
  while (const auto found = read()) out.rest.emplace_back(*found, next());
  if (out.rest.empty()) return std::move(out.first);
  return make(at, std::move(out));
}

ExpressionPtr ExpressionParser::sum() {
  return arithmetic({{"+", Operator::kAdd}, {"-", Operator::kSubtract}}, [&] { return joined(); });
}

ExpressionPtr ExpressionParser::joined() {
  const size_t at = t_.current().at;
  ExpressionPtr first = product();
  if (!t_.is_op("~")) return first;
  Joined out;
  out.parts.push_back(std::move(first));
  while (t_.skip_op("~")) out.parts.push_back(product());
  return make(at, std::move(out));
}

ExpressionPtr ExpressionParser::product() {
  return arithmetic(
      {{"*", Operator::kMultiply}, {"/", Operator::kDivide}, {"//", Operator::kFloorDivide}, {"%", Operator::kModulo}},
      [&] { return power(); });
}

ExpressionPtr ExpressionParser::power() {
  return arithmetic({{"**", Operator::kPower}}, [&] { return sign(true); });
}

ExpressionPtr ExpressionParser::sign(bool with_filter) {
  const size_t at = t_.current().at;
  ExpressionPtr out;
  if (t_.is_op("-") || t_.is_op("+")) {
    const Level level(t_);
    const bool minus = t_.take().text == "-";
    out = make(at, Signed{minus, sign(false)});
  } else {
    out = primary();
  }
  out = postfix(std::move(out));
  return with_filter ? filters_and_tests(std::move(out)) : std::move(out);
}

ExpressionPtr ExpressionParser::primary() {
  const Token& token = t_.current();
  const size_t at = token.at;
  if (token.kind == TokenKind::kString) return text(at);
  if (token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat) return number();
  if (t_.skip_op("(")) return parenthesized(at);
  if (t_.skip_op("[")) return list(at);
  if (t_.skip_op("{")) return dict(at);
  if (token.kind != TokenKind::kName) t_.fail_expected("an expression");
  const std::string_view word = t_.take().text;
  if (word == "true" || word == "True") return make(at, Literal{Value(true)});
  if (word == "false" || word == "False") return make(at, Literal{Value(false)});
  if (word == "none" || word == "None") return make(at, Literal{Value()});
  return make(at, Name{std::string(word)});
}

ExpressionPtr ExpressionParser::parenthesized(size_t at) {
  if (t_.skip_op(")")) return make(at, Items{true, {}});
  ExpressionPtr out = tuple();
  t_.expect_op(")");
  return out;
}

ExpressionPtr ExpressionParser::list(size_t at) {
  Items items{false, {}};
  while (!t_.skip_op("]")) {
    if (!items.items.empty()) t_.expect_op(",");
    if (!items.items.empty() && t_.skip_op("]")) break;
    items.items.push_back(expression());
  }
  return make(at, std::move(items));
}

ExpressionPtr ExpressionParser::dict(size_t at) {
  Pairs pairs;
  while (!t_.skip_op("}")) {
    if (!pairs.pairs.empty()) t_.expect_op(",");
    if (!pairs.pairs.empty() && t_.skip_op("}")) break;
    ExpressionPtr key = expression();
    t_.expect_op(":");
    pairs.pairs.emplace_back(std::move(key), expression());
  }
  return make(at, std::move(pairs));
}

ExpressionPtr ExpressionParser::text(size_t at) {
  std::string bytes;  // texts side by side are one
  while (t_.current().kind == TokenKind::kString) {
    const Token& token = t_.take();
    if (const char* wrong = append_unescaped(token.text, bytes)) t_.fail_before(token.at, wrong);
  }
  return make(at, Literal{Value::text(std::move(bytes))});
}

ExpressionPtr ExpressionParser::number() {
  const Token& token = t_.take();
  std::string digits(token.text);
  std::erase(digits, '_');
  if (token.kind == TokenKind::kInteger) {
    int64_t value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc()) {
      t_.fail_before(token.at, "a number this large is not supported");
    }
    return make(token.at, Literal{Value(value)});
  }
  double value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc()) {
    t_.fail_before(token.at, "a number this large or small is not supported");
  }
  return make(token.at, Literal{Value(value)});
}

void ExpressionParser::append(ExpressionPtr& head, Link link) const {
  const size_t at = head->at;
  if (!std::holds_alternative<Chain>(head->node)) {
    Chain chain;
    chain.head = std::move(head);
    head = make(at, std::move(chain));
  }
  std::get<Chain>(head->node).links.push_back(std::move(link));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr head) {
  for (;;) {
    if (t_.is_op(".")) {
      append(head, attribute());
    } else if (t_.is_op("[")) {
      append(head, item());
    } else if (t_.is_op("(")) {
      append(head, call());
    } else {
      return head;
    }
  }
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr head) {
  for (;;) {
    if (t_.is_op("|")) {
      append(head, filter());
    } else if (t_.is_name("is")) {
      append(head, test());
    } else if (t_.is_op("(")) {
      append(head, call());
    } else {
      return head;
    }
  }
}

Link ExpressionParser::attribute() {
  Link link{Link::Kind::kAttribute, t_.take().at, {}, false, {}, {}};
  if (t_.current().kind == TokenKind::kInteger) {
    link.kind = Link::Kind::kItem;
    link.parts[0] = number();
  } else {
    link.name = t_.expect_identifier();
  }
  return link;
}

Link ExpressionParser::item() {
  Link link{Link::Kind::kItem, t_.take().at, {}, false, {}, {}};
  size_t part = 0;
  for (bool expect = true; !t_.is_op("]");) {
    if (t_.is_op(":")) {
      if (++part > 2) t_.fail_expected("']'");
      t_.take();
      link.kind = Link::Kind::kSlice;
      expect = true;
    } else if (t_.is_op(",")) {
      t_.fail("several items in [] are not supported");
    } else {
      if (!expect) t_.fail_expected("']'");
      link.parts[part] = expression();
      expect = false;
    }
  }
  if (link.kind == Link::Kind::kItem && !link.parts[0]) t_.fail("empty [] behind a value are not supported");
  t_.expect_op("]");
  return link;
}

Link ExpressionParser::call() {
  Link link{Link::Kind::kCall, t_.current().at, {}, false, {}, {}};
  link.arguments = call_arguments();
  return link;
}

CallArguments ExpressionParser::call_arguments() {
  CallArguments out;
  t_.expect_op("(");
  for (bool first = true; !t_.skip_op(")"); first = false) {
    if (!first) {
      t_.expect_op(",");
      if (t_.skip_op(")")) break;
    }
    if (t_.is_op("*") || t_.is_op("**")) t_.fail("arguments with * and ** are not supported");
    if (t_.current().kind == TokenKind::kName && ParseTokens::is(t_.ahead(), TokenKind::kOperator, "=")) {
      std::string name = t_.expect_identifier();
      t_.take();
      for (const auto& [other, value] : out.named) {
        if (other == name) t_.fail(fmt::format("the argument '{}' is given twice", name));
      }
      if (out.named.size() >= kMaxDepth) t_.fail("too many named arguments");
      out.named.emplace_back(std::move(name), expression());
      continue;
    }
    if (!out.named.empty()) t_.fail("an argument without a name stands behind one with a name");
    out.positional.push_back(expression());
  }
  return out;
}

Link ExpressionParser::filter() {
  Link link{Link::Kind::kFilter, t_.take().at, {}, false, {}, {}};
  link.at = t_.current().at;
  link.name = t_.expect_identifier();
  if (t_.is_op(".")) t_.fail("a filter with a dot in its name is not supported");
  if (t_.is_op("(")) link.arguments = call_arguments();
  return link;
}

std::vector<Link> ExpressionParser::filters() {
  std::vector<Link> out;
  while (t_.is_op("|")) out.push_back(filter());
  return out;
}

Link ExpressionParser::test() {
  Link link{Link::Kind::kTest, t_.take().at, {}, false, {}, {}};
  link.negated = t_.skip_name("not");
  link.at = t_.current().at;
  link.name = t_.expect_identifier();
  const Token& next = t_.current();
  if (t_.is_op("(")) {
    link.arguments = call_arguments();
    return link;
  }
  const bool value = next.kind == TokenKind::kString || next.kind == TokenKind::kInteger || next.kind == TokenKind::kFloat ||
                     t_.is_op("[") || t_.is_op("{");
  const bool word = next.kind == TokenKind::kName && !t_.is_name("else") && !t_.is_name("or") && !t_.is_name("and");
  if (word && t_.is_name("is")) t_.fail("several tests in a row with 'is' need 'and'");
  if (value || word) {
    const Level level(t_);
    link.arguments.positional.push_back(postfix(primary()));
  }
  return link;
}

}  // namespace bitnet::jinja
