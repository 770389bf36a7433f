// jinja/filters.h - filters, "value | name(arguments)", and tests, "value is name(arguments)".
//
// Errors  Error{kUsage}: an unknown one, one that Jinja has and this program does not, arguments that do not suit it.
#pragma once

#include <string_view>

#include "jinja/arguments.h"

namespace bitnet::jinja {

Value apply_filter(Meter& meter, std::string_view name, const Value& value, const Arguments& arguments);
bool apply_test(Meter& meter, std::string_view name, const Value& value, const Arguments& arguments);

// Filters that go through a list (filters_of_lists.cpp); false: the name is none of them.
bool apply_list_filter(Meter& meter, std::string_view name, const Value& value, const Arguments& arguments, Value& out);

}  // namespace bitnet::jinja
