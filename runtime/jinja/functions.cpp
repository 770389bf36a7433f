// jinja/functions.cpp - functions of every template, and what namespaces and loops have behind a dot.
#include "jinja/interpreter.h"
#include "jinja/methods.h"
#include "jinja/operators.h"
#include "jinja/python_text.h"

namespace bitnet::jinja {
namespace {

using Kind = Value::Kind;

Value function(std::string name, std::function<Value(Arguments&)> call) {
  return Value(std::shared_ptr<const Callable>(std::make_shared<Callable>(Callable{std::move(name), std::move(call)})));
}

Value range(Meter& meter, const Arguments& arguments) {
  const Values& given = arguments.positional;
  if (!arguments.named.empty() || given.empty() || given.size() > 3) meter.fail("range: expected one to three numbers");
  for (const Value& value : given) {
    if (!value.is_integer()) meter.fail("range: expected whole numbers, found a {}", value.type_name());
  }
  const int64_t start = given.size() > 1 ? given[0].integer() : 0, stop = given[given.size() > 1 ? 1 : 0].integer();
  const int64_t step = given.size() > 2 ? given[2].integer() : 1;
  if (step == 0) meter.fail("range: the step cannot be 0");
  Values out;
  for (int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (out.size() >= kMaxRange) meter.fail("range: more than {} numbers", kMaxRange);
    out.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return make_sequence(meter, Sequence::Kind::kView, std::move(out));
}

// The items of dict(...) and namespace(...).
std::vector<std::pair<Value, Value>> named_items(Meter& meter, std::string_view name, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> out;
  if (arguments.positional.size() > 1) meter.fail("{}: expected one dict at most", name);
  for (const Value& given : arguments.positional) {
    if (!given.is(Kind::kMapping)) meter.fail("{}: expected a dict, found a {}", name, given.type_name());
    out = given.mapping().items;
  }
  for (const auto& [key, value] : arguments.named) out.emplace_back(Value::text(key), value);
  return out;
}

Value make_namespace(Meter& meter, const Arguments& arguments) {
  const Value items = make_mapping(meter, named_items(meter, "namespace", arguments));
  auto out = std::make_shared<Namespace>();
  for (const auto& [key, value] : items.mapping().items) out->items.emplace_back(to_text(meter, key).bytes(), value);
  return Value(std::move(out));
}

Value raise_exception(Meter& meter, const Arguments& arguments) {
  ArgumentReader reader(meter, "raise_exception", arguments);
  const Value& message = reader.need("message");
  reader.done();
  meter.fail("the template refuses this conversation: {}", printable(to_text(meter, message).bytes(), 500));
}

Value strftime_now(Meter& meter, const Arguments& arguments, std::time_t now) {
  ArgumentReader reader(meter, "strftime_now", arguments);
  const Text* format = reader.text("format");
  reader.done();
  if (format == nullptr || format->size() > 256) meter.fail("strftime_now: expected a format of at most 256 bytes");
  if (format->bytes().find("%f") != std::string::npos) meter.fail("strftime_now: %f is not supported");
  std::tm local{};
  ::localtime_r(&now, &local);
  char out[4096];
  return Value::text(std::string(out, std::strftime(out, sizeof out, format->bytes().c_str(), &local)));
}

Value loop_function(Meter& meter, const Value& self, std::string_view name) {
  return function(std::string(name), [&meter, self, name = std::string(name)](Arguments& arguments) {
    const Loop& loop = self.loop();
    if (!arguments.named.empty()) meter.fail("loop.{}: no names are expected", name);
    if (name == "cycle") {
      if (arguments.positional.empty()) meter.fail("loop.cycle: expected values");
      return arguments.positional[loop.index % arguments.positional.size()];
    }
    bool same = *loop.changed_was_asked && loop.changed_last->size() == arguments.positional.size();
    for (size_t i = 0; same && i < arguments.positional.size(); ++i) {
      same = equals(meter, (*loop.changed_last)[i], arguments.positional[i]);
    }
    *loop.changed_was_asked = true;
    for (const Value& value : arguments.positional) {
      if (value.is(Kind::kLoop)) meter.fail("loop.changed: a loop is not supported");
    }
    *loop.changed_last = arguments.positional;
    return Value(!same);
  });
}

Value loop_attribute(Meter& meter, const Value& self, std::string_view name) {
  const Loop& loop = self.loop();
  const size_t n = loop.items->size();
  const auto number = [](size_t value) { return Value(static_cast<int64_t>(value)); };
  if (name == "index") return number(loop.index + 1);
  if (name == "index0") return number(loop.index);
  if (name == "revindex") return number(n - loop.index);
  if (name == "revindex0") return number(n - loop.index - 1);
  if (name == "first") return Value(loop.index == 0);
  if (name == "last") return Value(loop.index + 1 == n);
  if (name == "length") return number(n);
  if (name == "depth") return number(1);
  if (name == "depth0") return number(0);
  if (name == "previtem") return loop.index > 0 ? (*loop.items)[loop.index - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem") return loop.index + 1 < n ? (*loop.items)[loop.index + 1] : Value::undefined("there is no next item");
  if (name == "cycle" || name == "changed") return loop_function(meter, self, name);
  return Value::undefined(fmt::format("the loop has no attribute '{}'", printable(name, 60)));
}

}  // namespace

Value attribute_of(Meter& meter, const Value& object, std::string_view name) {
  meter.spend(1);
  if (object.is(Kind::kUndefined)) meter.fail("{}", object.what());
  if (name.starts_with('_')) meter.fail("attributes that begin with '_' are not supported");
  if (object.is(Kind::kLoop)) return loop_attribute(meter, object, name);
  if (object.is(Kind::kNamespace)) {
    for (const auto& [own, value] : object.name_space().items) {
      if (own == name) return value;
    }
    return Value::undefined(fmt::format("the namespace has no attribute '{}'", printable(name, 60)));
  }
  Value method = method_of(meter, object, name);
  if (!method.is(Kind::kUndefined) || !object.is(Kind::kMapping)) return method;
  const Value* found = object.mapping().find(name);
  return found != nullptr ? *found : method;
}

std::vector<std::pair<std::string, Value>> global_functions(Meter& meter, std::time_t now) {
  const auto with = [&](std::string name, auto body) {
    return std::pair(name, function(name, [&meter, body](Arguments& arguments) { return body(meter, arguments); }));
  };
  return {
      with("range", range),
      with("dict", [](Meter& m, const Arguments& a) { return make_mapping(m, named_items(m, "dict", a)); }),
      with("namespace", make_namespace),
      with("raise_exception", raise_exception),
      with("strftime_now", [now](Meter& m, const Arguments& a) { return strftime_now(m, a, now); }),
  };
}

}  // namespace bitnet::jinja
