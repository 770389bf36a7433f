// cli/tokenize_command.cpp - "tokenize" and "detokenize": text to ids and back with a model's own tokenizer, or a named one.
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/tokenizer_report.h"

namespace bitnet::cli {
namespace {

gguf::File open_model_file(const std::string& path) {
  return checkpoint::is_checkpoint(path) ? checkpoint::open_checkpoint(path) : gguf::File(path);
}

// Without the model where the tokenizer does not need it: a checkpoint's weights would all be read.
Tokenizer open_tokenizer(const std::optional<std::string>& model, const std::optional<std::string>& tokenizer, bool strict) {
  if (tokenizer && !model) return Tokenizer::from_file(*tokenizer, {strict});
  const std::string path = find_model(model);
  if (!checkpoint::is_checkpoint(path)) return Tokenizer::of_model(gguf::File(path), tokenizer, {strict});
  if (tokenizer) return Tokenizer::from_file(*tokenizer, {strict});
  const std::string beside = find_tokenizer_beside(path);
  if (beside.empty()) {
    fail(ErrorKind::kInvalidModel, "{}: neither tokenizer.json nor tokenizer.model is there; name one with --tokenizer FILE",
         printable(path, 4096));
  }
  return Tokenizer::from_file(beside, {strict});
}

Tokenizer open_and_warn(const std::optional<std::string>& model, const std::optional<std::string>& tokenizer, bool strict) {
  Tokenizer opened = open_tokenizer(model, tokenizer, strict);
  for (const std::string& warning : opened.warnings()) log(LogLevel::kWarning, "{}", warning);
  return opened;
}

int check_tokenizer(const TokenizeOptions& options) {
  const gguf::File model = open_model_file(find_model(options.model));
  const Tokenizer tokenizer = Tokenizer::of_model(model, options.tokenizer, {options.strict_tokenizers});
  const CompatibilityReport report = check_compatibility(tokenizer, model, options.strict_tokenizers);
  if (options.output.json) {
    nlohmann::json json = tokenizer_report_json(tokenizer, report);
    json["schema"] = 1;
    write_stdout(json_text(json) + "\n");
  } else {
    write_stdout(tokenizer_report_text(tokenizer, report));
  }
  return report.passed() ? 0 : static_cast<int>(ErrorKind::kInvalidModel);
}

}  // namespace

int tokenize_command(const TokenizeOptions& options) {
  if (options.check) return check_tokenizer(options);
  const Tokenizer tokenizer = open_and_warn(options.model, options.tokenizer, options.strict_tokenizers);
  const std::vector<int32_t> ids =
      tokenizer.encode(read_prompt(options.text), {.add_special = options.add_special, .parse_special = options.parse_special});
  if (options.output.json) {
    nlohmann::json pieces = nlohmann::json::array();
    for (int32_t id : ids) pieces.push_back(tokenizer.token_text(id));
    write_stdout(
        json_text(
            {{"schema", 1}, {"tokens", ids}, {"pieces", pieces}, {"model", tokenizer.model()}, {"pre", tokenizer.pre()}}) +
        "\n");
  } else {
    write_stdout(fmt::format("{}\n", fmt::join(ids, " ")));
  }
  return 0;
}

int detokenize_command(const DetokenizeOptions& options) {
  const Tokenizer tokenizer = open_and_warn(options.model, options.tokenizer, options.strict_tokenizers);
  const std::string text = tokenizer.decode(options.ids, {.control_tokens = true});
  write_stdout(options.output.json ? json_text({{"schema", 1}, {"text", text}}) + "\n" : text + "\n");
  return 0;
}

}  // namespace bitnet::cli
