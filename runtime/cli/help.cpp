// cli/help.cpp - usage, examples, options by group, exit codes.
#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include "cli/option_table.h"

namespace bitnet::cli {
namespace {

constexpr size_t kIndent = 30;  // where descriptions begin

struct GroupTitle {
  Group group;
  std::string_view title;
};
constexpr GroupTitle kGroups[] = {
    {Group::kModelAndText, "Model and text"}, {Group::kBenchmark, "Benchmark"}, {Group::kCompute, "Compute"},
    {Group::kSampling, "Sampling"},           {Group::kOutput, "Output"},       {Group::kLogging, "Logging"},
};

struct Example {
  Command command;
  std::string_view line;
  std::string_view purpose;
};
constexpr Example kExamples[] = {
    {kRun, "bitnet-run -p \"Once upon a time\"", "continue a text"},
    {kRun, "bitnet-run -m model.gguf -f story.txt -n 100", "text from a file"},
    {kRun, "bitnet-run chat -m model.gguf", "a conversation"},
    {kRun, "bitnet-run --backend cpu_avx2,cpu_portable -p Hi", "only these backends"},
    {kRun, "bitnet-run --json -p Hi", "with all measurements"},
    {kBenchmark, "bitnet-run benchmark -m model.gguf", "speed of a model"},
    {kBenchmark, "bitnet-run benchmark -p 0 -n 64 -t 1,2", "by threads"},
    {kBenchmark, "bitnet-run benchmark -d 0-4096+1024 -o json", "by depth"},
    {kBenchmark, "bitnet-run benchmark --preset ac10", "CPU and GPU"},
    {kAnalyze, "bitnet-run analyze-performance --results r --baseline b", "slower?"},
    {kBackends, "bitnet-run backends list", "what can compute here"},
    {kBackends, "bitnet-run backends rescan", "try all plugins anew"},
    {kValidate, "bitnet-run validate model.gguf", "is the file sound?"},
    {kValidate, "bitnet-run validate --strict --format junit m.gguf", "for CI"},
    {kInspect, "bitnet-run inspect model.gguf", "what is in it"},
    {kConvert, "bitnet-run convert a.gguf -o b.gguf --type tl2", "another format"},
    {kQuantCheck, "bitnet-run quant-check a.gguf b.gguf", "the same weights?"},
    {kTokenize, "bitnet-run tokenize -p \"Hello world\"", "text to token ids"},
    {kTokenize, "bitnet-run tokenize --check -m model.gguf", "does it fit the model?"},
    {kDetokenize, "bitnet-run detokenize 9906 1917", "token ids to text"},
    {kVersion, "bitnet-run version --json", "what is installed"},
};

struct ExitCode {
  int code;
  std::string_view meaning;
};
constexpr ExitCode kExitCodes[] = {
    {0, "success"},
    {1, "other failure (input or output, ...)"},
    {2, "wrong usage, configuration or prompt"},
    {3, "model file invalid or unsupported, or the model produced unusable numbers"},
    {4, "no usable backend left, or backend forbidden by --no-fallback"},
    {5, "quality gate failed, or not measured"},
    {6, "performance gate failed, or had nothing to compare"},
    {15, "not enough memory"},
    {124, "--time-limit reached"},
    {130, "interrupted (Ctrl-C)"},
    {143, "terminated"},
};

struct Variable {
  std::string_view name;
  std::string_view meaning;
};
constexpr Variable kVariables[] = {
    {"BITNET_ARG_<NAME>", "any option: upper case, '-' as '_'; empty counts as unset (BITNET_ARG_TOP_K=20)"},
    {"BITNET_PLUGIN_PATH", "more folders with backend plugins: absolute, separated by colons"},
    {"BITNET_PLUGINS_ONLY", "globs, separated by commas: no other plugins"},
    {"BITNET_PLUGINS_SKIP", "globs, separated by commas: not these plugins"},
};

// Appends `text` from column `begin` on, broken at spaces before `width`. The current line is `used` columns long.
void append_wrapped(std::string& out, std::string_view text, size_t begin, size_t used, size_t width) {
  if (used + 2 > begin) {
    out += '\n';
    used = 0;
  }
  out.append(begin - used, ' ');
  size_t column = begin;
  for (const std::string_view word : words_of(text)) {
    if (column > begin && column + 1 + word.size() > width) {
      out += '\n';
      out.append(begin, ' ');
      column = begin;
    }
    if (column > begin) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  out += '\n';
}

void append_entry(std::string& out, std::string_view left, std::string_view right, size_t width) {
  const std::string head = fmt::format("  {}", left);
  out += head;
  append_wrapped(out, right, kIndent, head.size(), width);
}

// The spelling beside the long name: a short one, not the same word with one dash.
std::string_view short_spelling(const OptionRow& row) {
  const auto dashes = words_of(row.dashes);
  return dashes.empty() || dashes.front().substr(1) == row.name ? std::string_view() : dashes.front();
}

std::string spelling_of(const OptionRow& row) {
  std::string out;
  if (const std::string_view dash = short_spelling(row); !dash.empty()) out = fmt::format("{}, ", dash);
  out += row.file_only ? std::string(row.name) : fmt::format("--{}", row.name);
  if (!row.value_name.empty()) out += fmt::format(" {}", row.value_name);
  return out;
}

// Other spellings, the range, the variable and the command where it is not run, for --help-all.
std::string details_of(const OptionRow& row) {
  std::string out;
  std::vector<std::string> also;
  for (const std::string_view dash : words_of(row.dashes)) {
    if (dash != short_spelling(row)) also.emplace_back(dash);
  }
  for (const std::string_view alias : words_of(row.aliases)) also.push_back(fmt::format("--{}", alias));
  if (!also.empty()) out += fmt::format(" Also {}.", fmt::join(also, ", "));
  if (row.kind == ValueKind::kInteger || row.kind == ValueKind::kReal) {
    out += row.int64_high ? fmt::format(" Range {} .. 2^63-1.", row.low) : fmt::format(" Range {} .. {}.", row.low, row.high);
  }
  if (row.repeatable) out += " May be repeated.";
  if (!row.environment.empty()) out += fmt::format(" Variable {}.", row.environment);
  if ((row.commands & kRun) == 0) out += fmt::format(" Only of {}.", commands_of(row));
  return out;
}

std::string description_of(const OptionRow& row, bool all) {
  std::string out(row.help);
  if (!row.default_text.empty()) {
    const std::string infer = row.infer_default.empty() ? "" : fmt::format("; infer: {}", row.infer_default);
    const std::string chat = row.chat_default.empty() ? "" : fmt::format("; chat: {}", row.chat_default);
    out += fmt::format(" [{}{}{}]", row.default_text, infer, chat);
  }
  const std::string details = all ? details_of(row) : std::string();
  return details.empty() ? out : out + "." + details;
}

void append_options(std::string& out, unsigned commands, bool all, size_t width) {
  for (const GroupTitle& group : kGroups) {
    bool titled = false;
    for (const OptionRow& row : option_table()) {
      if (!row.ready || row.group != group.group || (row.commands & commands) == 0 || !(all || row.everyday)) continue;
      if (!titled) out += fmt::format("\n{}:\n", group.title);
      titled = true;
      append_entry(out, spelling_of(row), description_of(row, all), width);
    }
  }
}

void append_examples(std::string& out, unsigned commands) {
  out += "\nExamples:\n";
  for (const Example& example : kExamples) {
    if ((example.command & commands) != 0) out += fmt::format("  {:<50} # {}\n", example.line, example.purpose);
  }
}

void append_commands(std::string& out, size_t width) {
  out += "\nCommands:\n";
  for (const CommandRow& row : command_table()) {
    append_entry(out, row.aliases.empty() ? std::string(row.name) : fmt::format("{}, {}", row.name, row.aliases), row.help,
                 width);
  }
}

void append_list(std::string& out, std::string_view title, const std::string& words, size_t width) {
  out += fmt::format("\n{}:\n", title);
  append_wrapped(out, words, 2, 0, width);
}

void append_tables(std::string& out, size_t width) {
  out += "\nExit codes:\n";
  for (const ExitCode& row : kExitCodes) append_entry(out, fmt::format("{}", row.code), row.meaning, width);
  out += "\nEnvironment variables (an option on the command line wins):\n";
  for (const Variable& row : kVariables) append_entry(out, row.name, row.meaning, width);
  for (const OptionRow& row : option_table()) {
    if (!row.environment.empty()) append_entry(out, row.environment, fmt::format("as --{}", row.name), width);
  }
  std::string options;
  for (const OptionRow& row : option_table()) {
    if (!row.ready) options += fmt::format("--{} ", row.name);
  }
  append_list(out, "Commands that this version does not have", fmt::format("{}", fmt::join(later_commands(), " ")), width);
  append_list(out, "Options that this version refuses", options, width);
}

std::string_view operands_of(Command command) {
  if (command == kBackends) return " [list]";
  if (command == kDetokenize) return " [ID...]";
  return command == kHelp ? " [COMMAND]" : "";
}

}  // namespace

std::string help_text(const HelpOptions& what, int width) {
  const size_t columns = static_cast<size_t>(std::clamp(width, 80, 100));
  const CommandRow* command = find_command(what.command);
  std::string out;
  if (command == nullptr) {
    out = "Usage: bitnet-run [COMMAND] [OPTION...]\nRuns ternary (1.58-bit) language models.\n";
    append_examples(out, ~0U);
    append_commands(out, columns);
    append_options(out, what.all ? ~0U : static_cast<unsigned>(kRun), what.all, columns);
  } else {
    out = fmt::format("Usage: bitnet-run {}{} [OPTION...]\n{}.\n", command->name, operands_of(command->command), command->help);
    char& first = out[out.find('\n') + 1];
    first = static_cast<char>(std::toupper(static_cast<unsigned char>(first)));
    if (command->command != kHelp) append_examples(out, command->command);
    append_options(out, command->command, what.all, columns);
  }
  if (what.all) append_tables(out, columns);
  if (!what.all) out += "\nAll options, exit codes and environment variables: --help-all\n";
  return out;
}

}  // namespace bitnet::cli
