// cli/normalize.h - turns the spellings users type into `--name=value` pairs that Boost.Program_options cannot misread.
//
// The library alone reads -ngl 99 as -n gl, accepts --ho for --host, refuses values that begin with a dash and `--prompt=`.
// So it gets long options only, each joined to its value; everything else about spelling is decided here.
//
// Errors   throws Error{kUsage} with one line.
// Threads  pure functions.
// Source   user_interface.md, section 4.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/option_table.h"

namespace bitnet::cli {

struct GivenOption {
  const OptionRow* row;  // never a shorthand: --gpu arrives as --backend with value "cuda"
  std::string value;     // a flag has "on" or "off"
  std::string origin;    // as the user wrote it: "-n", "--max-tokens", or the name of a variable or file
};

struct Arguments {
  std::vector<GivenOption> options;  // in the given order; a single-valued option occurs once, with its last value
  std::vector<std::string> words;    // what is no option: operands of the command
  std::vector<std::string> warnings;
};

// `arguments` are those after the command word. An option that takes a value takes the next argument, whatever it looks
// like; `--` ends the options. Unknown, unready and foreign options are refused with the nearest known name.
Arguments normalize(std::span<const std::string> arguments, Command command);

// The same options as Boost.Program_options gets them: "--name=value", or "--name" and "" for an empty value.
std::vector<std::string> library_tokens(std::span<const GivenOption> options);

// Row and value with a shorthand replaced by what it stands for: (--gpu, on) is (--backend, cuda).
GivenOption expand(const OptionRow& row, std::string value, std::string origin);

// The known spelling nearest to `spelling` (with its dashes) among the options of the command, empty when none is near.
std::string nearest_option(std::string_view spelling, unsigned commands);

// The nearest command name, empty when none is near.
std::string nearest_command(std::string_view word);

// Insertions, deletions, replacements and swaps of neighbours that turn a into b.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace bitnet::cli
