// jinja/interpret_expression.cpp - expressions.
#include "jinja/filters.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/python_text.h"

namespace bitnet::jinja {

using Kind = Value::Kind;

Value Interpreter::evaluate(const Expression& e) {
  meter_.at(e.at);
  meter_.spend(1);
  struct Visitor {
    Interpreter& self;
    size_t at;
    Value operator()(const Literal& n) const { return n.value; }
    Value operator()(const Name& n) const { return self.evaluate(n); }
    Value operator()(const Items& n) const { return self.evaluate(n); }
    Value operator()(const Pairs& n) const { return self.evaluate(n); }
    Value operator()(const Chain& n) const { return self.evaluate(n); }
    Value operator()(const Signed& n) const {
      const Value value = self.evaluate(*n.operand);
      self.meter_.at(at);
      return negate(self.meter_, value, n.minus);
    }
    Value operator()(const Not& n) const { return Value(!is_true(self.evaluate(*n.operand))); }
    Value operator()(const Arithmetic& n) const { return self.evaluate(n, at); }
    Value operator()(const Comparison& n) const { return self.evaluate(n, at); }
    Value operator()(const Logic& n) const { return self.evaluate(n); }
    Value operator()(const Joined& n) const { return self.evaluate(n, at); }
    Value operator()(const Conditional& n) const { return self.evaluate(n); }
  };
  return std::visit(Visitor{*this, e.at}, e.node);
}

Value Interpreter::evaluate(const Name& name) {
  if (const Value* found = scope_->find(name.name)) return *found;
  return Value::undefined(fmt::format("'{}' is undefined", name.name));
}

Value Interpreter::evaluate(const Items& items) {
  Values out;
  for (const ExpressionPtr& item : items.items) out.push_back(evaluate(*item));
  return make_sequence(meter_, items.is_tuple ? Sequence::Kind::kTuple : Sequence::Kind::kList, std::move(out));
}

Value Interpreter::evaluate(const Pairs& pairs) {
  std::vector<std::pair<Value, Value>> out;
  for (const auto& [key, value] : pairs.pairs) {
    Value evaluated = evaluate(*key);
    out.emplace_back(std::move(evaluated), evaluate(*value));
  }
  return make_mapping(meter_, std::move(out));
}

Value Interpreter::evaluate(const Chain& chain) {
  Value value = evaluate(*chain.head);
  for (const Link& link : chain.links) value = apply(link, value);
  return value;
}

Value Interpreter::evaluate(const Arithmetic& arithmetic, size_t at) {
  Value value = evaluate(*arithmetic.first);
  for (const auto& [op, operand] : arithmetic.rest) {
    const Value other = evaluate(*operand);
    meter_.at(at);
    value = calculate(meter_, op, value, other);
  }
  return value;
}

Value Interpreter::evaluate(const Comparison& comparison, size_t at) {
  Value left = evaluate(*comparison.first);
  for (const auto& [relation, operand] : comparison.rest) {
    Value right = evaluate(*operand);
    meter_.at(at);
    if (!relate(meter_, relation, left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

// As in Python the value is that of the operand that decided.
Value Interpreter::evaluate(const Logic& logic) {
  Value value;
  for (const ExpressionPtr& operand : logic.operands) {
    value = evaluate(*operand);
    if (is_true(value) == logic.is_or) break;
  }
  return value;
}

Value Interpreter::evaluate(const Joined& joined, size_t at) {
  Text out;
  for (const ExpressionPtr& part : joined.parts) {
    const Value value = evaluate(*part);
    meter_.at(at);
    out.append(to_text(meter_, value));
    meter_.spend_bytes(out.size());
  }
  return Value::text(std::move(out));
}

Value Interpreter::evaluate(const Conditional& conditional) {
  if (is_true(evaluate(*conditional.condition))) return evaluate(*conditional.then);
  if (conditional.otherwise) return evaluate(*conditional.otherwise);
  return Value::undefined("the condition of an inline 'if' without 'else' is false");
}

Value Interpreter::apply(const Link& link, const Value& value) {
  meter_.at(link.at);
  switch (link.kind) {
    case Link::Kind::kAttribute:
      return attribute_of(meter_, value, link.name);
    case Link::Kind::kItem: {
      const Value key = evaluate(*link.parts[0]);
      meter_.at(link.at);
      Value found = value.is(Kind::kNamespace) || value.is(Kind::kLoop) ? Value::undefined("") : item_of(meter_, value, key);
      if (!found.is(Kind::kUndefined) || !key.is(Kind::kText)) return found;
      return attribute_of(meter_, value, key.bytes());
    }
    case Link::Kind::kSlice:
      return slice(link, value);
    case Link::Kind::kCall: {
      Arguments arguments = evaluate(link.arguments);
      meter_.at(link.at);
      return call(value, std::move(arguments));
    }
    default: {
      const Arguments arguments = evaluate(link.arguments);
      meter_.at(link.at);
      if (link.kind == Link::Kind::kFilter) return apply_filter(meter_, link.name, value, arguments);
      return Value(apply_test(meter_, link.name, value, arguments) != link.negated);
    }
  }
}

Value Interpreter::slice(const Link& link, const Value& value) {
  Value parts[3];
  const Value* given[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    if (!link.parts[i]) continue;
    parts[i] = evaluate(*link.parts[i]);
    given[i] = &parts[i];
  }
  meter_.at(link.at);
  return slice_of(meter_, value, given[0], given[1], given[2]);
}

Arguments Interpreter::evaluate(const CallArguments& arguments) {
  Arguments out;
  for (const ExpressionPtr& argument : arguments.positional) out.positional.push_back(evaluate(*argument));
  for (const auto& [name, argument] : arguments.named) out.named.emplace_back(name, evaluate(*argument));
  return out;
}

Value Interpreter::call(const Value& function, Arguments arguments) {
  if (function.is(Kind::kUndefined)) meter_.fail("{}", function.what());
  if (!function.is(Kind::kCallable)) meter_.fail("a {} cannot be called", function.type_name());
  meter_.spend(1);
  const std::function<Value(Arguments&)> body = function.callable().call;  // the variable may be assigned to meanwhile
  return body(arguments);
}

}  // namespace bitnet::jinja
