// jinja/python_text.h - how values look as text: Python's str() and repr(), and JSON as transformers' tojson writes it.
//
// Errors  Error{kUsage} for what would look different here than there.
#pragma once

#include "jinja/arguments.h"

namespace bitnet::jinja {

// str(value): a text as it is, none as "None", lists with repr() of their items.
Text to_text(Meter& meter, const Value& value);

// The filter tojson.
Value to_json(Meter& meter, const Value& value, const Arguments& arguments);

std::string float_text(double value);

}  // namespace bitnet::jinja
