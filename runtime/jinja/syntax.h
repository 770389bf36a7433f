// jinja/syntax.h - the parsed template: expressions and statements.
//
// Chains (a.b.c, x|f|g, a + b + c) are flat lists, so the depth of these trees is what the parser's depth limit allows.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "jinja/value.h"

namespace bitnet::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;
using Expressions = std::vector<ExpressionPtr>;

struct CallArguments {
  Expressions positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct Items {  // [a, b] or (a, b)
  bool is_tuple;
  Expressions items;
};
struct Pairs {  // {a: b}
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> pairs;
};
// One step of a chain behind its head.
struct Link {
  enum class Kind { kAttribute, kItem, kSlice, kCall, kFilter, kTest };
  Kind kind;
  size_t at;
  std::string name;         // of an attribute, filter or test
  bool negated = false;     // of a test
  CallArguments arguments;  // of a call, filter or test
  ExpressionPtr parts[3];   // [0]: of an item; all: of a slice, null where absent
};
struct Chain {
  ExpressionPtr head;
  std::vector<Link> links;
};
struct Signed {
  bool minus;
  ExpressionPtr operand;
};
struct Not {
  ExpressionPtr operand;
};
enum class Operator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
struct Arithmetic {  // from left to right
  ExpressionPtr first;
  std::vector<std::pair<Operator, ExpressionPtr>> rest;
};
enum class Relation { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };
struct Comparison {  // a < b < c: each neighbour pair holds
  ExpressionPtr first;
  std::vector<std::pair<Relation, ExpressionPtr>> rest;
};
struct Logic {
  bool is_or;
  Expressions operands;
};
struct Joined {  // a ~ b ~ c
  Expressions parts;
};
struct Conditional {
  ExpressionPtr condition, then, otherwise;  // otherwise may be null
};

struct Expression {
  size_t at;  // byte of the source
  std::variant<Literal, Name, Items, Pairs, Chain, Signed, Not, Arithmetic, Comparison, Logic, Joined, Conditional> node;
};

struct Statement;
using Body = std::vector<std::unique_ptr<const Statement>>;

// What a set or a for assigns to.
struct Target {
  std::vector<std::string> names;  // several: unpacking
  std::string attribute;           // not empty: names[0] is a namespace and this is set in it
};

struct Output {
  std::string_view text;  // of the source
};
struct Print {
  ExpressionPtr value;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct For {
  Target target;
  ExpressionPtr items, condition;  // condition may be null
  Body body, otherwise;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  std::vector<Link> filters;
  Body body;
};
struct MacroParameter {
  std::string name;
  ExpressionPtr otherwise;  // null: undefined
};
struct Macro {
  std::string name;
  std::vector<MacroParameter> parameters;
  Body body;
};
struct Scoped {  // a body whose assignments stay inside
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  size_t at;
  std::variant<Output, Print, If, For, Set, SetBlock, Macro, Scoped, Break, Continue> node;
};

}  // namespace bitnet::jinja
