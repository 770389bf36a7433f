// jinja/interpreter.cpp - statements.
#include "jinja/interpreter.h"

#include "jinja/filters.h"
#include "jinja/operators.h"
#include "jinja/python_text.h"

namespace bitnet::jinja {

using Kind = Value::Kind;

Value* Scope::find(std::string_view name) {
  for (Scope* scope = this; scope != nullptr; scope = scope->around.get()) {
    for (auto& [own, value] : scope->variables) {
      if (own == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [own, held] : variables) {
    if (own == name) {
      held = std::move(value);
      return;
    }
  }
  variables.emplace_back(std::string(name), std::move(value));
}

namespace {

// A new scope inside the current one for as long as it lives.
class Inner {
 public:
  Inner(std::shared_ptr<Scope>& current, std::shared_ptr<Scope> around) : current_(current), before_(current) {
    current_ = std::make_shared<Scope>();
    current_->around = std::move(around);
  }
  explicit Inner(std::shared_ptr<Scope>& current) : Inner(current, current) {}
  ~Inner() { current_ = before_; }
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;

 private:
  std::shared_ptr<Scope>& current_;
  std::shared_ptr<Scope> before_;
};

}  // namespace

Interpreter::Interpreter(Meter& meter, std::vector<std::pair<std::string, Value>> variables, std::time_t now)
    : meter_(meter), scope_(std::make_shared<Scope>()), now_(now) {
  scope_->variables = global_functions(meter, now);
  for (auto& [name, value] : variables) scope_->set(name, std::move(value));
  auto own = std::make_shared<Scope>();
  own->around = scope_;
  scope_ = own;
}

Text Interpreter::run(const Body& body) { return captured(body); }

Text Interpreter::captured(const Body& body) {
  Text text;
  Text* const before = std::exchange(out_, &text);
  execute(body);
  out_ = before;
  return text;
}

void Interpreter::write(const Text& text) {
  if (text.size() > kMaxTextBytes - out_->size()) meter_.fail("the template's output grows beyond {} bytes", kMaxTextBytes);
  meter_.spend_bytes(text.size());
  out_->append(text);
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const auto& statement : body) {
    if (const Flow flow = execute_one(*statement); flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute_one(const Statement& statement) {
  meter_.at(statement.at);
  meter_.spend(1);
  struct Visitor {
    Interpreter& self;
    Flow operator()(const Output& s) const {
      self.write(Text(std::string(s.text)));
      return Flow::kNext;
    }
    Flow operator()(const Print& s) const {
      self.write(to_text(self.meter_, self.evaluate(*s.value)));
      return Flow::kNext;
    }
    Flow operator()(const If& s) const { return self.execute(s); }
    Flow operator()(const For& s) const { return self.execute(s); }
    Flow operator()(const Set& s) const {
      self.assign(s.target, self.evaluate(*s.value));
      return Flow::kNext;
    }
    Flow operator()(const SetBlock& s) const {
      self.execute(s);
      return Flow::kNext;
    }
    Flow operator()(const Macro& s) const {
      self.define(s);
      return Flow::kNext;
    }
    Flow operator()(const Scoped& s) const {
      const Inner inner(self.scope_);
      return self.execute(s.body);
    }
    Flow operator()(const Break&) const { return Flow::kBreak; }
    Flow operator()(const Continue&) const { return Flow::kContinue; }
  };
  return std::visit(Visitor{*this}, statement.node);
}

Interpreter::Flow Interpreter::execute(const If& statement) {
  for (const auto& [condition, body] : statement.branches) {
    if (is_true(evaluate(*condition))) return execute(body);
  }
  return execute(statement.otherwise);
}

Interpreter::Flow Interpreter::execute(const For& statement) {
  const Value over = evaluate(*statement.items);
  meter_.at(statement.items->at);
  Values items = iterate(meter_, over);
  if (statement.condition) {
    Values kept;
    const Inner inner(scope_);
    for (Value& item : items) {
      assign(statement.target, item);
      if (is_true(evaluate(*statement.condition))) kept.push_back(std::move(item));
    }
    items = std::move(kept);
  }
  if (!items.empty()) return loop_over(statement, std::move(items));
  const Inner inner(scope_);
  return execute(statement.otherwise);
}

Interpreter::Flow Interpreter::loop_over(const For& statement, Values items) {
  const auto shared = std::make_shared<const Values>(std::move(items));
  const auto changed = std::make_shared<Values>();
  const auto asked = std::make_shared<bool>(false);
  for (size_t i = 0; i < shared->size(); ++i) {
    meter_.spend(1);
    const Inner inner(scope_);
    scope_->set("loop", Value(std::make_shared<const Loop>(Loop{shared, i, changed, asked})));
    assign(statement.target, (*shared)[i]);
    const Flow flow = execute(statement.body);
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

void Interpreter::execute(const SetBlock& statement) {
  Value value;
  {
    const Inner inner(scope_);
    value = Value::text(captured(statement.body));
  }
  for (const Link& filter : statement.filters) value = apply(filter, value);
  assign(statement.target, std::move(value));
}

void Interpreter::assign(const Target& target, Value value) {
  if (!target.attribute.empty()) {
    Value* object = scope_->find(target.names.front());
    if (object == nullptr || !object->is(Kind::kNamespace)) {
      meter_.fail("'{}' is no namespace: attributes cannot be set", target.names.front());
    }
    if (value.is(Kind::kNamespace) || value.is(Kind::kCallable) || value.is(Kind::kLoop)) {
      meter_.fail("a {} inside a namespace is not supported", value.type_name());
    }
    auto& items = object->name_space().items;
    for (auto& [name, held] : items) {
      if (name == target.attribute) {
        held = std::move(value);
        return;
      }
    }
    items.emplace_back(target.attribute, std::move(value));
    return;
  }
  if (target.names.size() == 1) return scope_->set(target.names.front(), std::move(value));
  const Values items = iterate(meter_, value);
  if (items.size() != target.names.size()) {
    meter_.fail("cannot unpack {} values into {} names", items.size(), target.names.size());
  }
  for (size_t i = 0; i < items.size(); ++i) scope_->set(target.names[i], items[i]);
}

void Interpreter::define(const Macro& macro) {
  // The scope holds the macro, so the macro must not hold the scope.
  Callable function{macro.name, {}};
  function.call = [this, &macro, weak = std::weak_ptr<Scope>(scope_)](Arguments& arguments) {
    std::shared_ptr<Scope> scope = weak.lock();
    if (!scope) meter_.fail("the macro '{}' is called outside the block that defines it", macro.name);
    return call_macro(macro, std::move(scope), arguments);
  };
  scope_->set(macro.name, Value(std::shared_ptr<const Callable>(std::make_shared<Callable>(std::move(function)))));
}

Value Interpreter::call_macro(const Macro& macro, std::shared_ptr<Scope> scope, Arguments& arguments) {
  if (++call_depth_ > kMaxCallDepth) meter_.fail("macros call each other deeper than {}", kMaxCallDepth);
  const Inner inner(scope_, std::move(scope));
  ArgumentReader reader(meter_, macro.name, arguments);
  for (const MacroParameter& parameter : macro.parameters) {
    const Value* given = reader.next(parameter.name);
    Value value = Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name));
    if (given != nullptr) {
      value = *given;
    } else if (parameter.otherwise) {
      value = evaluate(*parameter.otherwise);
    }
    scope_->set(parameter.name, std::move(value));
  }
  reader.done();
  Value out = Value::text(captured(macro.body));
  --call_depth_;
  return out;
}

}  // namespace bitnet::jinja
