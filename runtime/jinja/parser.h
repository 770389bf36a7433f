// jinja/parser.h - from a template's text to its syntax tree.
//
// Errors  Error{kUsage} with line and column; what Jinja has and this program does not is named as such.
#pragma once

#include "jinja/syntax.h"

namespace bitnet::jinja {

// The source must outlive the result.
Body parse_template(const Source& source);

}  // namespace bitnet::jinja
