// tests/unit/cli/other_commands_test.cpp - backends, tokenize, detokenize, version, help and --print-config.
#include <nlohmann/json.hpp>

#include "parse.h"

namespace bitnet::cli {
namespace {

template <class Options>
Options parse_as(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  return std::get<Options>(parse(arguments, variables).command);
}

TEST(Backends, WordsAndOptions) {
  EXPECT_FALSE(parse_as<BackendsOptions>({"backends"}).output.json);
  EXPECT_TRUE(parse_as<BackendsOptions>({"backends", "list", "--json"}).output.json);
  EXPECT_TRUE(parse_as<BackendsOptions>({"plugins", "--list-devices", "--list-backends"}).list_devices);
  EXPECT_EQ(parse_as<BackendsOptions>({"backends", "--plugin", "x.so"}).plugins.files, std::vector<std::string>{"x.so"});
  EXPECT_FALSE(parse_as<BackendsOptions>({"backends", "list"}).rescan);
  EXPECT_TRUE(parse_as<BackendsOptions>({"backends", "rescan"}).rescan);
  EXPECT_CONTAINS(refusal({"backends", "rescan", "list"}), "unexpected argument 'list'");
  EXPECT_CONTAINS(refusal({"backends", "list", "more"}), "unexpected argument 'more'");
  EXPECT_EQ(refusal({"backends", "--temp", "1"}), "--temp is not an option of 'backends'; it belongs to: run");
}

TEST(Embed, TextsAndForm) {
  const EmbedOptions plain = parse_as<EmbedOptions>({"embed", "-m", "m.gguf", "-p", "one\ntwo"});
  EXPECT_EQ(plain.texts.text, "one\ntwo");
  EXPECT_EQ(plain.separator, "\n");
  EXPECT_EQ(plain.pooling, Pooling::kFromModel);
  EXPECT_EQ(plain.format, EmbedFormat::kText);
  EXPECT_TRUE(plain.normalize);
  const EmbedOptions all =
      parse_as<EmbedOptions>({"embedding", "-f", "t", "--pooling", "cls", "--no-normalize", "--embd-separator", "<>",
                              "--embd-output-format", "raw", "-t", "3", "-ub", "7", "-ctk", "f16"});
  EXPECT_EQ(all.texts.from, PromptFrom::kFile);
  EXPECT_EQ(all.pooling, Pooling::kFirst);
  EXPECT_FALSE(all.normalize);
  EXPECT_EQ(all.separator, "<>");
  EXPECT_EQ(all.format, EmbedFormat::kRaw);
  EXPECT_EQ(all.compute.threads, 3);
  EXPECT_EQ(all.compute.ubatch_size, 7);
  EXPECT_EQ(all.compute.kv_type, KvType::kF16);
  EXPECT_EQ(parse_as<EmbedOptions>({"embed", "-p", "a", "--json"}).format, EmbedFormat::kJson);
  EXPECT_EQ(parse_as<EmbedOptions>({"embed", "--prompt-ids", "1 2"}).texts.ids, (std::vector<int32_t>{1, 2}));
  EXPECT_CONTAINS(refusal({"embed", "-m", "m.gguf"}), "no text: give -p TEXT");
  EXPECT_CONTAINS(refusal({"embed", "-p", "a", "--json", "--format", "text"}), "give one");
  EXPECT_CONTAINS(refusal({"embed", "-p", "a", "--normalize", "--no-normalize"}), "give one");
  EXPECT_CONTAINS(refusal({"embed", "-p", "a", "--normalize", "--pooling", "none"}), "no effect with --pooling none");
  EXPECT_CONTAINS(refusal({"embed", "-p", "a", "--temp", "1"}), "--temp is not an option of 'embed'");
}

TEST(Tokenize, TextAndFlags) {
  const TokenizeOptions plain = parse_as<TokenizeOptions>({"tokenize", "-m", "m.gguf", "-p", "Hi"});
  EXPECT_EQ(plain.model, "m.gguf");
  EXPECT_EQ(plain.text.text, "Hi");
  EXPECT_FALSE(plain.add_special || plain.parse_special);
  const TokenizeOptions both =
      parse_as<TokenizeOptions>({"tokenize", "-f", "t.txt", "--add-special", "--parse-special", "--json"});
  EXPECT_EQ(both.text.from, PromptFrom::kFile);
  EXPECT_TRUE(both.add_special && both.parse_special && both.output.json);
  EXPECT_EQ(parse_as<TokenizeOptions>({"tokenize", "-"}).text.from, PromptFrom::kStdin);
  EXPECT_CONTAINS(refusal({"tokenize", "-m", "m.gguf"}), "no text: give -p TEXT");
  EXPECT_EQ(refusal({"tokenize", "-p", "a", "-f", "b"}), "two prompts, -p and -f: give one");
}

TEST(Tokenize, CheckAndTokenizer) {
  const TokenizeOptions check = parse_as<TokenizeOptions>({"tokenize", "--check", "--tokenizer", "t.json"});
  EXPECT_TRUE(check.check);
  EXPECT_EQ(check.tokenizer, "t.json");
  EXPECT_EQ(check.text.from, PromptFrom::kNone);
  EXPECT_CONTAINS(refusal({"tokenize", "--check", "-p", "a"}), "--check looks at the model and takes no text");
  EXPECT_EQ(parse_as<DetokenizeOptions>({"detokenize", "1", "--tokenizer", "t.model"}).tokenizer, "t.model");
  EXPECT_EQ(parse_as<RunOptions>({"-p", "a", "--tokenizer", "t.model"}).tokenizer, "t.model");
}

TEST(Detokenize, IdsFromOptionAndWords) {
  const std::vector<int32_t> ids{1, 2, 3};
  EXPECT_EQ(parse_as<DetokenizeOptions>({"detokenize", "--ids", "1,2,3"}).ids, ids);
  EXPECT_EQ(parse_as<DetokenizeOptions>({"detokenize", "--tokens=1 2 3"}).ids, ids);
  EXPECT_EQ(parse_as<DetokenizeOptions>({"detokenize", "1", "2", "3"}).ids, ids);
  EXPECT_EQ(parse_as<DetokenizeOptions>({"detokenize", "1,2,3", "-m", "m.gguf"}).ids, ids);
  EXPECT_EQ(refusal({"detokenize"}), "no token ids: give --ids 1,2,3 or plain numbers");
  EXPECT_EQ(refusal({"detokenize", "one"}), "detokenize: expected a token id from 0 to 2147483647, found 'one'");
  EXPECT_EQ(refusal({"detokenize", "--ids", "1", "2"}), "token ids twice, --ids and '2': give one");
}

TEST(Version, CommandAndOption) {
  EXPECT_FALSE(parse_as<VersionOptions>({"version"}).output.json);
  EXPECT_TRUE(parse_as<VersionOptions>({"version", "--json"}).output.json);
  EXPECT_TRUE(parse_as<VersionOptions>({"--version", "--json"}).output.json);
  EXPECT_EQ(refusal({"--version", "--temp", "1"}), "--temp cannot be used with --version");
  EXPECT_CONTAINS(refusal({"version", "now"}), "unexpected argument 'now'");
}

TEST(Help, CommandAndOptions) {
  EXPECT_EQ(parse_as<HelpOptions>({"help"}).command, "");
  EXPECT_EQ(parse_as<HelpOptions>({"--help"}).command, "");
  EXPECT_EQ(parse_as<HelpOptions>({"-h"}).command, "");
  EXPECT_FALSE(parse_as<HelpOptions>({"--help"}).all);
  EXPECT_TRUE(parse_as<HelpOptions>({"--help-all"}).all);
  EXPECT_TRUE(parse_as<HelpOptions>({"help", "--help-all"}).all);
  EXPECT_EQ(parse_as<HelpOptions>({"help", "infer"}).command, "run");
  EXPECT_EQ(parse_as<HelpOptions>({"tokenize", "--help"}).command, "tokenize");
  EXPECT_EQ(parse_as<HelpOptions>({"-m", "x", "--help"}).command, "");
  EXPECT_EQ(refusal({"help", "serve"}), "'serve' is not part of this version yet");
  EXPECT_CONTAINS(refusal({"help", "versoin"}), "did you mean the command 'version'?");
  EXPECT_CONTAINS(refusal({"help", "run", "more"}), "unexpected argument 'more'");
}

TEST(Help, ABrokenEnvironmentDoesNotKeepHelpAway) {
  EXPECT_NO_THROW(parse({"--help"}, {{"BITNET_SEED", "abc"}, {"BITNET_ARG_GRAMMAR", "x"}, {"BITNET_CONFIG", "/nowhere"}}));
}

TEST(PrintConfig, EveryValueWithItsSource) {
  const ParsedCommand parsed =
      parse({"-m", "m.gguf", "--print-config", "--stop", "a", "--stop", "b\n"}, {{"BITNET_SEED", "7"}});
  ASSERT_TRUE(parsed.print_config);
  const std::string text = print_config(parsed);
  const auto has_line = [&](const std::string& setting, const std::string& source) {
    const size_t begin = text.find("\n" + setting + " ");
    if (begin == std::string::npos) return false;
    return text.substr(begin + 1, text.find('\n', begin + 1) - begin - 1).ends_with("  # " + source);
  };
  EXPECT_EQ(text.find("model = m.gguf"), 0U) << text;
  EXPECT_TRUE(has_line("seed = 7", "environment BITNET_SEED")) << text;
  EXPECT_TRUE(has_line("temp = 0.8", "default")) << text;
  EXPECT_TRUE(has_line("predict = 256", "default")) << text;
  EXPECT_TRUE(has_line("prompt = (unset)", "default")) << text;
  EXPECT_TRUE(has_line("stop = \"a\", \"b\\n\"", "flag --stop")) << text;
  EXPECT_TRUE(has_line("print-config = on", "flag --print-config")) << text;
}

TEST(PrintConfig, AsJson) {
  const nlohmann::json object = nlohmann::json::parse(print_config(parse({"infer", "--print-config", "--json", "-n", "5"})));
  EXPECT_EQ(object["schema"], 1);
  bool found = false;
  for (const nlohmann::json& setting : object["settings"]) {
    if (setting["name"] == "model") {
      EXPECT_TRUE(setting["value"].is_null() && setting["origin"].is_null());
    }
    if (setting["name"] != "predict") continue;
    found = true;
    EXPECT_EQ(setting["value"], "5");
    EXPECT_EQ(setting["source"], "flag");
    EXPECT_EQ(setting["origin"], "-n");
  }
  EXPECT_TRUE(found);
}

TEST(PrintConfig, InvalidValuesAreStillRefused) {
  EXPECT_CONTAINS(refusal({"--print-config", "--temp", "nan"}), "--temp: expected a number");
}

TEST(Settings, AnUnknownNameIsADefectOfOurs) { EXPECT_THROW(parse({"version"}).setting("temp"), std::logic_error); }

}  // namespace
}  // namespace bitnet::cli
