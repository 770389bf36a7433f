// jinja/value_tests.cpp - tests: "value is defined", "value is string" and the others.
#include <algorithm>
#include <cmath>

#include "jinja/filters.h"
#include "jinja/operators.h"
#include "jinja/python_text.h"

namespace bitnet::jinja {
namespace {

using Kind = Value::Kind;

bool is_sized(const Value& v) {
  if (v.is(Kind::kSequence)) return v.sequence()->kind <= Sequence::Kind::kTuple;
  return v.is(Kind::kText) || v.is(Kind::kMapping) || v.is(Kind::kUndefined);
}

bool is_iterable(const Value& v) {
  return v.is(Kind::kSequence) || v.is(Kind::kText) || v.is(Kind::kMapping) || v.is(Kind::kUndefined) || v.is(Kind::kLoop);
}

bool is_case(Meter& meter, const Value& value, bool upper) {
  const Text text = to_text(meter, value);
  if (!is_ascii(text.bytes())) meter.fail("a test of the case of letters beyond ASCII is not supported");
  const auto has = [&](int (*kind)(int)) {
    return std::any_of(text.bytes().begin(), text.bytes().end(), [&](char c) { return kind(c) != 0; });
  };
  const bool any_upper = has(std::isupper), any_lower = has(std::islower);
  return upper ? any_upper && !any_lower : any_lower && !any_upper;
}

bool is_same_object(Meter& meter, const Value& a, const Value& b) {
  const auto single = [](const Value& v) { return v.is(Kind::kNone) || v.is(Kind::kBool); };
  if (!single(a) && !single(b)) meter.fail("sameas is supported for none, true and false only");
  return a.kind() == b.kind() && (a.is(Kind::kNone) || a.boolean() == b.boolean());
}

bool is_divisible(Meter& meter, const Value& value, const Value& by) {
  const Value rest = calculate(meter, Operator::kModulo, value, by);
  return rest.real() == 0;
}

struct Plain {
  std::string_view name;
  bool (*holds)(const Value&);
};
constexpr Plain kPlain[] = {
    {"defined", [](const Value& v) { return !v.is(Kind::kUndefined); }},
    {"undefined", [](const Value& v) { return v.is(Kind::kUndefined); }},
    {"none", [](const Value& v) { return v.is(Kind::kNone); }},
    {"string", [](const Value& v) { return v.is(Kind::kText); }},
    {"number", [](const Value& v) { return v.is_number(); }},
    {"integer", [](const Value& v) { return v.is(Kind::kInt); }},
    {"float", [](const Value& v) { return v.is(Kind::kFloat); }},
    {"boolean", [](const Value& v) { return v.is(Kind::kBool); }},
    {"true", [](const Value& v) { return v.is(Kind::kBool) && v.boolean(); }},
    {"false", [](const Value& v) { return v.is(Kind::kBool) && !v.boolean(); }},
    {"mapping", [](const Value& v) { return v.is(Kind::kMapping); }},
    {"sequence", is_sized},
    {"iterable", is_iterable},
    {"callable", [](const Value& v) { return v.is(Kind::kCallable) || v.is(Kind::kUndefined); }},
};

struct Related {
  std::string_view name;
  Relation relation;
};
constexpr Related kRelated[] = {
    {"eq", Relation::kEqual},      {"equalto", Relation::kEqual},   {"==", Relation::kEqual},
    {"ne", Relation::kNotEqual},   {"!=", Relation::kNotEqual},     {"lt", Relation::kLess},
    {"lessthan", Relation::kLess}, {"<", Relation::kLess},          {"le", Relation::kLessEqual},
    {"<=", Relation::kLessEqual},  {"gt", Relation::kGreater},      {"greaterthan", Relation::kGreater},
    {">", Relation::kGreater},     {"ge", Relation::kGreaterEqual}, {">=", Relation::kGreaterEqual},
    {"in", Relation::kIn},
};

}  // namespace

bool apply_test(Meter& meter, std::string_view name, const Value& value, const Arguments& arguments) {
  meter.spend(1);
  ArgumentReader reader(meter, name, arguments);
  for (const Plain& test : kPlain) {
    if (test.name != name) continue;
    reader.done();
    const bool view = value.is(Kind::kSequence) && value.sequence()->kind == Sequence::Kind::kView;
    if (view && name == "sequence") meter.fail("'is sequence' of a view is not supported; turn it into a list first");
    return test.holds(value);
  }
  for (const Related& test : kRelated) {
    if (test.name != name) continue;
    const Value& other = reader.need("other");
    reader.done();
    return relate(meter, test.relation, value, other);
  }
  if (name == "even" || name == "odd") {
    reader.done();
    const Value rest = calculate(meter, Operator::kModulo, value, Value(int64_t{2}));
    return rest.real() == (name == "odd" ? 1 : 0);
  }
  if (name == "divisibleby" || name == "sameas") {
    const Value& other = reader.need(name == "sameas" ? "other" : "num");
    reader.done();
    return name == "sameas" ? is_same_object(meter, value, other) : is_divisible(meter, value, other);
  }
  if (name == "lower" || name == "upper") {
    reader.done();
    return is_case(meter, value, name == "upper");
  }
  meter.fail("the test '{}' is not known", printable(name, 40));
}

}  // namespace bitnet::jinja
