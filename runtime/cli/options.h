// cli/options.h - the command line, the environment and configuration files as plain structs, one per command.
//
// Precedence: flag > environment > user file > system file > default. The defaults stand in option_table.cpp; a struct made
// without parse_command_line() is empty.
//
// Errors   throws Error{kUsage} with one line that names the option, variable or file.
// Threads  pure but for reading configuration files and prompts.
// Source   user_interface.md, sections 2 to 5 and 7.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/log.h"

namespace bitnet::cli {

// Where a value comes from, weakest first.
enum class Source { kDefault, kSystemFile, kUserFile, kEnvironment, kFlag };

// One option's effective value as text. `values` has one entry except for repeatable options; unset: none.
struct Setting {
  std::string name;  // the long name
  std::vector<std::string> values;
  Source source = Source::kDefault;
  std::string origin;  // "-n", "BITNET_SEED", the path of a file; empty for a default
};

enum class PromptFrom { kNone, kText, kFile, kStdin, kIds, kLines };

struct Prompt {
  PromptFrom from = PromptFrom::kNone;
  std::string text;          // kText: the text, any bytes; kFile, kLines: the path; kLines: "-" is standard input
  std::vector<int32_t> ids;  // kIds: each >= 0, not checked against a vocabulary
};

struct LogitBias {
  int32_t id;  // >= 0, not checked against a vocabulary
  float bias;  // finite
};

struct SamplingOptions {
  int64_t seed = 0;        // -1: choose one and report it
  double temperature = 0;  // 0: greedy
  bool greedy = false;     // the same as temperature == 0
  int64_t top_k = 0;       // <= 0: off
  double top_p = 0;        // 0..1
  double min_p = 0;        // 0..1
  double repeat_penalty = 0;
  int64_t repeat_last_n = 0;  // tokens; -1: the context
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::vector<LogitBias> logit_bias;  // at most 1024
  bool ignore_eos = false;
  std::vector<std::string> stop;  // at most 16, each 1..256 bytes
};

struct PluginOptions {
  std::vector<std::string> files;  // --plugin
  std::vector<std::string> dirs;   // --plugin-dir
  std::vector<std::string> path;   // folders of BITNET_PLUGIN_PATH, absolute, searched after `dirs`
  bool allow_unsafe = false;
  bool privileged = false;        // set-user-id process: only the installed folder counts
  std::vector<std::string> only;  // globs of BITNET_PLUGINS_ONLY; empty: all
  std::vector<std::string> skip;  // of BITNET_PLUGINS_SKIP
};

enum class Progress { kAuto, kBar, kPlain, kJson, kNone };

struct OutputOptions {
  bool json = false;
  LogLevel log_level = LogLevel::kNotice;  // of --verbosity 0..5
  Progress progress = Progress::kAuto;
  bool color = true;  // false after --no-color or NO_COLOR
};

struct MockOptions {
  std::string mode;    // "canned" or "faithful"
  std::string tier;    // of faithful: "kernels" or "engine"
  std::string faults;  // a fault script, empty: none; its grammar is the mock plugin's business
};

enum class KvType { kF32, kF16 };
enum class HeadChoice { kAuto, kFull, kScreened };

struct ComputeOptions {
  int threads = 0;                    // 0: usable physical cores
  std::vector<std::string> backends;  // as given: {"auto"}, {X} (X first, then priority), {X, Y, ...} (these only)
  std::vector<std::string> priority;  // what "auto" stands for
  bool no_gpu = false;                // -ngl 0: no GPU backend, from whatever list
  bool no_fallback = false;
  bool allow_mock = false;
  bool real_model = false;
  bool deterministic = false;
  bool no_prepack_cache = false;
  std::optional<double> time_limit;  // seconds
  bool isolate = false;              // backends in a worker process
  double hang_limit = 0;             // seconds
  KvType kv_type = KvType::kF32;
  HeadChoice head = HeadChoice::kAuto;
  uint32_t draft_min = 0;                              // guesses of a step at least
  uint32_t draft_max = 0;                              // at most; 0: no speculation
  int batch_size = 0;                                  // tokens, >= ubatch_size
  int ubatch_size = 0;                                 // tokens
  std::map<std::string, std::string> backend_options;  // plugin name: a JSON object for it
  PluginOptions plugins;
  MockOptions mock;
};

enum class ConversationMode {
  kAuto,
  kOn,
  kOff
};  // kAuto: when the model has a template, and there is no prompt but a terminal

struct ChatOptions {
  ConversationMode mode = ConversationMode::kAuto;
  bool single_turn = false;  // one question, by the template
  bool multiline = false;
  bool stdin_is_terminal = false;
  bool uses_template = false;  // something above asks for the chat template, or a conversation was asked for
  Prompt system;               // kNone, kText or kFile
  std::string template_name, template_file;
};

// What the user says about a model file that the file itself does not.
struct FormatOptions {
  std::string i2s_layout = "x86";  // a name of gguf::parse_i2s_layout(), or "auto"
  std::string kernel_config;       // path, empty: none
};

struct RunOptions {
  bool infer = false;  // called as `infer`
  std::optional<std::string> model;
  std::optional<std::string> tokenizer;  // a file or folder in place of the model's own
  Prompt prompt;                         // kNone with list_backends, list_devices and where a conversation may be meant
  ChatOptions chat;
  uint32_t parallel = 1;              // prompts of kLines answered at once
  int64_t n_predict = 0;              // -1: until the text ends or the context is full
  bool n_predict_is_default = false;  // stopping at the default limit is noted
  int ctx_size = 0;                   // tokens; 0: from the model
  bool context_shift = false;         // a full context forgets its older half
  int64_t n_keep = 0;                 // tokens of the prompt that stay then; -1: all
  bool check_tensors = false;
  bool strict_tokenizers = false;
  bool list_backends = false;
  bool list_devices = false;
  std::string logits_out;  // path, empty: none
  ComputeOptions compute;
  SamplingOptions sampling;
  FormatOptions formats;
  OutputOptions output;
};

enum class Pooling { kFromModel, kNone, kMean, kLast, kFirst };
enum class EmbedFormat { kText, kRaw, kJson };

struct EmbedOptions {
  std::optional<std::string> model, tokenizer;
  Prompt texts;           // never kNone; ids are one text
  std::string separator;  // of texts; empty: all is one text
  Pooling pooling = Pooling::kFromModel;
  bool normalize = true;
  EmbedFormat format = EmbedFormat::kText;
  int ctx_size = 0;  // tokens; 0: from the model
  bool check_tensors = false;
  bool strict_tokenizers = false;
  FormatOptions formats;
  ComputeOptions compute;
  OutputOptions output;
};

struct BackendsOptions {
  bool list_devices = false;  // show devices, not plugin files
  bool explain = false;       // who would run a model, and why
  std::optional<std::string> model;
  ComputeOptions choice;  // explain: threads, backends and what restricts them; nothing else of it
  PluginOptions plugins;
  FormatOptions formats;
  OutputOptions output;
  bool rescan = false;  // forget what earlier runs found out, and look again
};

enum class ResultsFormat { kNone, kMarkdown, kCsv, kJson, kJsonLines };

// Tokens of a -pg test.
struct PromptAndGenerate {
  uint32_t prompt, generate;  // each >= 1
};

// Lists have at least one entry each.
struct BenchmarkOptions {
  std::optional<std::string> model;
  std::vector<uint32_t> n_prompt, n_gen, n_depth;  // tokens; a prompt or n_gen of 0: no such test
  std::vector<PromptAndGenerate> prompt_gen;       // may be empty
  std::vector<uint32_t> n_parallel;                // sequences that generate at once
  std::vector<uint32_t> threads;                   // 0: usable physical cores
  std::vector<uint32_t> batch_size, ubatch_size;   // tokens, >= 1
  std::vector<KvType> kv_type;
  uint32_t repetitions = 0;
  bool warm_up = true;
  double delay = 0;   // seconds
  bool ac10 = false;  // the preset: a CPU and a GPU, whatever `compute` says
  ResultsFormat format = ResultsFormat::kMarkdown, format_err = ResultsFormat::kNone;
  ComputeOptions compute;  // without threads, batch sizes and kv_type, which are lists here
  FormatOptions formats;
  OutputOptions output;
};

enum class ReportFormat { kText, kJson, kJUnit };

struct AnalyzeOptions {
  std::vector<std::string> results;  // at least one path
  std::string baseline;              // path
  bool baseline_is_folder = false;   // it comes from BITNET_BASELINE_DIR; else a folder only if it is one
  double threshold = 0;
  bool update = false;
  ReportFormat format = ReportFormat::kText;
  OutputOptions output;
};

struct ValidateOptions {
  std::optional<std::string> model;
  bool strict = false;  // warnings are errors
  bool strict_tokenizers = false;
  ReportFormat format = ReportFormat::kText;
  FormatOptions formats;
  OutputOptions output;
};

struct InspectOptions {
  std::optional<std::string> model;
  bool statistics = true;  // decode the tensors
  ComputeOptions choice;   // as of `backends explain`
  PluginOptions plugins;
  FormatOptions formats;
  OutputOptions output;
};

struct ConvertOptions {
  std::string input, out, type;                    // paths; type: a name of convert::parse_wanted_type()
  bool scale_tensors = false, allow_loss = false;  // not both
  bool verify = false;
  bool force = false;
  FormatOptions formats;
  OutputOptions output;
};

struct QuantCheckOptions {
  std::string a, b;                 // paths
  std::optional<double> tolerance;  // empty: by type
  FormatOptions formats;            // the layout is that of `a`
  OutputOptions output;
};

struct TokenizeOptions {
  std::optional<std::string> model, tokenizer;
  bool check = false;  // report whether the tokenizer fits the model; then there is no text
  Prompt text;         // never kIds; kNone only with check
  bool add_special = false;
  bool parse_special = false;
  bool strict_tokenizers = false;
  OutputOptions output;
};

struct DetokenizeOptions {
  std::optional<std::string> model, tokenizer;
  std::vector<int32_t> ids;  // at least one, each >= 0
  bool strict_tokenizers = false;
  OutputOptions output;
};

struct VersionOptions {
  OutputOptions output;
};

struct HelpOptions {
  std::string command;  // name of a command, empty: the program
  bool all = false;
};

struct ParsedCommand {
  std::variant<RunOptions, EmbedOptions, BenchmarkOptions, AnalyzeOptions, BackendsOptions, ValidateOptions, InspectOptions,
               ConvertOptions, QuantCheckOptions, TokenizeOptions, DetokenizeOptions, VersionOptions, HelpOptions>
      command;
  std::vector<Setting> settings;      // every option of the command, in the table's order; empty for help
  std::vector<std::string> warnings;  // for the log, before the command runs
  std::vector<std::string> notes;
  bool print_config = false;  // show print_config() and end; then a prompt or model may be missing

  // The setting of that long name; throws std::logic_error when the command has no such option.
  const Setting& setting(std::string_view name) const;
};

// What the parser reads from its surroundings; a test makes its own.
struct Environment {
  std::map<std::string, std::string> variables;
  bool privileged = false;        // set-user-id: variables that name code to load do not count
  bool stdin_is_terminal = true;  // false: without another prompt, standard input is the prompt
  std::string system_config = "/etc/bitnet/bitnet.conf";

  static Environment of_process();
  // Empty counts as unset.
  const std::string* find(const std::string& name) const;
};

ParsedCommand parse_command_line(int argc, const char* const* argv, const Environment& environment);

// Every effective value and its source: lines "name = value  # source", or with --json one object.
std::string print_config(const ParsedCommand& parsed);

// The prompt's bytes: the text itself, a file, or standard input to its end. NUL is an ordinary byte. Not for kNone, kIds,
// kLines. Errors  kUsage: missing, a folder, unreadable, more than kMaxPromptBytes, UTF-16 with a byte order mark.
inline constexpr size_t kMaxPromptBytes = size_t{64} << 20;
std::string read_prompt(const Prompt& prompt);

}  // namespace bitnet::cli
