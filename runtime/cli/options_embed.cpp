// cli/options_embed.cpp - settings to the struct of the command embed.
#include "base/error.h"
#include "cli/options_commands.h"

namespace bitnet::cli {
namespace {

Pooling pooling_of(const Settings& settings) {
  if (!settings.given("pooling")) return Pooling::kFromModel;
  const std::string& word = settings.choice("pooling");
  if (word == "none") return Pooling::kNone;
  if (word == "mean") return Pooling::kMean;
  return word == "cls" ? Pooling::kFirst : Pooling::kLast;
}

bool normalize_of(const Settings& settings, Pooling pooling) {
  const bool yes = settings.flag("normalize"), no = settings.flag("no-normalize");
  if (yes && no) fail(ErrorKind::kUsage, "{} and {}: give one", settings.where("normalize"), settings.where("no-normalize"));
  if (yes && pooling == Pooling::kNone) {
    fail(ErrorKind::kUsage, "{} has no effect with --pooling none: vectors of tokens are not scaled",
         settings.where("normalize"));
  }
  return !no;
}

// --json beside another format is a contradiction.
EmbedFormat format_of(const Settings& settings) {
  const std::string& word = settings.choice("embd-format");
  if (!settings.flag("json")) {
    return word == "json" ? EmbedFormat::kJson : word == "raw" ? EmbedFormat::kRaw : EmbedFormat::kText;
  }
  if (settings.of("embd-format").source == Source::kFlag && word != "json") {
    fail(ErrorKind::kUsage, "{} and {} {}: give one", settings.where("json"), settings.where("embd-format"), word);
  }
  return EmbedFormat::kJson;
}

}  // namespace

EmbedOptions embed_options(const Settings& settings, std::span<const std::string> words, const Environment& environment,
                           ParsedCommand& parsed) {
  constexpr std::string_view kSources[] = {"prompt", "file", "prompt-ids"};
  EmbedOptions out;
  out.model = model_of(settings);
  out.tokenizer = tokenizer_of(settings);
  out.texts = choose_prompt(settings, kSources, words);
  out.separator = settings.given("separator") ? settings.text("separator") : "\n";
  out.pooling = pooling_of(settings);
  out.normalize = normalize_of(settings, out.pooling);
  out.format = format_of(settings);
  out.ctx_size = static_cast<int>(settings.integer("ctx-size"));
  out.check_tensors = settings.flag("check-tensors");
  out.formats = format_options(settings);
  out.strict_tokenizers = settings.flag("strict-tokenizers");
  out.compute = backend_options(settings, environment, parsed);
  out.compute.threads = static_cast<int>(settings.integer("threads"));
  out.compute.isolate = settings.flag("isolate-backend");
  out.compute.kv_type = settings.choice("kv-type") == "f16" ? KvType::kF16 : KvType::kF32;
  out.compute.ubatch_size = static_cast<int>(settings.integer("ubatch-size"));
  out.output = output_options(settings);
  if (out.texts.from != PromptFrom::kNone || parsed.print_config) return out;
  if (environment.stdin_is_terminal) {
    fail(ErrorKind::kUsage, "no text: give -p TEXT, -f FILE, or pipe it in; every line is a text of its own");
  }
  out.texts.from = PromptFrom::kStdin;
  return out;
}

}  // namespace bitnet::cli
