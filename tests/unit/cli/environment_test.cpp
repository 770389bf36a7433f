// tests/unit/cli/environment_test.cpp - flag > environment > default, the variables' own names, refusals.
#include "parse.h"

namespace bitnet::cli {
namespace {

TEST(EnvironmentOptions, FlagWinsOverVariableWinsOverDefault) {
  const std::vector<std::string> line{"-p", "x"};
  EXPECT_EQ(parse_run(line).sampling.top_k, 40);
  EXPECT_EQ(parse_run(line, {{"BITNET_ARG_TOP_K", "20"}}).sampling.top_k, 20);
  EXPECT_EQ(parse_run({"-p", "x", "--top-k", "10"}, {{"BITNET_ARG_TOP_K", "20"}}).sampling.top_k, 10);
}

TEST(EnvironmentOptions, SourcesAreKept) {
  const ParsedCommand parsed = parse({"-p", "x", "-n", "3"}, {{"BITNET_SEED", "5"}, {"BITNET_ARG_MAX_TOKENS", "9"}});
  EXPECT_EQ(parsed.setting("predict").source, Source::kFlag);
  EXPECT_EQ(parsed.setting("predict").origin, "-n");
  EXPECT_EQ(parsed.setting("seed").source, Source::kEnvironment);
  EXPECT_EQ(parsed.setting("seed").origin, "BITNET_SEED");
  EXPECT_EQ(parsed.setting("temp").source, Source::kDefault);
}

TEST(EnvironmentOptions, NamedVariables) {
  const RunOptions run = parse_run({"-p", "x"}, {{"BITNET_MODEL_PATH", "m.gguf"},
                                                 {"BITNET_SEED", "11"},
                                                 {"BITNET_DETERMINISTIC", "1"},
                                                 {"BITNET_STRICT_TOKENIZERS", "1"},
                                                 {"NO_COLOR", "0"}});
  EXPECT_EQ(run.model, "m.gguf");
  EXPECT_EQ(run.sampling.seed, 11);
  EXPECT_TRUE(run.compute.deterministic);
  EXPECT_TRUE(run.strict_tokenizers);
  EXPECT_FALSE(run.output.color) << "NO_COLOR counts with any value";
}

TEST(EnvironmentOptions, ArgNameWinsOverNamedVariable) {
  EXPECT_EQ(parse_run({"-p", "x"}, {{"BITNET_SEED", "11"}, {"BITNET_ARG_SEED", "12"}}).sampling.seed, 12);
}

TEST(EnvironmentOptions, AliasesHaveVariables) {
  const RunOptions run = parse_run({"-p", "x"}, {{"BITNET_ARG_MAX_TOKENS", "9"}, {"BITNET_ARG_NUM_CTX", "77"}});
  EXPECT_EQ(run.n_predict, 9);
  EXPECT_FALSE(run.n_predict_is_default);
  EXPECT_EQ(run.ctx_size, 77);
}

TEST(EnvironmentOptions, EmptyCountsAsUnset) {
  const ParsedCommand parsed =
      parse({"-p", "x"}, {{"BITNET_ARG_TOP_K", ""}, {"BITNET_MODEL_PATH", ""}, {"NO_COLOR", ""}, {"BITNET_ARG_ZZZ", ""}});
  const RunOptions& run = std::get<RunOptions>(parsed.command);
  EXPECT_EQ(run.sampling.top_k, 40);
  EXPECT_FALSE(run.model.has_value());
  EXPECT_TRUE(run.output.color);
  EXPECT_TRUE(parsed.warnings.empty());
}

TEST(EnvironmentOptions, FlagsByWord) {
  for (const char* on : {"1", "on", "true", "yes"})
    EXPECT_TRUE(parse_run({"-p", "x"}, {{"BITNET_ARG_JSON", on}}).output.json) << on;
  for (const char* off : {"0", "off", "false", "no"})
    EXPECT_FALSE(parse_run({"-p", "x"}, {{"BITNET_ARG_JSON", off}}).output.json) << off;
  EXPECT_EQ(refusal({"-p", "x"}, {{"BITNET_ARG_JSON", "maybe"}}), "BITNET_ARG_JSON: expected on or off, found 'maybe'");
  EXPECT_EQ(refusal({"-p", "x"}, {{"BITNET_DETERMINISTIC", "2"}}), "BITNET_DETERMINISTIC: expected on or off, found '2'");
}

TEST(EnvironmentOptions, ErrorsNameTheVariable) {
  EXPECT_EQ(refusal({"-p", "x"}, {{"BITNET_ARG_TEMP", "nan"}}), "BITNET_ARG_TEMP: expected a number from 0 to 10, found 'nan'");
  EXPECT_CONTAINS(refusal({"-p", "x"}, {{"BITNET_SEED", "-2"}}), "BITNET_SEED: expected a whole number");
}

TEST(EnvironmentOptions, AnOverriddenVariableDoesNotMatter) {
  EXPECT_EQ(parse_run({"-p", "x", "--seed", "3"}, {{"BITNET_SEED", "abc"}}).sampling.seed, 3);
}

TEST(EnvironmentOptions, UnknownNameIsAWarning) {
  const ParsedCommand parsed = parse({"-p", "x"}, {{"BITNET_ARG_TOPK", "5"}, {"BITNET_ARG_HELP", "1"}, {"BITNET_OTHER", "1"}});
  EXPECT_EQ(parsed.warnings, (std::vector<std::string>{"environment variable BITNET_ARG_HELP names no option and is ignored",
                                                       "environment variable BITNET_ARG_TOPK names no option and is ignored"}));
}

TEST(EnvironmentOptions, OptionsOfOtherCommandsDoNotMatter) {
  EXPECT_TRUE(parse({"version"}, {{"BITNET_ARG_TEMP", "nan"}}).warnings.empty());
  EXPECT_TRUE(parse({"-p", "x"}, {{"BITNET_ARG_PORT", "80"}}).warnings.empty());
}

TEST(EnvironmentOptions, UnsupportedOptionsAreRefused) {
  EXPECT_EQ(refusal({"-p", "x"}, {{"BITNET_ARG_GRAMMAR", "g"}}),
            "BITNET_ARG_GRAMMAR: --grammar is not supported in this version; unset the variable");
  EXPECT_NO_THROW(parse({"version"}, {{"BITNET_ARG_GRAMMAR", "g"}}));
}

TEST(EnvironmentOptions, Shorthands) {
  EXPECT_EQ(parse_run({"-p", "x"}, {{"BITNET_ARG_GPU", "1"}}).compute.backends, std::vector<std::string>{"cuda"});
  EXPECT_EQ(parse_run({"-p", "x"}, {{"BITNET_ARG_GPU", "0"}}).compute.backends, std::vector<std::string>{"auto"});
  EXPECT_EQ(parse_run({"-p", "x"}, {{"BITNET_ARG_GPU", "1"}, {"BITNET_ARG_BACKEND", "cpu"}}).compute.backends,
            std::vector<std::string>{"cpu"});
  EXPECT_EQ(parse_run({"-p", "x", "--backend", "cpu"}, {{"BITNET_ARG_GPU", "1"}}).compute.backends,
            std::vector<std::string>{"cpu"});
}

TEST(EnvironmentOptions, ListsDoNotAddUpAcrossSources) {
  EXPECT_EQ(parse_run({"-p", "x", "--stop", "a"}, {{"BITNET_ARG_STOP", "b"}}).sampling.stop, std::vector<std::string>{"a"});
  EXPECT_EQ(parse_run({"-p", "x"}, {{"BITNET_ARG_STOP", "b"}}).sampling.stop, std::vector<std::string>{"b"});
}

TEST(PluginPath, AbsoluteFoldersOnly) {
  const ParsedCommand parsed = parse({"-p", "x", "--plugin-dir", "/first"}, {{"BITNET_PLUGIN_PATH", "/a::relative:/b/c"}});
  const PluginOptions& plugins = std::get<RunOptions>(parsed.command).compute.plugins;
  EXPECT_EQ(plugins.dirs, std::vector<std::string>{"/first"});
  EXPECT_EQ(plugins.path, (std::vector<std::string>{"/a", "/b/c"}));
  EXPECT_EQ(parsed.warnings, std::vector<std::string>{"BITNET_PLUGIN_PATH: 'relative' is ignored, folders must be absolute"});
}

TEST(PluginPath, GlobsAreSeparatedByCommas) {
  const ParsedCommand parsed =
      parse({"-p", "x"}, {{"BITNET_PLUGINS_ONLY", "cpu_*,,acme"}, {"BITNET_PLUGINS_SKIP", "bn_slow.so"}});
  const PluginOptions& plugins = std::get<RunOptions>(parsed.command).compute.plugins;
  EXPECT_EQ(plugins.only, (std::vector<std::string>{"cpu_*", "acme"}));
  EXPECT_EQ(plugins.skip, std::vector<std::string>{"bn_slow.so"});
  EXPECT_TRUE(parsed.warnings.empty());
}

TEST(PluginPath, PrivilegedProcessesIgnoreVariablesThatNameCode) {
  Environment environment;
  environment.system_config.clear();
  environment.privileged = true;
  environment.variables = {{"BITNET_PLUGIN_PATH", "/a"},  {"BITNET_ARG_PLUGIN", "/x.so"}, {"BITNET_CONFIG", "/nowhere"},
                           {"BITNET_PLUGINS_ONLY", "a*"}, {"BITNET_PLUGINS_SKIP", "b*"},  {"BITNET_SEED", "4"}};
  const ParsedCommand parsed = parse_in(environment, {"-p", "x"});
  const RunOptions& run = std::get<RunOptions>(parsed.command);
  EXPECT_TRUE(run.compute.plugins.files.empty());
  EXPECT_TRUE(run.compute.plugins.path.empty());
  EXPECT_TRUE(run.compute.plugins.privileged);
  EXPECT_EQ(run.sampling.seed, 4);
  EXPECT_TRUE(run.compute.plugins.only.empty());
  EXPECT_TRUE(run.compute.plugins.skip.empty());
  EXPECT_EQ(parsed.warnings.size(), 5U);
}

TEST(EnvironmentOfProcess, HasTheVariables) {
  ::setenv("BITNET_TEST_VARIABLE", "a=b", 1);
  const Environment environment = Environment::of_process();
  ASSERT_NE(environment.find("BITNET_TEST_VARIABLE"), nullptr);
  EXPECT_EQ(*environment.find("BITNET_TEST_VARIABLE"), "a=b");
  EXPECT_FALSE(environment.privileged);
}

}  // namespace
}  // namespace bitnet::cli
