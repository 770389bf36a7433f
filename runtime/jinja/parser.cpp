// jinja/parser.cpp - the statements of a template.
#include "jinja/parser.h"

#include <algorithm>
#include <array>

#include "jinja/parse_expression.h"

namespace bitnet::jinja {
namespace {

using Level = ParseTokens::Level;
using Words = std::initializer_list<std::string_view>;

class StatementParser {
 public:
  explicit StatementParser(const Source& source) : t_(source), expressions_(t_) {}

  Body run() { return body(0, {}); }

 private:
  bool at_end_word(Words ends) const {
    return t_.current().kind == TokenKind::kBlockBegin && t_.ahead().kind == TokenKind::kName &&
           std::find(ends.begin(), ends.end(), t_.ahead().text) != ends.end();
  }

  // Up to the tag that begins with one of these words, which is not taken; without words up to the end. opened: where the
  // statement began that the tag belongs to.
  Body body(size_t opened, Words ends) {
    const Level level(t_);
    Body out;
    for (;;) {
      const Token& token = t_.current();
      if (token.kind == TokenKind::kEnd) {
        if (ends.size() != 0)
          t_.fail_before(opened, fmt::format("the statement that begins here is not closed by '{}'", *(ends.end() - 1)));
        return out;
      }
      if (token.kind == TokenKind::kData) {
        out.push_back(make(token.at, Output{t_.take().text}));
      } else if (token.kind == TokenKind::kPrintBegin) {
        out.push_back(print());
      } else if (at_end_word(ends)) {
        return out;
      } else {
        t_.take();
        statement(out);
      }
    }
  }

  template <class Node>
  static std::unique_ptr<const Statement> make(size_t at, Node node) {
    return std::make_unique<const Statement>(Statement{at, std::move(node)});
  }

  std::unique_ptr<const Statement> print() {
    const size_t at = t_.take().at;
    Print out{expressions_.tuple()};
    if (t_.current().kind != TokenKind::kPrintEnd) t_.fail_expected("'}}'");
    t_.take();
    drop_safe(out.value);
    return make(at, std::move(out));
  }

  // What is printed is never escaped here, so "safe" changes nothing at the end of a print tag; elsewhere it would.
  static void drop_safe(ExpressionPtr& value) {
    auto* chain = std::get_if<Chain>(&value->node);
    if (chain == nullptr) return;
    const Link& last = chain->links.back();
    const bool safe = last.kind == Link::Kind::kFilter && last.name == "safe" && last.arguments.positional.empty();
    if (safe) chain->links.pop_back();
    if (chain->links.empty()) {
      ExpressionPtr head = std::move(chain->head);
      value = std::move(head);
    }
  }

  // Behind the "{%" of a tag.
  void statement(Body& out) {
    const size_t at = t_.current().at;
    const std::string word = t_.expect_identifier();
    if (word == "if") {
      out.push_back(make(at, if_statement(at)));
    } else if (word == "for") {
      out.push_back(make(at, for_statement(at)));
    } else if (word == "set") {
      out.push_back(set_statement(at));
    } else if (word == "macro") {
      out.push_back(make(at, macro(at)));
    } else if (word == "generation") {
      t_.expect_block_end();
      out.push_back(make(at, Scoped{closed_body(at, "endgeneration")}));
    } else if (word == "break" || word == "continue") {
      if (loops_ == 0) t_.fail_before(at, fmt::format("'{}' outside a loop", word));
      t_.expect_block_end();
      out.push_back(word == "break" ? make(at, Break{}) : make(at, Continue{}));
    } else {
      refuse(at, word);
    }
  }

  [[noreturn]] void refuse(size_t at, const std::string& word) {
    constexpr std::array<std::string_view, 14> kKnown = {"include", "import", "from",      "extends", "block",
                                                         "call",    "filter", "with",      "do",      "autoescape",
                                                         "trans",   "debug",  "pluralize", "scoped"};
    if (std::find(kKnown.begin(), kKnown.end(), word) != kKnown.end()) {
      t_.fail_before(at, fmt::format("the statement '{}' is not supported", word));
    }
    t_.fail_before(at, fmt::format("'{}' is no statement, or closes nothing", printable(word, 40)));
  }

  // Up to its end tag, that tag included.
  Body closed_body(size_t at, std::string_view end) {
    Body out = body(at, {end});
    t_.take();
    t_.take();
    t_.expect_block_end();
    return out;
  }

  If if_statement(size_t at) {
    If out;
    for (;;) {
      ExpressionPtr condition = expressions_.tuple(false);
      t_.expect_block_end();
      Body then = body(at, {"elif", "else", "endif"});
      out.branches.emplace_back(std::move(condition), std::move(then));
      t_.take();
      const std::string_view word = t_.take().text;
      if (word == "elif") continue;
      t_.expect_block_end();
      if (word == "else") out.otherwise = closed_body(at, "endif");
      return out;
    }
  }

  For for_statement(size_t at) {
    For out;
    out.target = target(false);
    t_.expect_name("in");
    out.items = expressions_.tuple(false);
    if (t_.skip_name("if")) out.condition = expressions_.expression();
    if (t_.is_name("recursive")) t_.fail("recursive loops are not supported");
    t_.expect_block_end();
    ++loops_;
    out.body = body(at, {"else", "endfor"});
    --loops_;
    t_.take();
    const bool has_else = t_.take().text == "else";
    t_.expect_block_end();
    if (has_else) out.otherwise = closed_body(at, "endfor");
    return out;
  }

  std::unique_ptr<const Statement> set_statement(size_t at) {
    Target to = target(true);
    if (t_.skip_op("=")) {
      Set out{std::move(to), expressions_.tuple()};
      t_.expect_block_end();
      return make(at, std::move(out));
    }
    SetBlock out{std::move(to), expressions_.filters(), {}};
    if (out.target.names.size() != 1) t_.fail_expected("'='");
    t_.expect_block_end();
    const size_t loops = std::exchange(loops_, 0);
    out.body = closed_body(at, "endset");
    loops_ = loops;
    return make(at, std::move(out));
  }

  Target target(bool may_be_attribute) {
    Target out;
    const bool parenthesized = t_.skip_op("(");
    do {
      if (t_.current().kind != TokenKind::kName) break;
      out.names.push_back(variable_name());
    } while (t_.skip_op(",") && out.names.size() < kMaxDepth);
    if (out.names.empty()) t_.fail_expected("a name");
    if (parenthesized) t_.expect_op(")");
    if (may_be_attribute && out.names.size() == 1 && t_.skip_op(".")) out.attribute = t_.expect_identifier();
    return out;
  }

  std::string variable_name() {
    constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none", "True", "False", "None"};
    std::string name = t_.expect_identifier();
    if (std::find(kConstants.begin(), kConstants.end(), name) != kConstants.end() || name == "loop") {
      t_.fail(fmt::format("cannot assign to '{}'", name));
    }
    return name;
  }

  Macro macro(size_t at) {
    Macro out{variable_name(), {}, {}};
    t_.expect_op("(");
    while (!t_.skip_op(")")) {
      if (!out.parameters.empty()) {
        t_.expect_op(",");
        if (t_.skip_op(")")) break;
      }
      if (out.parameters.size() >= kMaxDepth) t_.fail("too many parameters");
      MacroParameter parameter{variable_name(), nullptr};
      if (t_.skip_op("=")) {
        parameter.otherwise = expressions_.expression();
      } else if (!out.parameters.empty() && out.parameters.back().otherwise) {
        t_.fail("a parameter without a default stands behind one with a default");
      }
      out.parameters.push_back(std::move(parameter));
    }
    t_.expect_block_end();
    const size_t loops = std::exchange(loops_, 0);
    out.body = closed_body(at, "endmacro");
    loops_ = loops;
    return out;
  }

  ParseTokens t_;
  ExpressionParser expressions_;
  size_t loops_ = 0;  // that break and continue could mean
};

}  // namespace

Body parse_template(const Source& source) { return StatementParser(source).run(); }

}  // namespace bitnet::jinja
