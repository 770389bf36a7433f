// cli/tokenize_command.cpp - "tokenize" and "detokenize": text to ids and back with a model's own tokenizer.
#include "cli/commands.h"
#include "cli/json_text.h"

namespace bitnet::cli {
namespace {

struct OpenedTokenizer {
  gguf::File file;
  Tokenizer tokenizer;

  OpenedTokenizer(const std::optional<std::string>& model, bool strict)
      : file(find_model(model)), tokenizer(Tokenizer::from_gguf(file, {strict})) {
    for (const std::string& warning : tokenizer.warnings()) log(LogLevel::kWarning, "{}", warning);
  }
};

}  // namespace

int tokenize_command(const TokenizeOptions& options) {
  const OpenedTokenizer opened(options.model, options.strict_tokenizers);
  const std::vector<int32_t> ids = opened.tokenizer.encode(
      read_prompt(options.text), {.add_special = options.add_special, .parse_special = options.parse_special});
  if (options.output.json) {
    nlohmann::json pieces = nlohmann::json::array();
    for (int32_t id : ids) pieces.push_back(opened.tokenizer.token_text(id));
    write_stdout(json_text({{"schema", 1},
                            {"tokens", ids},
                            {"pieces", pieces},
                            {"model", opened.tokenizer.model()},
                            {"pre", opened.tokenizer.pre()}}) +
                 "\n");
  } else {
    write_stdout(fmt::format("{}\n", fmt::join(ids, " ")));
  }
  return 0;
}

int detokenize_command(const DetokenizeOptions& options) {
  const OpenedTokenizer opened(options.model, options.strict_tokenizers);
  const std::string text = opened.tokenizer.decode(options.ids, {.control_tokens = true});
  write_stdout(options.output.json ? json_text({{"schema", 1}, {"text", text}}) + "\n" : text + "\n");
  return 0;
}

}  // namespace bitnet::cli
