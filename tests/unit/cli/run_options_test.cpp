// tests/unit/cli/run_options_test.cpp - the command `run`: defaults, prompt sources, backends, mock rules, conflicts.
#include "parse.h"

namespace bitnet::cli {
namespace {

using Names = std::vector<std::string>;

TEST(Run, DefaultsOfTheDesign) {
  const ParsedCommand parsed = parse({"-p", "Hi"});
  const RunOptions& run = std::get<RunOptions>(parsed.command);
  EXPECT_TRUE(parsed.warnings.empty());
  EXPECT_FALSE(run.infer);
  EXPECT_FALSE(run.model.has_value());
  EXPECT_EQ(run.prompt.text, "Hi");
  EXPECT_EQ(run.n_predict, 256);
  EXPECT_TRUE(run.n_predict_is_default);
  EXPECT_EQ(run.ctx_size, 0);
  EXPECT_EQ(run.compute.threads, 0);
  EXPECT_EQ(run.compute.backends, Names{"auto"});
  EXPECT_EQ(run.compute.priority, (Names{"cuda", "cpu"}));
  EXPECT_EQ(run.compute.batch_size, 2048);
  EXPECT_EQ(run.compute.ubatch_size, 512);
  EXPECT_EQ(run.compute.kv_type, KvType::kF32);
  EXPECT_EQ(run.compute.head, HeadChoice::kAuto);
  EXPECT_FALSE(run.compute.time_limit.has_value());
  EXPECT_FALSE(run.compute.no_fallback || run.compute.allow_mock || run.compute.real_model || run.compute.no_gpu);
  EXPECT_FALSE(run.compute.deterministic || run.check_tensors || run.strict_tokenizers);
  EXPECT_EQ(run.compute.mock.mode, "canned");
  EXPECT_EQ(run.sampling.seed, -1);
  EXPECT_EQ(run.sampling.temperature, 0.8);
  EXPECT_EQ(run.sampling.top_k, 40);
  EXPECT_EQ(run.sampling.top_p, 0.95);
  EXPECT_EQ(run.sampling.min_p, 0.05);
  EXPECT_EQ(run.sampling.repeat_penalty, 1.0);
  EXPECT_EQ(run.sampling.repeat_last_n, 64);
  EXPECT_EQ(run.sampling.presence_penalty, 0);
  EXPECT_EQ(run.sampling.frequency_penalty, 0);
  EXPECT_FALSE(run.output.json);
  EXPECT_TRUE(run.output.color);
  EXPECT_EQ(run.output.progress, Progress::kAuto);
  EXPECT_EQ(run.output.log_level, LogLevel::kNotice);
}

TEST(Run, InferDefaultIs32) {
  const RunOptions infer = parse_run({"infer", "--prompt", "Hi"});
  EXPECT_TRUE(infer.infer);
  EXPECT_EQ(infer.n_predict, 32);
  EXPECT_TRUE(infer.n_predict_is_default);
  const RunOptions given = parse_run({"infer", "--prompt", "Hi", "--max-tokens", "5"});
  EXPECT_EQ(given.n_predict, 5);
  EXPECT_FALSE(given.n_predict_is_default);
  EXPECT_EQ(parse_run({"run", "-p", "Hi"}).n_predict, 256);
}

TEST(Run, SpeculationIsOffUnlessAskedFor) {
  EXPECT_EQ(parse_run({"-p", "Hi"}).compute.draft_max, 0u);
  EXPECT_EQ(parse_run({"-p", "Hi", "--lookup"}).compute.draft_max, 15u);
  EXPECT_EQ(parse_run({"-p", "Hi", "--speculate", "lookup", "--draft-max", "4"}).compute.draft_max, 4u);
  EXPECT_EQ(parse_run({"-p", "Hi", "--spec-type", "lookup", "--draft", "63"}).compute.draft_max, 63u);
  EXPECT_EQ(refusal({"-p", "Hi", "--draft-max", "4"}), "--draft-max has no effect without --lookup");
  EXPECT_EQ(refusal({"-p", "Hi", "--lookup", "--speculate", "none", "--draft-max", "4"}),
            "--draft-max has no effect without --lookup");
  EXPECT_EQ(parse_run({"-p", "Hi", "--lookup", "--draft-min", "15"}).compute.draft_min, 15u);
  EXPECT_EQ(refusal({"-p", "Hi", "--draft-min", "4"}), "--draft-min has no effect without --lookup");
  EXPECT_EQ(refusal({"-p", "Hi", "--lookup", "--draft-min", "4", "--draft-max", "3"}),
            "--draft-min: expected at most the 3 of --draft-max, found 4");
  EXPECT_NE(refusal({"-p", "Hi", "--lookup", "--draft-max", "0"}).find("from 1 to 63, found '0'"), std::string::npos);
  EXPECT_NE(refusal({"-p", "Hi", "--lookup", "--draft-max", "64"}).find("from 1 to 63, found '64'"), std::string::npos);
  EXPECT_NE(refusal({"-p", "Hi", "--speculate", "magic"}).find("one of none, lookup, found 'magic'"), std::string::npos);
}

TEST(Run, ContextShiftIsOffUnlessAskedFor) {
  EXPECT_FALSE(parse_run({"-p", "Hi"}).context_shift);
  const RunOptions run = parse_run({"-p", "Hi", "--context-shift", "--keep", "-1"});
  EXPECT_TRUE(run.context_shift);
  EXPECT_EQ(run.n_keep, -1);
  EXPECT_EQ(refusal({"-p", "Hi", "--keep", "4"}), "--keep has no effect without --context-shift");
  EXPECT_NE(refusal({"-p", "Hi", "--context-shift", "--keep", "-2"}).find("found '-2'"), std::string::npos);
}

TEST(Run, OriginsInferLine) {
  const RunOptions run = parse_run({"infer", "--prompt", "Hi", "--max-tokens", "32", "--deterministic", "--gpu"});
  EXPECT_TRUE(run.compute.deterministic);
  EXPECT_EQ(run.compute.backends, Names{"cuda"});
}

TEST(Run, PromptSources) {
  EXPECT_EQ(parse_run({"-f", "story.txt"}).prompt.from, PromptFrom::kFile);
  EXPECT_EQ(parse_run({"-f", "story.txt"}).prompt.text, "story.txt");
  EXPECT_EQ(parse_run({"-f", "-"}).prompt.from, PromptFrom::kStdin);
  EXPECT_EQ(parse_run({"-p", "-"}).prompt.from, PromptFrom::kStdin);
  EXPECT_EQ(parse_run({"-"}).prompt.from, PromptFrom::kStdin);
  const RunOptions ids = parse_run({"--prompt-ids", "1,2 3"});
  EXPECT_EQ(ids.prompt.from, PromptFrom::kIds);
  EXPECT_EQ(ids.prompt.ids, (std::vector<int32_t>{1, 2, 3}));
}

TEST(Run, TwoPromptsAreRefused) {
  EXPECT_EQ(refusal({"-p", "a", "-f", "b"}), "two prompts, -p and -f: give one");
  EXPECT_EQ(refusal({"--prompt-ids", "1", "--file", "b"}), "two prompts, --file and --prompt-ids: give one");
  EXPECT_EQ(refusal({"-p", "a", "-"}), "two prompts, - and -p: give one");
  EXPECT_EQ(refusal({}, {{"BITNET_ARG_PROMPT", "a"}, {"BITNET_ARG_FILE", "b"}}),
            "two prompts, BITNET_ARG_PROMPT and BITNET_ARG_FILE: give one");
}

TEST(Run, ThePromptOfAFlagReplacesThatOfAVariable) {
  const RunOptions run = parse_run({"-f", "b.txt"}, {{"BITNET_ARG_PROMPT", "a"}});
  EXPECT_EQ(run.prompt.from, PromptFrom::kFile);
  EXPECT_EQ(parse_run({"-p", "flag"}, {{"BITNET_ARG_FILE", "b"}}).prompt.text, "flag");
}

TEST(Run, NoPrompt) {
  EXPECT_CONTAINS(refusal({"-no-cnv"}), "no prompt: give -p TEXT");
  // On a terminal it depends on the model: one with a chat template is talked to.
  EXPECT_EQ(parse_run({}).prompt.from, PromptFrom::kNone);
  EXPECT_EQ(parse_run({}).chat.mode, ConversationMode::kAuto);
  EXPECT_TRUE(parse_run({"--list-backends"}).list_backends);
  EXPECT_TRUE(parse_run({"--list-devices"}).list_devices);
}

TEST(Run, WhatIsPipedInIsThePrompt) {
  Environment environment;
  environment.stdin_is_terminal = false;
  const char* argv[] = {"bitnet-run", "-n", "3"};
  const ParsedCommand parsed = parse_command_line(3, argv, environment);
  EXPECT_EQ(std::get<RunOptions>(parsed.command).prompt.from, PromptFrom::kStdin);
  const char* with_prompt[] = {"bitnet-run", "-p", "text"};
  EXPECT_EQ(std::get<RunOptions>(parse_command_line(3, with_prompt, environment).command).prompt.from, PromptFrom::kText);
}

TEST(Run, StrayArguments) {
  EXPECT_EQ(refusal({"-p", "x", "tokenize"}), "unexpected argument 'tokenize': a command must be the first word");
  EXPECT_EQ(refusal({"-p", "x", "serve"}), "unexpected argument 'serve': a command must be the first word");
  EXPECT_EQ(refusal({"Hello there"}), "unexpected argument 'Hello there'; a text is given with -p TEXT");
  EXPECT_EQ(refusal({"tokenise"}), "unexpected argument 'tokenise'; did you mean the command 'tokenize'?");
  EXPECT_EQ(refusal({"-p", "x", ""}), "unexpected argument ''; a text is given with -p TEXT");
}

TEST(Run, LaterCommandsAreNotPrompts) {
  for (const char* word : {"serve", "pull", "list", "ls", "score", "doctor", "completion"}) {
    EXPECT_EQ(refusal({word}), "'" + std::string(word) + "' is not part of this version yet");
    EXPECT_EQ(refusal({word, "--help"}), "'" + std::string(word) + "' is not part of this version yet");
  }
}

TEST(Run, LaterOptionsAreRefused) {
  for (const char* name : {"--grammar", "--typical", "--mirostat", "--dry-base", "--xtc-threshold", "--samplers", "-hf",
                           "--hf-repo", "--mlock", "--no-mmap", "--json-schema", "-jf", "-tb", "-dev", "--port"}) {
    EXPECT_EQ(refusal({name, "x", "-p", "y"}), std::string(name) + " is not supported in this version");
  }
  EXPECT_EQ(refusal({"--hf-token=secret", "-p", "y"}), "--hf-token is not supported in this version");
}

TEST(Run, BackendLists) {
  EXPECT_EQ(parse_run({"-p", "x", "--backend", "cpu_avx2,cpu_portable"}).compute.backends, (Names{"cpu_avx2", "cpu_portable"}));
  EXPECT_TRUE(parse_run({"-p", "x", "--strict"}).compute.no_fallback);
  EXPECT_TRUE(parse_run({"-p", "x", "--no-fallback"}).compute.no_fallback);
}

TEST(Run, GpuLayers) {
  const RunOptions none = parse_run({"-p", "x", "-ngl", "0"});
  EXPECT_TRUE(none.compute.no_gpu);
  EXPECT_EQ(none.compute.backends, Names{"auto"});
  const ParsedCommand all = parse({"-p", "x", "--n-gpu-layers", "99"});
  EXPECT_EQ(std::get<RunOptions>(all.command).compute.backends, Names{"cuda"});
  EXPECT_FALSE(std::get<RunOptions>(all.command).compute.no_gpu);
  EXPECT_EQ(all.notes, Names{"--n-gpu-layers: a model is never split between backends; the GPU is tried first"});
  const ParsedCommand named = parse({"-p", "x", "-ngl", "99", "--backend", "cpu_avx2"});
  EXPECT_EQ(std::get<RunOptions>(named.command).compute.backends, Names{"cpu_avx2"});
  EXPECT_EQ(named.notes.size(), 1U);
  EXPECT_EQ(refusal({"-p", "x", "-ngl", "0", "--gpu"}), "-ngl 0 forbids the GPU and --gpu names it: give one");
  EXPECT_TRUE(parse_run({"-p", "x", "-ngl", "0"}, {{"BITNET_ARG_BACKEND", "cuda"}}).compute.no_gpu);
}

TEST(Run, RealModelForbidsTheMock) {
  EXPECT_TRUE(parse_run({"-p", "x", "--real-model"}).compute.real_model);
  EXPECT_EQ(refusal({"-p", "x", "--real-model", "--backend", "mock"}),
            "--real-model forbids the mock backend and --backend asks for it: give one");
  EXPECT_EQ(refusal({"-p", "x", "--real-model", "--allow-mock"}),
            "--real-model forbids the mock backend and --allow-mock asks for it: give one");
  EXPECT_CONTAINS(refusal({"-p", "x", "--real-model", "--backend", "cpu,MOCK0"}), "forbids the mock");
  EXPECT_CONTAINS(refusal({"-p", "x", "--backend", "mock"}, {{"BITNET_ARG_REAL_MODEL", "1"}}), "BITNET_ARG_REAL_MODEL forbids");
  EXPECT_CONTAINS(refusal({"-p", "x"}, {{"BITNET_ARG_REAL_MODEL", "1"}, {"BITNET_ARG_ALLOW_MOCK", "1"}}), "forbids the mock");
}

TEST(Run, RealModelWinsOverTheEnvironment) {
  const ParsedCommand parsed =
      parse({"-p", "x", "--real-model"}, {{"BITNET_ARG_ALLOW_MOCK", "1"}, {"BITNET_ARG_BACKEND", "mock"}});
  const RunOptions& run = std::get<RunOptions>(parsed.command);
  EXPECT_FALSE(run.compute.allow_mock);
  EXPECT_EQ(run.compute.backends, Names{"auto"});
  EXPECT_EQ(parsed.warnings.size(), 2U);
}

TEST(Run, MockOptions) {
  const RunOptions run =
      parse_run({"-p", "x", "--backend", "mock", "--mock-mode", "faithful", "--mock-faults", "decode@37=lost"});
  EXPECT_EQ(run.compute.mock.mode, "faithful");
  EXPECT_EQ(run.compute.mock.faults, "decode@37=lost");
  EXPECT_EQ(run.compute.mock.tier, "kernels");
  EXPECT_EQ(parse_run({"-p", "x", "--backend", "mock", "--mock-mode", "faithful", "--mock-tier", "engine"}).compute.mock.tier,
            "engine");
  EXPECT_EQ(refusal({"-p", "x", "--backend", "mock", "--mock-tier", "engine"}),
            "--mock-tier has no effect without --mock-mode faithful");
  EXPECT_EQ(refusal({"-p", "x", "--mock-faults", "a=oom"}),
            "--mock-faults has no effect without --backend mock or --allow-mock");
  EXPECT_NO_THROW(parse({"-p", "x", "--allow-mock", "--mock-faults", "a=oom"}));
  EXPECT_CONTAINS(refusal({"-p", "x", "--backend", "mock", "--mock-mode", "silly"}),
                  "expected one of canned, faithful, found 'silly'");
}

TEST(Run, BatchSizes) {
  const RunOptions small = parse_run({"-p", "x", "-b", "64"});
  EXPECT_EQ(small.compute.batch_size, 64);
  EXPECT_EQ(small.compute.ubatch_size, 64);
  EXPECT_EQ(parse_run({"-p", "x", "-ub", "2048"}).compute.ubatch_size, 2048);
  EXPECT_EQ(refusal({"-p", "x", "-ub", "2049"}), "-ub: expected at most the batch size 2048, found 2049");
}

TEST(Run, KvTypeAliases) {
  EXPECT_EQ(parse_run({"-p", "x", "--head", "full"}).compute.head, HeadChoice::kFull);
  EXPECT_EQ(parse_run({"-p", "x", "--head", "screened"}).compute.head, HeadChoice::kScreened);
  for (const char* name : {"--kv-type", "--cache-type-k", "--cache-type-v", "-ctk", "-ctv"}) {
    EXPECT_EQ(parse_run({"-p", "x", name, "f16"}).compute.kv_type, KvType::kF16) << name;
  }
}

TEST(Run, OptionsOfBackends) {
  const RunOptions run =
      parse_run({"-p", "x", "--backend-options", "cuda={\"path\": \"bits\"}", "--backend-options", "acme={}"});
  EXPECT_EQ(run.compute.backend_options,
            (std::map<std::string, std::string>{{"cuda", "{\"path\": \"bits\"}"}, {"acme", "{}"}}));
  for (const char* bad : {"cuda", "={}", "cuda=", "cuda=[1]", "cuda={", ""}) {
    EXPECT_CONTAINS(refusal({"-p", "x", "--backend-options", bad}), "--backend-options") << bad;
  }
  EXPECT_CONTAINS(refusal({"-p", "x", "--backend-options", "a={}", "--backend-options", "a={}"}), "--backend-options");
}

TEST(Run, PluginsAndOutput) {
  const RunOptions run = parse_run({"-p",
                                    "x",
                                    "--plugin",
                                    "a.so",
                                    "--plugin",
                                    "b.so",
                                    "--plugin-dir",
                                    "/d",
                                    "--allow-unsafe-plugins",
                                    "--json",
                                    "--logits-out",
                                    "l.bin",
                                    "--no-color",
                                    "-v",
                                    "--progress",
                                    "json",
                                    "-m",
                                    "m.gguf",
                                    "--time-limit",
                                    "1.5",
                                    "--check-tensors",
                                    "-t",
                                    "3",
                                    "-c",
                                    "99",
                                    "-no-cnv"});
  EXPECT_EQ(run.compute.plugins.files, (Names{"a.so", "b.so"}));
  EXPECT_EQ(run.compute.plugins.dirs, Names{"/d"});
  EXPECT_TRUE(run.compute.plugins.allow_unsafe);
  EXPECT_TRUE(run.output.json);
  EXPECT_FALSE(run.output.color);
  EXPECT_EQ(run.output.log_level, LogLevel::kInfo);
  EXPECT_EQ(run.output.progress, Progress::kJson);
  EXPECT_EQ(run.logits_out, "l.bin");
  EXPECT_EQ(run.model, "m.gguf");
  EXPECT_EQ(run.compute.time_limit, 1.5);
  EXPECT_TRUE(run.check_tensors);
  EXPECT_EQ(run.compute.threads, 3);
  EXPECT_EQ(run.ctx_size, 99);
}

TEST(Run, Verbosity) {
  const LogLevel expected[] = {LogLevel::kError,  LogLevel::kError, LogLevel::kWarning,
                               LogLevel::kNotice, LogLevel::kInfo,  LogLevel::kDebug};
  for (int level = 0; level <= 5; ++level) {
    EXPECT_EQ(parse_run({"-p", "x", "-lv", std::to_string(level)}).output.log_level, expected[level]) << level;
  }
}

}  // namespace
}  // namespace bitnet::cli
