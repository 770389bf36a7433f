// cli/help.h - help texts made from the option table.
//
// Threads  pure functions.
#pragma once

#include <string>

#include "cli/options.h"

namespace bitnet::cli {

// Lines of at most `width` columns (80 to 100; others are brought into that range). Ends with a newline.
std::string help_text(const HelpOptions& what, int width = 80);

}  // namespace bitnet::cli
