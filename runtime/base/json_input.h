// base/json_input.h - JSON that comes from outside: bounded depth, no duplicate keys, one-line errors.
//
// Errors  Error{kind} with "label: ..." that says where.
// Threads pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace bitnet {

struct JsonSource {
  std::string label;                      // path or name, as messages show it; made printable here
  ErrorKind error = ErrorKind::kFailure;  // what a fault in it is
  int max_depth = 64;                     // of arrays and objects; deeper ones could exhaust the stack later on
  size_t max_bytes = size_t{8} << 20;     // a longer text is refused before it is read
};

// Throws when the text is too long, no JSON, nested too deep, or has a key twice in one object. The caller bounds what one
// value may be: numbers are checked where they are used.
nlohmann::json parse_json(std::string_view text, const JsonSource& source);

}  // namespace bitnet
