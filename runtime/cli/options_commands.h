// cli/options_commands.h - from settings to the struct of each command: ranges, conflicts, prompt sources.
//
// Errors   throws Error{kUsage} with one line.
// Source   user_interface.md, sections 3 and 7.
#pragma once

#include <span>
#include <string>

#include "cli/option_table.h"
#include "cli/options.h"

namespace bitnet::cli {

// Fills parsed.command, print_config, warnings and notes from parsed.settings and the operands.
void fill_command(ParsedCommand& parsed, Command command, bool infer, std::span<const std::string> words,
                  const Environment& environment);

// `help`, `help COMMAND`, `COMMAND --help`, `--help`; `named`: the command word was there.
HelpOptions help_options(Command command, bool named, std::span<const std::string> words, bool all);

}  // namespace bitnet::cli
