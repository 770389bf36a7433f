// cli/options_commands.h - from settings to the struct of each command: ranges, conflicts, prompt sources.
//
// Errors   throws Error{kUsage} with one line.
// Source   user_interface.md, sections 3 and 7.
#pragma once

#include <span>
#include <string>

#include "cli/option_table.h"
#include "cli/options.h"
#include "cli/options_values.h"

namespace bitnet::cli {

// Fills parsed.command, print_config, warnings and notes from parsed.settings and the operands.
void fill_command(ParsedCommand& parsed, Command command, CalledAs name, std::span<const std::string> words,
                  const Environment& environment);

// Parts that the structs of several commands share.
std::optional<std::string> model_of(const Settings& settings);
std::optional<std::string> tokenizer_of(const Settings& settings);
FormatOptions format_options(const Settings& settings);
OutputOptions output_options(const Settings& settings);  // of commands with --json
LogLevel log_level_of(const Settings& settings);
// options_compute.cpp. The choice of backends alone; with threads, batch sizes, KV type and limits.
ComputeOptions choice_options(const Settings& settings, ParsedCommand& parsed);
PluginOptions plugin_options(const Settings& settings, const Environment& environment, std::vector<std::string>& warnings);
void fill_speculation(const Settings& settings, ComputeOptions& out);
ComputeOptions compute_options(const Settings& settings, const Environment& environment, ParsedCommand& parsed);
// Which backends may run and with what; threads, batch sizes, KV type, time limit and isolation are the command's.
ComputeOptions backend_options(const Settings& settings, const Environment& environment, ParsedCommand& parsed);
// Error when there are any.
void refuse_operands(std::span<const std::string> words);

// Where texts come from: the strongest of the settings `names`, or "-" as an operand. kNone: from nowhere.
Prompt choose_prompt(const Settings& settings, std::span<const std::string_view> names, std::span<const std::string> words);

// options_embed.cpp
EmbedOptions embed_options(const Settings& settings, std::span<const std::string> words, const Environment& environment,
                           ParsedCommand& parsed);

// options_chat.cpp
ChatOptions chat_options(const Settings& settings, CalledAs name);
void check_chat(const RunOptions& run, const Settings& settings);

// options_benchmark.cpp
BenchmarkOptions benchmark_options(const Settings& settings, std::span<const std::string> words, const Environment& environment,
                                   ParsedCommand& parsed);
AnalyzeOptions analyze_options(const Settings& settings, std::span<const std::string> words, bool print_config);

// `help`, `help COMMAND`, `COMMAND --help`, `--help`; `named`: the command word was there.
HelpOptions help_options(Command command, bool named, std::span<const std::string> words, bool all);

}  // namespace bitnet::cli
