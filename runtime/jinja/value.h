// jinja/value.h - what an expression of a template can be: the values of Python that templates meet.
//
// Copying a value is cheap: texts, lists and dicts are shared and never change. Only generators (what map() or selectattr()
// give) are used up by reading them once, and namespaces can be written to. Nesting lists and dicts deeper than kMaxDepth is an
// error; a namespace or a function cannot be put into a list. So values never hold themselves, and taking them apart needs a
// bounded stack. Threads one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "jinja/meter.h"
#include "jinja/text.h"

namespace bitnet::jinja {

class Value;
using Values = std::vector<Value>;

struct Arguments;
struct Sequence;
struct Mapping;
struct Namespace;
struct Callable;
struct Loop;

struct Undefined {
  std::shared_ptr<const std::string> what;  // for messages: "'x' is undefined"
};
struct None {};

class Value {
 public:
  using TextPtr = std::shared_ptr<const Text>;
  using Holder =
      std::variant<Undefined, None, bool, int64_t, double, TextPtr, std::shared_ptr<Sequence>, std::shared_ptr<const Mapping>,
                   std::shared_ptr<Namespace>, std::shared_ptr<const Callable>, std::shared_ptr<const Loop>>;
  enum class Kind { kUndefined, kNone, kBool, kInt, kFloat, kText, kSequence, kMapping, kNamespace, kCallable, kLoop };

  Value() : holder_(None{}) {}
  template <class T>
  explicit Value(T held) : holder_(std::move(held)) {}
  static Value undefined(std::string what) { return Value(Undefined{std::make_shared<const std::string>(std::move(what))}); }
  static Value text(Text text) { return Value(std::make_shared<const Text>(std::move(text))); }
  static Value text(std::string bytes) { return text(Text(std::move(bytes))); }

  Kind kind() const { return static_cast<Kind>(holder_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  bool is_number() const { return is(Kind::kInt) || is(Kind::kFloat) || is(Kind::kBool); }
  bool is_integer() const { return is(Kind::kInt) || is(Kind::kBool); }

  // Each needs the kind it names.
  const std::string& what() const { return *std::get<Undefined>(holder_).what; }
  bool boolean() const { return std::get<bool>(holder_); }
  int64_t integer() const { return is(Kind::kBool) ? boolean() : std::get<int64_t>(holder_); }                   // kInt, kBool
  double real() const { return is(Kind::kFloat) ? std::get<double>(holder_) : static_cast<double>(integer()); }  // any number
  const Text& text() const { return *std::get<TextPtr>(holder_); }
  const std::string& bytes() const { return text().bytes(); }
  const std::shared_ptr<Sequence>& sequence() const { return std::get<std::shared_ptr<Sequence>>(holder_); }
  const Mapping& mapping() const { return *std::get<std::shared_ptr<const Mapping>>(holder_); }
  Namespace& name_space() const { return *std::get<std::shared_ptr<Namespace>>(holder_); }
  const Callable& callable() const { return *std::get<std::shared_ptr<const Callable>>(holder_); }
  const Loop& loop() const { return *std::get<std::shared_ptr<const Loop>>(holder_); }

  // As Python names it, for messages: "str", "list", "undefined".
  std::string_view type_name() const;
  // Of lists and dicts: how deep they hold others; 0: they hold nothing.
  size_t depth() const;

 private:
  Holder holder_;
};

struct Sequence {
  enum class Kind { kList, kTuple, kView, kGenerator };  // views: of a dict, or a range; they cannot be printed
  Kind kind;
  Values items;
  size_t depth;
};

struct Mapping {
  std::vector<std::pair<Value, Value>> items;  // keys: texts, numbers, none; each once, in the order of insertion
  size_t depth;

  // Null when it is not there.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> items;
};

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Callable {
  std::string name;
  std::function<Value(Arguments&)> call;
};

// The variable `loop`.
struct Loop {
  std::shared_ptr<const Values> items;
  size_t index;                             // from 0
  std::shared_ptr<Values> changed_last;     // what changed() saw last; null: nothing yet
  std::shared_ptr<bool> changed_was_asked;  // of this loop
};

// --- making lists and dicts. Errors: nested too deeply, values that cannot be in a list, keys that cannot be keys.

Value make_sequence(Meter& meter, Sequence::Kind kind, Values items);
inline Value make_list(Meter& meter, Values items) { return make_sequence(meter, Sequence::Kind::kList, std::move(items)); }
// A key given twice keeps its place and gets the later value.
Value make_mapping(Meter& meter, std::vector<std::pair<Value, Value>> items);

// --- what values mean

bool is_true(const Value& value);
// Fails for lists and dicts, which Python cannot look up in a dict or set.
void need_hashable(Meter& meter, const Value& value);
// Python's ==. Costs steps.
bool equals(Meter& meter, const Value& a, const Value& b);
// Python's <, for two numbers or two texts; else an error.
bool is_less(Meter& meter, const Value& a, const Value& b);
// What a for loop goes through: items, keys, characters; of undefined nothing. Uses a generator up. Error for others.
Values iterate(Meter& meter, const Value& value);

}  // namespace bitnet::jinja
