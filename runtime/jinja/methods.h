// jinja/methods.h - what can be called behind a dot: methods of texts, lists and dicts, as Python has them.
//
// Errors  Error{kUsage}: a method that would change its value, one that is not supported, arguments that do not suit it.
#pragma once

#include <string_view>
#include <vector>

#include "jinja/arguments.h"

namespace bitnet::jinja {

// value.name, without calling it. Kind undefined: values of that type have none of that name.
Value method_of(Meter& meter, const Value& value, std::string_view name);

Value call_text_method(Meter& meter, std::string_view name, const Text& text, const Arguments& arguments);

// The lines of a text as str.splitlines() cuts it.
std::vector<Text> split_lines(Meter& meter, const Text& text, bool keep_ends);

}  // namespace bitnet::jinja
