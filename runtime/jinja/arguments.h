// jinja/arguments.h - what a filter, test or function was called with, taken one by one by place or name.
#pragma once

#include <string_view>

#include "jinja/value.h"

namespace bitnet::jinja {

// Errors  Error{kUsage} naming function and argument.
class ArgumentReader {
 public:
  ArgumentReader(Meter& meter, std::string_view function, const Arguments& arguments)
      : meter_(meter), function_(function), arguments_(arguments), named_left_(arguments.named.size()) {}

  // The next argument in the order of the function's parameters; null: it was not given.
  const Value* next(std::string_view name);
  const Value& need(std::string_view name);
  // With checks of the type. Absent: the default.
  int64_t integer(std::string_view name, int64_t otherwise);
  bool boolean(std::string_view name, bool otherwise);  // any value, as `if` takes it
  // A text, or null when absent or none.
  const Text* text(std::string_view name);
  // Refuses what nobody asked for.
  void done() const;

 private:
  Meter& meter_;
  std::string_view function_;
  const Arguments& arguments_;
  size_t place_ = 0, named_left_;
};

}  // namespace bitnet::jinja
