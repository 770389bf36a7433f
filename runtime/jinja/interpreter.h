// jinja/interpreter.h - runs a syntax tree: one rendering.
//
// Errors  Error{kUsage} with line and column.
// Stack   bounded by the parser's depth limit times kMaxCallDepth.
// Threads one at a time.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/syntax.h"

namespace bitnet::jinja {

// Variables of one block of the template; a name that is not here is looked for in the one around it.
struct Scope {
  std::shared_ptr<Scope> around;
  std::vector<std::pair<std::string, Value>> variables;

  Value* find(std::string_view name);
  void set(std::string_view name, Value value);
};

class Interpreter {
 public:
  // now: what strftime_now() tells. References must outlive the object.
  Interpreter(Meter& meter, std::vector<std::pair<std::string, Value>> variables, std::time_t now);

  Text run(const Body& body);

 private:
  enum class Flow { kNext, kBreak, kContinue };

  Flow execute(const Body& body);
  Flow execute_one(const Statement& statement);
  Flow execute(const If& statement);
  Flow execute(const For& statement);
  Flow loop_over(const For& statement, Values items);
  void execute(const SetBlock& statement);
  void define(const Macro& macro);
  Value call_macro(const Macro& macro, std::shared_ptr<Scope> scope, Arguments& arguments);
  Text captured(const Body& body);
  void assign(const Target& target, Value value);
  void write(const Text& text);

  Value evaluate(const Expression& expression);
  Value evaluate(const Name& name);
  Value evaluate(const Items& items);
  Value evaluate(const Pairs& pairs);
  Value evaluate(const Chain& chain);
  Value evaluate(const Arithmetic& arithmetic, size_t at);
  Value evaluate(const Comparison& comparison, size_t at);
  Value evaluate(const Logic& logic);
  Value evaluate(const Joined& joined, size_t at);
  Value evaluate(const Conditional& conditional);
  Value apply(const Link& link, const Value& value);
  Value slice(const Link& link, const Value& value);
  Value call(const Value& function, Arguments arguments);
  Arguments evaluate(const CallArguments& arguments);

  Meter& meter_;
  std::shared_ptr<Scope> scope_;
  std::time_t now_;
  Text* out_ = nullptr;
  size_t call_depth_ = 0;
};

// object.name: methods first, then keys; of namespaces and loops what they hold.
Value attribute_of(Meter& meter, const Value& object, std::string_view name);

// The functions that every template has: range, dict, namespace, raise_exception, strftime_now.
std::vector<std::pair<std::string, Value>> global_functions(Meter& meter, std::time_t now);

}  // namespace bitnet::jinja
