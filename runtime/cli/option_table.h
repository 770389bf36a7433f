// cli/option_table.h - the one table of commands and options: parser, help, environment names and --print-config read it.
//
// Source   user_interface.md, sections 2, 3 and 5.
// Threads  constant data; all functions are pure.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet::cli {

// Commands of this version, as bits, because an option belongs to a set of them.
enum Command : unsigned {
  kRun = 1,
  kBackends = 2,
  kTokenize = 4,
  kDetokenize = 8,
  kVersion = 16,
  kHelp = 32,
  kBenchmark = 64,
  kAnalyze = 128,
  kValidate = 256,
  kInspect = 512,
  kEmbed = 1024,
  kConvert = 2048,
  kQuantCheck = 4096,
};

// The names of `run`, which have defaults of their own.
enum class CalledAs { kRun, kInfer, kChat };

struct CommandRow {
  std::string_view name;
  std::string_view aliases;  // separated by spaces
  Command command;
  std::string_view help;
};

enum class ValueKind {
  kFlag,     // takes no value on the command line; on, off in environment and files
  kText,     // any text, may be empty
  kPath,     // a file or folder, not empty
  kChoice,   // one of `choices`
  kInteger,  // signed 64 bit, low..high
  kReal,     // finite, low..high
  kNames,    // comma-separated names
  kIds,      // token ids separated by commas or spaces
  kBias,     // ID+V or ID-V, comma-separated
};

enum class Group { kModelAndText, kBenchmark, kCompute, kSampling, kOutput, kLogging };

struct OptionRow {
  std::string_view name;          // the long name, without dashes
  std::string_view aliases = {};  // further long names, separated by spaces
  std::string_view dashes = {};   // single-dash spellings, with the dash, separated by spaces
  ValueKind kind = ValueKind::kFlag;
  std::string_view value_name = {};     // how help shows the value: FILE, N
  std::string_view choices = {};        // kChoice: the accepted words, separated by spaces
  std::string_view default_text = {};   // empty: unset. A flag without one is off
  std::string_view infer_default = {};  // the default under the command name `infer`, where it differs
  std::string_view chat_default = {};   // and under `chat`
  double low = 0;                       // kInteger, kReal: accepted range, both ends included
  double high = 0;
  bool int64_high = false;  // kInteger: the upper end is 2^63-1, which a double cannot hold
  unsigned commands = 0;    // bits of Command
  Group group = Group::kModelAndText;
  bool everyday = false;    // shown by --help; --help-all shows all
  bool repeatable = false;  // may be given several times
  bool ready = true;        // false: known from the design, refused in this version
  bool from_environment = true;
  bool file_only = false;             // a key of configuration files without a command-line spelling
  bool names_code = false;            // names code to load: in a privileged process neither variables nor the user's file count
  std::string_view environment = {};  // a variable besides BITNET_ARG_<NAME>
  std::string_view stands_for = {};   // a flag that is another spelling of --stands_for=stands_for_value
  std::string_view stands_for_value = {};
  std::string_view help = {};
};

std::span<const CommandRow> command_table();
std::span<const OptionRow> option_table();

// Commands of the design that this version does not have.
std::span<const std::string_view> later_commands();

// Names and aliases; null when the word is no command of this version.
const CommandRow* find_command(std::string_view word);
std::string_view command_name(Command command);
bool is_later_command(std::string_view word);

// By long name or alias, without dashes (file_only rows are not found); by single-dash spelling, with the dash. Commands may
// use one spelling for different options (-p, -n, -r); a row of one of `commands` comes first.
const OptionRow* find_long(std::string_view name, unsigned commands = ~0U);
const OptionRow* find_dash(std::string_view spelling, unsigned commands = ~0U);

// The row whose name this is; the name must exist (a defect of ours otherwise: throws std::logic_error).
const OptionRow& option(std::string_view name);

// The default text of a row; under some names of `run` it may be another.
std::string_view default_of(const OptionRow& row, CalledAs name);

// BITNET_ARG_<NAME>: upper case, dashes as underscores.
std::string environment_name(std::string_view long_name);

// Splits at spaces; no empty parts.
std::vector<std::string_view> words_of(std::string_view text);

// Names of the commands an option belongs to, for messages: "run, tokenize".
std::string commands_of(const OptionRow& row);

}  // namespace bitnet::cli
