// cli/options_commands.cpp - fills the struct of each command and refuses what contradicts itself.
#include "cli/options_commands.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "cli/normalize.h"
#include "cli/options_sources.h"
#include "cli/options_values.h"

namespace bitnet::cli {
namespace {

constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 256;

Progress progress_of(const std::string& word) {
  if (word == "bar") return Progress::kBar;
  if (word == "plain") return Progress::kPlain;
  if (word == "json") return Progress::kJson;
  return word == "none" ? Progress::kNone : Progress::kAuto;
}

[[noreturn]] void fail_operand(const std::string& word) {
  if (find_command(word) != nullptr || is_later_command(word)) {
    fail(ErrorKind::kUsage, "unexpected argument '{}': a command must be the first word", word);
  }
  const std::string nearest = nearest_command(word);
  fail(ErrorKind::kUsage, "unexpected argument '{}'; {}", printable(word),
       nearest.empty() ? "a text is given with -p TEXT" : fmt::format("did you mean the command '{}'?", nearest));
}

// What a setting of text or prompt options means as a prompt.
Prompt prompt_of(const Settings& settings, std::string_view name) {
  Prompt out;
  if (name == "prompt-ids") {
    out.from = PromptFrom::kIds;
    out.ids = read_ids(settings.where(name), settings.text(name));
    return out;
  }
  if (name == "prompts") return {PromptFrom::kLines, settings.path(name), {}};
  out.text = name == "file" ? settings.path(name) : settings.text(name);
  out.from = name == "file" ? PromptFrom::kFile : PromptFrom::kText;
  if (out.text == "-") out = {PromptFrom::kStdin, {}, {}};
  return out;
}

std::vector<std::string> stop_texts(const Settings& settings) {
  const std::vector<std::string>& stops = settings.of("stop").values;
  if (stops.size() > kMaxStops) {
    fail(ErrorKind::kUsage, "{}: expected at most {} stop texts, found {}", settings.where("stop"), kMaxStops, stops.size());
  }
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      fail(ErrorKind::kUsage, "{}: expected a stop text of 1 to {} bytes, found {}", settings.where("stop"), kMaxStopBytes,
           stop.size());
    }
  }
  return stops;
}

SamplingOptions sampling_options(const Settings& settings) {
  SamplingOptions out;
  out.seed = settings.integer("seed");
  out.temperature = settings.real("temp");
  out.greedy = out.temperature == 0;
  out.top_k = settings.integer("top-k");
  out.top_p = settings.real("top-p");
  out.min_p = settings.real("min-p");
  out.repeat_penalty = settings.real("repeat-penalty");
  out.repeat_last_n = settings.integer("repeat-last-n");
  out.presence_penalty = settings.real("presence-penalty");
  out.frequency_penalty = settings.real("frequency-penalty");
  for (const std::string& value : settings.of("logit-bias").values) {
    read_logit_bias(settings.where("logit-bias"), value, out.logit_bias);
  }
  out.ignore_eos = settings.flag("ignore-eos");
  out.stop = stop_texts(settings);
  return out;
}

void fill_context_shift(const Settings& settings, RunOptions& out) {
  out.context_shift = settings.flag("context-shift");
  out.n_keep = settings.integer("keep");
  if (!out.context_shift && settings.of("keep").source == Source::kFlag) {
    fail(ErrorKind::kUsage, "{} has no effect without --context-shift", settings.where("keep"));
  }
}

// What cannot be together with many prompts.
void fill_parallel(const Settings& settings, RunOptions& out) {
  out.parallel = static_cast<uint32_t>(settings.integer("parallel"));
  if (out.prompt.from != PromptFrom::kLines) {
    if (settings.of("parallel").source != Source::kFlag) return;
    fail(ErrorKind::kUsage, "{} has no effect without --prompts", settings.where("parallel"));
  }
  if (!out.logits_out.empty()) {
    fail(ErrorKind::kUsage, "{} is for one prompt; with --prompts the JSON lines have the hash of each one's last logits",
         settings.where("logits-out"));
  }
  if (out.compute.draft_max != 0 && settings.of("speculate").source == Source::kFlag) {
    fail(ErrorKind::kUsage, "{} is for one prompt: guesses are not used where several are answered at once",
         settings.where("speculate"));
  }
  out.compute.draft_min = out.compute.draft_max = 0;
}

RunOptions run_options(const Settings& settings, std::span<const std::string> words, CalledAs name,
                       const Environment& environment, ParsedCommand& parsed) {
  constexpr std::string_view kSources[] = {"prompt", "file", "prompts", "prompt-ids"};
  RunOptions out;
  out.infer = name == CalledAs::kInfer;
  out.model = model_of(settings);
  out.tokenizer = tokenizer_of(settings);
  out.prompt = choose_prompt(settings, kSources, words);
  out.n_predict = settings.integer("predict");
  out.n_predict_is_default = !settings.given("predict");
  out.ctx_size = static_cast<int>(settings.integer("ctx-size"));
  fill_context_shift(settings, out);
  out.check_tensors = settings.flag("check-tensors");
  out.strict_tokenizers = settings.flag("strict-tokenizers");
  out.list_backends = settings.flag("list-backends");
  out.list_devices = settings.flag("list-devices");
  out.logits_out = settings.path("logits-out");
  out.formats = format_options(settings);
  out.compute = compute_options(settings, environment, parsed);
  fill_speculation(settings, out.compute);
  fill_parallel(settings, out);
  out.sampling = sampling_options(settings);
  out.output = output_options(settings);
  out.output.progress = progress_of(settings.choice("progress"));
  out.chat = chat_options(settings, name);
  check_chat(out, settings);
  out.chat.stdin_is_terminal = environment.stdin_is_terminal;
  const bool talks = out.chat.mode == ConversationMode::kOn && !out.chat.single_turn;
  if (out.prompt.from == PromptFrom::kNone && !talks && !out.list_backends && !out.list_devices && !parsed.print_config) {
    if (!environment.stdin_is_terminal) {
      out.prompt.from = PromptFrom::kStdin;  // something is piped in
      return out;
    }
    if (out.chat.mode != ConversationMode::kOff) return out;  // it depends on the model: run_command() knows
    fail(ErrorKind::kUsage, "no prompt: give -p TEXT, -f FILE, or pipe it in; --help shows examples");
  }
  return out;
}

// Options that say which backend runs a model mean nothing where no model is.
void refuse_choice(const Settings& settings) {
  for (const char* name : {"backend", "gpu-layers", "threads", "no-fallback", "deterministic", "real-model", "allow-mock",
                           "i2s-layout", "kernel-config"}) {
    if (settings.of(name).source == Source::kFlag) {
      fail(ErrorKind::kUsage, "{} has an effect only on 'backends explain MODEL' and 'run'", settings.where(name));
    }
  }
}

// The model as the word behind a command; none for the default model.
std::optional<std::string> model_operand(std::span<const std::string> words, const char* command) {
  if (words.empty()) return std::nullopt;
  if (words.front().empty()) fail(ErrorKind::kUsage, "{}: expected a model file, found nothing", command);
  refuse_operands(words.subspan(1));
  return words.front();
}

// The same, or -m.
std::optional<std::string> model_operand_or_option(std::span<const std::string> words, const Settings& settings,
                                                   const char* command) {
  const std::optional<std::string> word = model_operand(words, command);
  if (word && settings.of("model").source == Source::kFlag) {
    fail(ErrorKind::kUsage, "two models, {} and '{}': give one", settings.where("model"), printable(*word));
  }
  return word ? word : model_of(settings);
}

// The words behind "explain".
void fill_explain(std::span<const std::string> words, const Settings& settings, ParsedCommand& parsed, BackendsOptions& out) {
  out.explain = true;
  out.model = model_operand(words, "backends explain");
  for (const char* name : {"list-backends", "list-devices"}) {
    if (settings.flag(name)) fail(ErrorKind::kUsage, "{} cannot be used with 'backends explain'", settings.where(name));
  }
  out.choice = choice_options(settings, parsed);
  out.choice.threads = static_cast<int>(settings.integer("threads"));
  out.formats = format_options(settings);
}

BackendsOptions backends_options(const Settings& settings, std::span<const std::string> words, const Environment& environment,
                                 ParsedCommand& parsed) {
  BackendsOptions out;
  if (!words.empty() && words.front() == "explain") {
    fill_explain(words.subspan(1), settings, parsed, out);
  } else {
    out.rescan = !words.empty() && words.front() == "rescan";
    if (out.rescan || (!words.empty() && words.front() == "list")) words = words.subspan(1);
    refuse_operands(words);
    refuse_choice(settings);
    settings.flag("list-backends");  // read for its errors: it only confirms the default
    out.list_devices = settings.flag("list-devices");
  }
  out.plugins = plugin_options(settings, environment, parsed.warnings);
  out.output = output_options(settings);
  return out;
}

ReportFormat report_format(const Settings& settings) {
  const std::string& word = settings.choice("format");
  return word == "json" ? ReportFormat::kJson : word == "junit" ? ReportFormat::kJUnit : ReportFormat::kText;
}

ValidateOptions validate_options(const Settings& settings, std::span<const std::string> words) {
  ValidateOptions out;
  out.model = model_operand_or_option(words, settings, "validate");
  out.strict = settings.flag("strict");
  out.strict_tokenizers = settings.flag("strict-tokenizers");
  out.formats = format_options(settings);
  out.output = output_options(settings);
  out.format = out.output.json ? ReportFormat::kJson : report_format(settings);
  return out;
}

InspectOptions inspect_options(const Settings& settings, std::span<const std::string> words, const Environment& environment,
                               ParsedCommand& parsed) {
  InspectOptions out;
  out.model = model_operand_or_option(words, settings, "inspect");
  out.statistics = !settings.flag("no-statistics");
  out.choice = choice_options(settings, parsed);
  out.choice.threads = static_cast<int>(settings.integer("threads"));
  out.plugins = plugin_options(settings, environment, parsed.warnings);
  out.output = output_options(settings);
  out.formats = format_options(settings);
  return out;
}

ConvertOptions convert_options(const Settings& settings, std::span<const std::string> words, bool print_config) {
  ConvertOptions out;
  out.out = settings.path("out");
  if (settings.given("type")) out.type = settings.choice("type");
  out.scale_tensors = settings.flag("scale-tensors");
  out.allow_loss = settings.flag("allow-loss");
  out.verify = settings.flag("verify");
  out.force = settings.flag("force");
  out.formats = format_options(settings);
  out.output = output_options(settings);
  out.output.progress = progress_of(settings.choice("progress"));
  if (out.scale_tensors && out.allow_loss) {
    fail(ErrorKind::kUsage, "{} keeps scales and {} rounds them: give one", settings.where("scale-tensors"),
         settings.where("allow-loss"));
  }
  if (words.size() > 1) refuse_operands(words.subspan(1));
  if (!words.empty()) out.input = words.front();
  if (print_config) return out;
  if (out.input.empty()) fail(ErrorKind::kUsage, "convert: no input: convert IN.gguf -o OUT.gguf --type TYPE");
  if (out.out.empty()) fail(ErrorKind::kUsage, "convert: no output: give -o FILE");
  if (out.type.empty()) fail(ErrorKind::kUsage, "convert: no type: give --type, one of {}", option("type").choices);
  return out;
}

QuantCheckOptions quant_check_options(const Settings& settings, std::span<const std::string> words, bool print_config) {
  QuantCheckOptions out;
  if (settings.given("tolerance")) out.tolerance = settings.real("tolerance");
  out.formats = format_options(settings);
  out.output = output_options(settings);
  out.output.progress = progress_of(settings.choice("progress"));
  if (words.size() > 2) refuse_operands(words.subspan(2));
  if (words.size() == 2) {
    out.a = words[0];
    out.b = words[1];
  }
  if (!print_config && (out.a.empty() || out.b.empty())) {
    fail(ErrorKind::kUsage, "quant-check: expected two model files, found {}", words.size());
  }
  return out;
}

TokenizeOptions tokenize_options(const Settings& settings, std::span<const std::string> words, const ParsedCommand& parsed) {
  constexpr std::string_view kSources[] = {"prompt", "file"};
  TokenizeOptions out;
  out.model = model_of(settings);
  out.tokenizer = tokenizer_of(settings);
  out.check = settings.flag("check");
  out.text = choose_prompt(settings, kSources, words);
  out.add_special = settings.flag("add-special");
  out.parse_special = settings.flag("parse-special");
  out.strict_tokenizers = settings.flag("strict-tokenizers");
  out.output = output_options(settings);
  if (out.check && out.text.from != PromptFrom::kNone) {
    fail(ErrorKind::kUsage, "{} looks at the model and takes no text: give one of them", settings.where("check"));
  }
  if (out.text.from == PromptFrom::kNone && !out.check && !parsed.print_config) {
    fail(ErrorKind::kUsage, "no text: give -p TEXT, -f FILE, or '-p -' to read standard input");
  }
  return out;
}

DetokenizeOptions detokenize_options(const Settings& settings, std::span<const std::string> words,
                                     const ParsedCommand& parsed) {
  DetokenizeOptions out;
  out.model = model_of(settings);
  out.tokenizer = tokenizer_of(settings);
  if (settings.given("ids") && !words.empty() && settings.of("ids").source == Source::kFlag) {
    fail(ErrorKind::kUsage, "token ids twice, {} and '{}': give one", settings.where("ids"), printable(words.front()));
  }
  if (!words.empty()) {
    out.ids = read_ids("detokenize", fmt::format("{}", fmt::join(words, " ")));
  } else if (settings.given("ids")) {
    out.ids = read_ids(settings.where("ids"), settings.text("ids"));
  } else if (!parsed.print_config) {
    fail(ErrorKind::kUsage, "no token ids: give --ids 1,2,3 or plain numbers");
  }
  out.strict_tokenizers = settings.flag("strict-tokenizers");
  out.output = output_options(settings);
  return out;
}

}  // namespace

// The prompt of the strongest source; two prompts of the same strength are a usage error. "-" as an operand is one more.
Prompt choose_prompt(const Settings& settings, std::span<const std::string_view> names, std::span<const std::string> words) {
  Prompt chosen;
  Source strongest = Source::kDefault;
  std::string origin;
  if (words.size() == 1 && words.front() == "-") {
    chosen.from = PromptFrom::kStdin;
    strongest = Source::kFlag;
    origin = "-";
  } else {
    refuse_operands(words);
  }
  for (const std::string_view name : names) {
    const Setting& setting = settings.of(name);
    if (setting.source == Source::kDefault || setting.source < strongest) continue;
    if (setting.source == strongest) {
      fail(ErrorKind::kUsage, "two prompts, {} and {}: give one", origin, settings.where(name));
    }
    chosen = prompt_of(settings, name);
    strongest = setting.source;
    origin = settings.where(name);
  }
  return chosen;
}

std::optional<std::string> model_of(const Settings& settings) {
  if (!settings.given("model")) return std::nullopt;
  return settings.path("model");
}

std::optional<std::string> tokenizer_of(const Settings& settings) {
  if (!settings.given("tokenizer")) return std::nullopt;
  return settings.path("tokenizer");
}

FormatOptions format_options(const Settings& settings) {
  return {settings.choice("i2s-layout"), settings.path("kernel-config")};
}

LogLevel log_level_of(const Settings& settings) {
  constexpr LogLevel kLevels[] = {LogLevel::kError,  LogLevel::kError, LogLevel::kWarning,
                                  LogLevel::kNotice, LogLevel::kInfo,  LogLevel::kDebug};
  return kLevels[settings.integer("verbosity")];
}

OutputOptions output_options(const Settings& settings) {
  OutputOptions out;
  out.json = settings.flag("json");
  out.log_level = log_level_of(settings);
  out.color = !settings.flag("no-color");
  return out;
}

void refuse_operands(std::span<const std::string> words) {
  if (!words.empty()) fail_operand(words.front());
}

void fill_command(ParsedCommand& parsed, Command command, CalledAs name, std::span<const std::string> words,
                  const Environment& environment) {
  const Settings settings(parsed.settings);
  parsed.print_config = settings.flag("print-config");
  switch (command) {
    case kRun:
      parsed.command = run_options(settings, words, name, environment, parsed);
      break;
    case kEmbed:
      parsed.command = embed_options(settings, words, environment, parsed);
      break;
    case kBenchmark:
      parsed.command = benchmark_options(settings, words, environment, parsed);
      break;
    case kAnalyze:
      parsed.command = analyze_options(settings, words, parsed.print_config);
      break;
    case kBackends:
      parsed.command = backends_options(settings, words, environment, parsed);
      break;
    case kValidate:
      parsed.command = validate_options(settings, words);
      break;
    case kInspect:
      parsed.command = inspect_options(settings, words, environment, parsed);
      break;
    case kConvert:
      parsed.command = convert_options(settings, words, parsed.print_config);
      break;
    case kQuantCheck:
      parsed.command = quant_check_options(settings, words, parsed.print_config);
      break;
    case kTokenize:
      parsed.command = tokenize_options(settings, words, parsed);
      break;
    case kDetokenize:
      parsed.command = detokenize_options(settings, words, parsed);
      break;
    case kVersion:
      refuse_operands(words);
      parsed.command = VersionOptions{output_options(settings)};
      break;
    case kHelp:
      break;  // answered before settings are read
  }
}

HelpOptions help_options(Command command, bool named, std::span<const std::string> words, bool all) {
  HelpOptions out{named && command != kHelp ? std::string(command_name(command)) : std::string(), all};
  if (command != kHelp || words.empty()) {
    refuse_operands(words);
    return out;
  }
  const std::string& word = words.front();
  if (is_later_command(word)) fail(ErrorKind::kUsage, "'{}' is not part of this version yet", word);
  const CommandRow* row = find_command(word);
  if (row == nullptr) fail_operand(word);
  refuse_operands(words.subspan(1));
  out.command = row->name;
  return out;
}

}  // namespace bitnet::cli
