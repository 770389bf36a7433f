// cli/option_table.cpp - the rows, in the order in which help shows them.
#include "cli/option_table.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <stdexcept>

namespace bitnet::cli {
namespace {

constexpr unsigned kText = kRun | kEmbed | kTokenize;
constexpr unsigned kModel = kRun | kEmbed | kBenchmark | kTokenize | kDetokenize | kValidate | kInspect;
constexpr unsigned kTokenizers = kRun | kEmbed | kTokenize | kDetokenize | kValidate;
constexpr unsigned kCompute = kRun | kEmbed | kBenchmark;
constexpr unsigned kGenerate = kRun | kBenchmark;
constexpr unsigned kListing = kRun | kBackends;
constexpr unsigned kPlugins = kRun | kEmbed | kBenchmark | kBackends | kInspect;
constexpr unsigned kChoice = kRun | kEmbed | kBenchmark | kBackends | kInspect;  // which backend: of backends only for explain
constexpr unsigned kFiles = kConvert | kQuantCheck;
constexpr unsigned kFormats = kChoice | kValidate | kFiles;  // how a model file is read
constexpr unsigned kReports =
    kFiles | kRun | kEmbed | kBenchmark | kAnalyze | kBackends | kTokenize | kDetokenize | kValidate | kInspect | kVersion;
constexpr unsigned kJson =
    kFiles | kRun | kEmbed | kBenchmark | kBackends | kTokenize | kDetokenize | kValidate | kInspect | kVersion;
constexpr unsigned kAll = kReports | kHelp;
constexpr double kInt32 = 2147483647;

constexpr CommandRow kCommands[] = {
    {"run", "infer", kRun, "one prompt, one answer (meant when no command is named)"},
    {"chat", "", kRun, "a conversation with a model that has a chat template; /help there shows its commands"},
    {"embed", "embedding", kEmbed, "texts to vectors of numbers: one text a line, one vector a line"},
    {"benchmark", "bench", kBenchmark, "speed of backends on a model, beside what the machine could do"},
    {"analyze-performance", "", kAnalyze, "compares results of benchmark with a baseline: exit 6 when something got slower"},
    {"backends", "plugins", kBackends, "the plugins found, with verdict and reason; explain MODEL: who would run it and why"},
    {"validate", "", kValidate, "checks a model file without running it: exit 3 when something is wrong"},
    {"inspect", "", kInspect, "what a model file holds: keys, tensors, statistics, memory, who would run it"},
    {"convert", "", kConvert, "a model file in another ternary format: convert IN -o OUT --type i2_s"},
    {"quant-check", "", kQuantCheck,
     "the weights of two model files compared: exit 5 when they differ by more than a tolerance"},
    {"tokenize", "", kTokenize, "text to token ids"},
    {"detokenize", "", kDetokenize, "token ids to text"},
    {"version", "", kVersion, "version, commit, compiler, plugin interface"},
    {"help", "", kHelp, "help on a command: help COMMAND"},
};

constexpr std::string_view kLaterCommands[] = {
    "serve",      "server", "pull",  "list",     "ls",      "show",  "rm",     "verify", "prune",
    "perplexity", "ppl",    "score", "crossval", "compare", "batch", "doctor", "env",    "completion",
};

using K = ValueKind;
using G = Group;

// clang-format off
constexpr OptionRow kReadyRows[] = {
    // Model and text
    {.name = "model", .dashes = "-m", .kind = K::kPath, .value_name = "FILE", .commands = kModel, .everyday = true,
     .environment = "BITNET_MODEL_PATH", .help = "the model, a GGUF file"},
    {.name = "tokenizer", .kind = K::kPath, .value_name = "FILE", .commands = kText | kDetokenize,
     .help = "a tokenizer.json, tokenizer.model or GGUF file, or their folder, in place of the model's own tokenizer"},
    {.name = "check", .commands = kTokenize, .everyday = true,
     .help = "no text: report whether the tokenizer fits the model; exit 3 when it does not"},
    {.name = "prompt", .dashes = "-p", .kind = K::kText, .value_name = "TEXT", .commands = kText, .everyday = true,
     .help = "the text; '-' reads standard input"},
    {.name = "file", .dashes = "-f", .kind = K::kPath, .value_name = "FILE", .commands = kText, .everyday = true,
     .help = "the text, from a file; '-' reads standard input"},
    {.name = "prompt-ids", .kind = K::kIds, .value_name = "IDS", .commands = kRun | kEmbed,
     .help = "the text as token ids separated by commas or spaces, taken as they are"},
    {.name = "prompts", .kind = K::kPath, .value_name = "FILE", .commands = kRun, .everyday = true,
     .help = "one prompt a line (in a .jsonl file an object {\"prompt\": TEXT}), answered several at once; '-': standard input"},
    {.name = "parallel", .dashes = "-np", .kind = K::kInteger, .value_name = "N", .default_text = "4", .low = 1, .high = 256,
     .commands = kRun, .help = "with --prompts: so many are answered at once, each in a context of its own"},
    {.name = "ids", .aliases = "tokens", .kind = K::kIds, .value_name = "IDS", .commands = kDetokenize, .everyday = true,
     .help = "token ids separated by commas or spaces; plain arguments are read too"},
    {.name = "add-special", .commands = kTokenize, .everyday = true,
     .help = "add the tokens that the model wants around a text (begin of text)"},
    {.name = "parse-special", .commands = kTokenize, .everyday = true,
     .help = "read the names of control tokens in the text as these tokens"},
    {.name = "predict", .aliases = "n-predict max-tokens max-new-tokens", .dashes = "-n", .kind = K::kInteger,
     .value_name = "N", .default_text = "256", .infer_default = "32", .chat_default = "-1", .low = -1, .high = kInt32, .commands = kRun,
     .everyday = true, .help = "tokens to generate; -1: until the text ends or the context is full"},
    {.name = "ctx-size", .aliases = "ctx_size num-ctx", .dashes = "-c", .kind = K::kInteger, .value_name = "N",
     .default_text = "0", .low = 0, .high = kInt32, .commands = kRun | kEmbed, .everyday = true,
     .help = "length of the context in tokens; 0: from the model"},
    {.name = "context-shift", .commands = kRun,
     .help = "when the context is full, forget the older half of it and go on, instead of stopping"},
    {.name = "keep", .kind = K::kInteger, .value_name = "N", .default_text = "0", .low = -1, .high = kInt32,
     .commands = kRun, .help = "with --context-shift: the first N tokens of the prompt stay; -1: the whole prompt"},
    {.name = "system-prompt", .dashes = "-sys", .kind = K::kText, .value_name = "TEXT", .commands = kRun, .everyday = true,
     .help = "what the model is told before a conversation; with a prompt: one question by the model's chat template"},
    {.name = "system-prompt-file", .dashes = "-sysf", .kind = K::kPath, .value_name = "FILE", .commands = kRun,
     .help = "the same, from a file"},
    {.name = "conversation", .aliases = "interactive", .dashes = "-cnv -i", .commands = kRun,
     .help = "as the command chat; the default on a terminal without a prompt when the model has a chat template"},
    {.name = "no-conversation", .dashes = "-no-cnv", .commands = kRun, .help = "one prompt, one answer, without chat template"},
    {.name = "single-turn", .dashes = "-st", .commands = kRun, .everyday = true,
     .help = "one question by the model's chat template, one answer"},
    {.name = "multiline-input", .dashes = "-mli", .commands = kRun,
     .help = "in a conversation a message ends with an empty line, not with its first line"},
    {.name = "chat-template", .kind = K::kText, .value_name = "NAME", .commands = kRun,
     .help = "bitnet, chatml, falcon3, gemma, llama3, or file: the model file's, even where it is known to be wrong"},
    {.name = "chat-template-file", .kind = K::kPath, .value_name = "FILE", .commands = kRun,
     .help = "a chat template in Jinja"},
    {.name = "jinja", .commands = kRun, .help = "accepted: chat templates are always Jinja"},
    {.name = "no-jinja", .commands = kRun, .help = "accepted: the built-in templates need no Jinja of the model file"},
    {.name = "check-tensors", .commands = kRun | kEmbed, .help = "scan all weights for NaN, infinity and illegal codes before use"},
    {.name = "strict", .commands = kValidate, .everyday = true, .help = "warnings are errors"},
    {.name = "no-statistics", .commands = kInspect, .everyday = true,
     .help = "do not decode the tensors: keys, shapes and sizes only"},
    {.name = "i2s-layout", .kind = K::kChoice, .value_name = "LAYOUT", .choices = "auto x86 arm64 x86-4row seq",
     .default_text = "x86", .commands = kFormats,
     .help = "order of the weights in I2_S, which files do not tell: x86 (all published ones), arm64, x86-4row, seq; auto: try "
             "all; quant-check: of the first file"},
    {.name = "kernel-config", .kind = K::kPath, .value_name = "FILE", .commands = kFormats,
     .help = "tile parameters of TL1 and TL2 (kernel_config.ini) for shapes other than the published models'"},
    {.name = "out", .aliases = "output", .dashes = "-o", .kind = K::kPath, .value_name = "FILE", .commands = kConvert,
     .everyday = true, .help = "the file to write; it appears when it is whole"},
    {.name = "type", .kind = K::kChoice, .value_name = "TYPE",
     .choices = "i2_s tl1 tl2 tq1_0 tq2_0 q2_0 iq1_bn iq2_bn iq2_bn_r4 safetensors", .commands = kConvert, .everyday = true,
     .help = "of the ternary matrices; everything else is copied; safetensors: a checkpoint in a new folder"},
    {.name = "scale-tensors", .commands = kConvert, .everyday = true,
     .help = "where a type would round scales to f16, keep them exactly in tensors named .scale"},
    {.name = "allow-loss", .commands = kConvert, .everyday = true, .help = "let scales be rounded to f16 where the type wants that"},
    {.name = "verify", .commands = kConvert, .everyday = true,
     .help = "read the new file and compare every weight before it gets its name"},
    {.name = "force", .commands = kConvert, .everyday = true, .help = "replace an output file that exists"},
    {.name = "tolerance", .kind = K::kReal, .value_name = "X", .low = 0, .high = 1, .commands = kQuantCheck, .everyday = true,
     .help = "for the largest and the relative error; unset: 1e-4 for TL1 and TL2, 1e-5 for other types"},
    {.name = "strict-tokenizers", .commands = kTokenizers, .environment = "BITNET_STRICT_TOKENIZERS",
     .help = "doubts about the tokenizer (guessed pre-tokenizer, missing roles) are errors"},

    // Embeddings
    {.name = "pooling", .kind = K::kChoice, .value_name = "HOW", .choices = "none mean last cls", .commands = kEmbed,
     .everyday = true,
     .help = "what speaks for a text: its last token, the mean of all, cls (the first); none: a vector for each token; default: the model's"},
    {.name = "normalize", .commands = kEmbed, .everyday = true,
     .help = "scale each vector to length 1; always done unless --no-normalize"},
    {.name = "no-normalize", .commands = kEmbed, .everyday = true, .help = "leave vectors as long as they are"},
    {.name = "separator", .aliases = "embd-separator", .kind = K::kText, .value_name = "TEXT", .commands = kEmbed, .everyday = true,
     .help = "what stands between two texts; default: the end of a line; '': all is one text"},
    {.name = "embd-format", .aliases = "format embd-output-format", .kind = K::kChoice, .value_name = "FORMAT",
     .choices = "text raw json", .default_text = "text", .commands = kEmbed, .everyday = true,
     .help = "of the vectors: text (numbers in lines), raw (32-bit floats, little-endian, nothing else), json (as --json)"},

    // Benchmark. Counts are lists of numbers and ranges: 1,2,4  1-8  1-8+2  1-8*2
    {.name = "n-prompt", .aliases = "prompt-tokens", .dashes = "-p", .kind = K::kText, .value_name = "COUNTS",
     .default_text = "512", .commands = kBenchmark, .group = G::kBenchmark, .everyday = true,
     .help = "prompt tokens; 0: no such test; lists and ranges: 1,2,4 or 1-8*2 or 1-8+2"},
    {.name = "n-gen", .aliases = "tokens", .dashes = "-n", .kind = K::kText, .value_name = "COUNTS", .default_text = "128",
     .commands = kBenchmark, .group = G::kBenchmark, .everyday = true,
     .help = "tokens one by one; 0: no such test"},
    {.name = "prompt-gen", .dashes = "-pg", .kind = K::kText, .value_name = "P,G", .commands = kBenchmark,
     .group = G::kBenchmark, .everyday = true, .repeatable = true,
     .help = "P prompt tokens and then G one by one, timed together"},
    {.name = "n-parallel", .dashes = "-npl", .kind = K::kText, .value_name = "COUNTS", .default_text = "1",
     .commands = kBenchmark, .group = G::kBenchmark, .everyday = true,
     .help = "sequences that generate at once, in tests of tokens one by one"},
    {.name = "n-depth", .dashes = "-d", .kind = K::kText, .value_name = "COUNTS", .default_text = "0", .commands = kBenchmark,
     .group = G::kBenchmark, .everyday = true,
     .help = "tokens that are in the context before the timed ones"},
    {.name = "repetitions", .aliases = "repeat", .dashes = "-r", .kind = K::kInteger, .value_name = "N", .default_text = "5",
     .low = 1, .high = 1000, .commands = kBenchmark, .group = G::kBenchmark, .everyday = true,
     .help = "of every test"},
    {.name = "output", .dashes = "-o", .kind = K::kChoice, .value_name = "FORMAT", .choices = "md csv json jsonl",
     .default_text = "md", .commands = kBenchmark, .group = G::kBenchmark, .everyday = true,
     .help = "of standard output: md, csv, json, jsonl; --json is -o json"},
    {.name = "output-err", .dashes = "-oe", .kind = K::kChoice, .value_name = "FORMAT", .choices = "none md csv json jsonl",
     .default_text = "none", .commands = kBenchmark, .group = G::kBenchmark,
     .help = "the same results once more on standard error: none, md, csv, json, jsonl"},
    {.name = "preset", .kind = K::kChoice, .value_name = "NAME", .choices = "none ac10", .default_text = "none",
     .commands = kBenchmark, .group = G::kBenchmark, .everyday = true,
     .help = "ac10: prompts of 10, 50, 100, 200 tokens on the CPU and on the GPU"},
    {.name = "delay", .kind = K::kReal, .value_name = "SECONDS", .default_text = "0", .low = 0, .high = 3600,
     .commands = kBenchmark, .group = G::kBenchmark, .help = "rest before each repetition"},
    {.name = "warmup", .commands = kBenchmark, .group = G::kBenchmark,
     .help = "one run of each test before those that count; always done unless --no-warmup"},
    {.name = "no-warmup", .commands = kBenchmark, .group = G::kBenchmark,
     .help = "leave that run out"},
    {.name = "results", .kind = K::kPath, .value_name = "FILE", .commands = kAnalyze, .group = G::kBenchmark, .everyday = true,
     .repeatable = true,
     .help = "what 'benchmark -o json' wrote; several are independent runs: a regression counts when all show it"},
    {.name = "baseline", .kind = K::kPath, .value_name = "PATH", .commands = kAnalyze, .group = G::kBenchmark,
     .everyday = true, .environment = "BITNET_BASELINE_DIR",
     .help = "to compare with: a folder of baselines, one for each machine, build and model; or a file, also of results"},
    {.name = "threshold", .kind = K::kReal, .value_name = "X", .default_text = "0.05", .low = 0, .high = 10,
     .commands = kAnalyze, .group = G::kBenchmark, .everyday = true,
     .help = "how much worse is a regression; 0.05: 5 %"},
    {.name = "update", .commands = kAnalyze, .group = G::kBenchmark, .everyday = true,
     .help = "if nothing got worse, keep the better of old and new as the baseline"},
    {.name = "format", .kind = K::kChoice, .value_name = "FORMAT", .choices = "text json junit", .default_text = "text",
     .commands = kAnalyze | kValidate, .group = G::kBenchmark, .everyday = true,
     .help = "of the report: text, json, junit"},

    // Compute
    {.name = "backend", .kind = K::kNames, .value_name = "LIST", .default_text = "auto", .commands = kChoice,
     .group = G::kCompute, .everyday = true,
     .help = "X: try X first; X,Y: only these, in this order; auto: the configured list; benchmark: rows of each"},
    {.name = "gpu", .commands = kChoice, .group = G::kCompute, .stands_for = "backend", .stands_for_value = "cuda",
     .help = "same as --backend cuda"},
    {.name = "gpu-layers", .aliases = "n-gpu-layers", .dashes = "-ngl", .kind = K::kInteger, .value_name = "N", .low = -1,
     .high = kInt32, .commands = kChoice, .group = G::kCompute,
     .help = "0: no GPU backend; another number: prefer the GPU (a model is never split)"},
    {.name = "threads", .dashes = "-t", .kind = K::kInteger, .value_name = "N", .default_text = "0", .low = 0, .high = 1024,
     .commands = kChoice, .group = G::kCompute, .everyday = true, .help = "worker threads; 0: usable physical cores; benchmark: a list"},
    {.name = "no-fallback", .aliases = "strict", .commands = kChoice, .group = G::kCompute, .everyday = true,
     .help = "only the first backend of the list; otherwise exit 4"},
    {.name = "list-backends", .commands = kListing, .group = G::kCompute, .everyday = true,
     .help = "show the plugins found and why some cannot run"},
    {.name = "list-devices", .commands = kListing, .group = G::kCompute, .help = "show the devices of the usable plugins"},
    {.name = "kv-type", .aliases = "cache-type-k cache-type-v", .dashes = "-ctk -ctv", .kind = K::kChoice,
     .value_name = "TYPE", .choices = "f32 f16", .default_text = "f32", .commands = kCompute, .group = G::kCompute,
     .help = "number type of the KV cache, keys and values alike: f32, f16"},
    {.name = "batch-size", .dashes = "-b", .kind = K::kInteger, .value_name = "N", .default_text = "2048", .low = 1,
     .high = 1048576, .commands = kGenerate, .group = G::kCompute, .help = "prompt tokens given to a backend at once"},
    {.name = "ubatch-size", .dashes = "-ub", .kind = K::kInteger, .value_name = "N", .default_text = "512", .low = 1,
     .high = 1048576, .commands = kCompute, .group = G::kCompute, .help = "of these, tokens computed in one step"},
    {.name = "speculate", .aliases = "spec-type", .kind = K::kChoice, .value_name = "HOW", .choices = "none lookup",
     .default_text = "none", .commands = kRun, .group = G::kCompute,
     .help = "guess the next tokens and check several at once, the text stays the same: none, lookup (in the text so far)"},
    {.name = "lookup", .commands = kRun, .group = G::kCompute, .everyday = true, .stands_for = "speculate",
     .stands_for_value = "lookup", .help = "faster where a text repeats itself or its prompt; same as --speculate lookup"},
    {.name = "draft-max", .aliases = "draft draft-n", .kind = K::kInteger, .value_name = "N", .default_text = "15",
     .low = 1, .high = 63, .commands = kRun, .group = G::kCompute, .help = "guesses that are checked at once, at most"},
    {.name = "draft-min", .aliases = "draft-n-min", .kind = K::kInteger, .value_name = "N", .default_text = "0", .low = 0,
     .high = 63, .commands = kRun, .group = G::kCompute,
     .help = "and at least, wherever the text repeats itself; 0: as many as save time"},
    {.name = "deterministic", .commands = kChoice, .group = G::kCompute, .environment = "BITNET_DETERMINISTIC",
     .help = "refuse backends whose results may differ from the exact arithmetic"},
    {.name = "head", .kind = K::kChoice, .value_name = "HOW", .choices = "auto full screened", .default_text = "auto",
     .commands = kGenerate, .group = G::kCompute,
     .help = "how the best tokens are found, with the same result: auto, full, screened (by an int8 copy of the output head)"},
    {.name = "no-prepack-cache", .commands = kCompute, .group = G::kCompute,
     .help = "do not keep packed weights on disk for the next start"},
    {.name = "time-limit", .kind = K::kReal, .value_name = "SECONDS", .low = 0.001, .high = 31536000, .commands = kRun,
     .group = G::kCompute, .help = "stop after this time with exit code 124"},
    {.name = "isolate-backend", .aliases = "isolate", .commands = kRun | kEmbed, .group = G::kCompute,
     .help = "run backends in a process of their own, so that even a crash ends in fallback"},
    {.name = "hang-limit", .kind = K::kReal, .value_name = "SECONDS", .default_text = "5", .low = 0.1, .high = 86400,
     .commands = kCompute, .group = G::kCompute,
     .help = "without a sign of life for this long a backend counts as hanging; six times that while loading"},
    {.name = "plugin", .kind = K::kPath, .value_name = "FILE", .commands = kPlugins, .group = G::kCompute,
     .repeatable = true, .names_code = true, .help = "one more backend plugin"},
    {.name = "plugin-dir", .kind = K::kPath, .value_name = "DIR", .commands = kPlugins, .group = G::kCompute,
     .repeatable = true, .names_code = true, .help = "one more folder with backend plugins"},
    {.name = "allow-unsafe-plugins", .commands = kPlugins, .group = G::kCompute, .names_code = true,
     .help = "skip the check of who owns and may write the plugin files"},
    {.name = "backend-options", .kind = K::kText, .value_name = "NAME=JSON", .commands = kCompute, .group = G::kCompute,
     .repeatable = true, .names_code = true,
     .help = "an object handed to the backend of that name when it opens, for example 'cuda={\"device\": 1}'"},
    {.name = "real-model", .commands = kChoice, .group = G::kCompute,
     .help = "assert that nothing comes from the mock backend"},
    {.name = "allow-mock", .commands = kChoice, .group = G::kCompute,
     .help = "let the mock backend answer, marked, when no real backend can"},
    {.name = "mock-mode", .kind = K::kChoice, .value_name = "MODE", .choices = "canned faithful", .default_text = "canned",
     .commands = kCompute, .group = G::kCompute, .help = "what the mock backend computes: canned, faithful"},
    {.name = "mock-tier", .kind = K::kChoice, .value_name = "TIER", .choices = "kernels engine", .default_text = "kernels",
     .commands = kCompute, .group = G::kCompute, .help = "what the faithful mock offers: kernels, engine"},
    {.name = "mock-faults", .kind = K::kPath, .value_name = "SCRIPT", .commands = kCompute, .group = G::kCompute,
     .help = "faults for the mock backend to play, for example 'decode@37=lost'"},
    {.name = "backends", .kind = K::kNames, .value_name = "LIST", .default_text = "cuda,cpu", .commands = kChoice,
     .group = G::kCompute, .from_environment = false, .file_only = true,
     .help = "configuration files only: the list that --backend auto stands for"},

    // Sampling
    {.name = "seed", .dashes = "-s", .kind = K::kInteger, .value_name = "N", .default_text = "-1", .low = -1,
     .int64_high = true, .commands = kRun, .group = G::kSampling, .everyday = true, .environment = "BITNET_SEED",
     .help = "start of the random numbers; -1: a new one each time, reported"},
    {.name = "temp", .aliases = "temperature", .dashes = "-temp", .kind = K::kReal, .value_name = "X", .default_text = "0.8",
     .low = 0, .high = 10, .commands = kRun, .group = G::kSampling, .everyday = true, .help = "temperature; 0 is greedy"},
    {.name = "greedy", .commands = kRun, .group = G::kSampling, .everyday = true, .stands_for = "temp",
     .stands_for_value = "0", .help = "always the most likely token; same as --temp 0"},
    {.name = "top-k", .kind = K::kInteger, .value_name = "N", .default_text = "40", .low = -1, .high = kInt32,
     .commands = kRun, .group = G::kSampling, .everyday = true, .help = "keep the N most likely tokens; 0 or -1: off"},
    {.name = "top-p", .kind = K::kReal, .value_name = "P", .default_text = "0.95", .low = 0, .high = 1, .commands = kRun,
     .group = G::kSampling, .everyday = true, .help = "keep the likeliest tokens up to this probability together"},
    {.name = "min-p", .kind = K::kReal, .value_name = "P", .default_text = "0.05", .low = 0, .high = 1, .commands = kRun,
     .group = G::kSampling, .help = "drop tokens less likely than P times the likeliest"},
    {.name = "repeat-penalty", .aliases = "repetition-penalty", .kind = K::kReal, .value_name = "X", .default_text = "1.0",
     .low = 0.1, .high = 10, .commands = kRun, .group = G::kSampling, .help = "make repeated tokens less likely; 1: off"},
    {.name = "repeat-last-n", .kind = K::kInteger, .value_name = "N", .default_text = "64", .low = -1, .high = kInt32,
     .commands = kRun, .group = G::kSampling, .help = "how far back the penalties look; -1: the context, 0: off"},
    {.name = "presence-penalty", .kind = K::kReal, .value_name = "X", .default_text = "0", .low = -2, .high = 2,
     .commands = kRun, .group = G::kSampling, .help = "make tokens that occurred less likely"},
    {.name = "frequency-penalty", .kind = K::kReal, .value_name = "X", .default_text = "0", .low = -2, .high = 2,
     .commands = kRun, .group = G::kSampling, .help = "make tokens less likely each time they occur"},
    {.name = "logit-bias", .kind = K::kBias, .value_name = "ID+V", .commands = kRun, .group = G::kSampling,
     .repeatable = true, .help = "add V to the logit of token ID (ID-V subtracts)"},
    {.name = "ignore-eos", .commands = kRun, .group = G::kSampling, .help = "go on after the end of the text"},
    {.name = "stop", .aliases = "reverse-prompt", .dashes = "-r", .kind = K::kText, .value_name = "TEXT", .commands = kRun,
     .group = G::kSampling, .everyday = true, .repeatable = true, .help = "stop before this text, at most 16 of 256 bytes"},

    // Output
    {.name = "json", .aliases = "json-output", .commands = kJson, .group = G::kOutput, .everyday = true,
     .help = "one JSON object on standard output instead of text"},
    {.name = "logits-out", .kind = K::kPath, .value_name = "FILE", .commands = kRun, .group = G::kOutput,
     .help = "write the logits of every step to a file"},
    {.name = "progress", .kind = K::kChoice, .value_name = "HOW", .choices = "auto bar plain json none",
     .default_text = "auto", .commands = kRun | kFiles, .group = G::kOutput,
     .help = "progress on standard error: auto, bar, plain, json, none"},
    {.name = "no-progress", .commands = kRun | kFiles, .group = G::kOutput, .stands_for = "progress", .stands_for_value = "none",
     .help = "same as --progress none"},
    {.name = "print-config", .commands = kReports, .group = G::kOutput,
     .help = "show every option's value and where it comes from, then end"},
    {.name = "config", .kind = K::kPath, .value_name = "FILE", .commands = kReports, .group = G::kOutput,
     .from_environment = false, .names_code = true, .environment = "BITNET_CONFIG",
     .help = "read options from this file instead of the user's one"},
    {.name = "help", .dashes = "-h", .commands = kAll, .group = G::kOutput, .everyday = true, .from_environment = false,
     .help = "the everyday options"},
    {.name = "help-all", .commands = kAll, .group = G::kOutput, .everyday = true, .from_environment = false,
     .help = "all options, exit codes, environment variables"},
    {.name = "version", .commands = kRun, .group = G::kOutput, .from_environment = false,
     .help = "same as the command 'version'"},

    // Logging
    {.name = "verbosity", .aliases = "log-verbosity", .dashes = "-lv", .kind = K::kInteger, .value_name = "N",
     .default_text = "3", .low = 0, .high = 5, .commands = kReports, .group = G::kLogging,
     .help = "messages: 0 and 1 errors, 2 warnings, 3 notices, 4 more, 5 all"},
    {.name = "verbose", .dashes = "-v", .commands = kReports, .group = G::kLogging, .everyday = true,
     .stands_for = "verbosity", .stands_for_value = "4", .help = "same as --verbosity 4"},
    {.name = "no-color", .commands = kReports, .group = G::kLogging, .environment = "NO_COLOR",
     .help = "no colours on the terminal"},
};
// clang-format on

// An option of the design that this version refuses. Its `commands` tell for which commands its variable is refused too.
constexpr OptionRow later(std::string_view name, std::string_view dashes = {}, unsigned commands = 0) {
  return {.name = name, .dashes = dashes, .commands = commands, .ready = false};
}

constexpr OptionRow kLaterRows[] = {
    // of run
    later("hf-repo", "-hf -hfr", kRun),
    later("hf-file", "-hff", kRun),
    later("hf-token", "-hft", kRun),
    later("revision", "", kRun),
    later("no-mmap", "", kRun),
    later("mlock", "", kRun),
    later("threads-batch", "-tb", kRun),
    later("device", "-dev", kRun),
    later("grammar", "", kRun),
    later("grammar-file", "", kRun),
    later("json-schema", "-j", kRun),
    later("json-schema-file", "-jf", kRun),
    later("typical", "", kRun),
    later("mirostat", "", kRun),
    later("mirostat-lr", "", kRun),
    later("mirostat-ent", "", kRun),
    later("dry-multiplier", "", kRun),
    later("dry-base", "", kRun),
    later("dry-allowed-length", "", kRun),
    later("dry-penalty-last-n", "", kRun),
    later("dry-sequence-breaker", "", kRun),
    later("xtc-probability", "", kRun),
    later("xtc-threshold", "", kRun),
    later("samplers", "", kRun),
    // of all commands
    later("log-file", "", kReports),
    later("log-format", "", kReports),
    later("log-disable", "", kReports),
    later("log-colors", "", kReports),
    later("log-prompts", "", kReports),
    // of commands that this version does not have
    later("host"),
    later("port"),
    later("api-key"),
    later("api-key-file"),
    later("insecure-no-auth"),
    later("allowed-hosts"),
    later("cors-origins"),
    later("alias"),
    later("strict-model"),
    later("metrics"),
    later("metrics-compat"),
    later("slots"),
    later("queue"),
    later("max-connections"),
    later("max-connections-per-ip"),
    later("timeout"),
    later("drain-timeout"),
    later("offline"),
    later("no-wait"),
    later("sha256"),
    later("max-age-days"),
    later("quality"),
    later("chunks"),
    later("stride"),
    later("recipe"),
    later("hellaswag"),
    later("winogrande"),
    later("multiple-choice"),
    later("reference"),
    later("base-url"),
    later("concurrency"),
    later("shard"),
    later("merge"),
    later("retry-errors"),
};

constexpr auto kRows = [] {
  std::array<OptionRow, std::size(kReadyRows) + std::size(kLaterRows)> rows{};
  std::copy(std::begin(kReadyRows), std::end(kReadyRows), rows.begin());
  std::copy(std::begin(kLaterRows), std::end(kLaterRows), rows.begin() + std::size(kReadyRows));
  return rows;
}();

bool contains_word(std::string_view list, std::string_view word) {
  const auto words = words_of(list);
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The first row of these commands that fits, else the first that fits.
template <class Fits>
const OptionRow* find_row(unsigned commands, const Fits& fits) {
  const OptionRow* other = nullptr;
  for (const OptionRow& row : kRows) {
    if (!fits(row)) continue;
    if ((row.commands & commands) != 0) return &row;
    if (other == nullptr) other = &row;
  }
  return other;
}

}  // namespace

std::span<const CommandRow> command_table() { return kCommands; }
std::span<const OptionRow> option_table() { return kRows; }
std::span<const std::string_view> later_commands() { return kLaterCommands; }

const CommandRow* find_command(std::string_view word) {
  for (const CommandRow& row : kCommands) {
    if (row.name == word || contains_word(row.aliases, word)) return &row;
  }
  return nullptr;
}

std::string_view command_name(Command command) {
  for (const CommandRow& row : kCommands) {
    if (row.command == command) return row.name;
  }
  throw std::logic_error("command without a row");
}

bool is_later_command(std::string_view word) {
  return std::find(std::begin(kLaterCommands), std::end(kLaterCommands), word) != std::end(kLaterCommands);
}

const OptionRow* find_long(std::string_view name, unsigned commands) {
  return find_row(
      commands, [&](const OptionRow& row) { return !row.file_only && (row.name == name || contains_word(row.aliases, name)); });
}

const OptionRow* find_dash(std::string_view spelling, unsigned commands) {
  return find_row(commands, [&](const OptionRow& row) { return contains_word(row.dashes, spelling); });
}

const OptionRow& option(std::string_view name) {
  for (const OptionRow& row : kRows) {
    if (row.name == name) return row;
  }
  throw std::logic_error("no option row named " + std::string(name));
}

std::string_view default_of(const OptionRow& row, CalledAs name) {
  if (name == CalledAs::kInfer && !row.infer_default.empty()) return row.infer_default;
  if (name == CalledAs::kChat && !row.chat_default.empty()) return row.chat_default;
  if (row.kind == ValueKind::kFlag) return row.default_text.empty() ? "off" : row.default_text;
  return row.default_text;
}

std::string environment_name(std::string_view long_name) {
  std::string out = "BITNET_ARG_";
  for (const char c : long_name) out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::string commands_of(const OptionRow& row) {
  std::string out;
  for (const CommandRow& command : kCommands) {
    const bool is_first_name = command_name(command.command) == command.name;
    if ((row.commands & command.command) == 0 || !is_first_name) continue;
    if (!out.empty()) out += ", ";
    out += command.name;
  }
  return out;
}

}  // namespace bitnet::cli
