// cli/commands.h - the commands of bitnet-run, one function and one file each. They return the exit code or throw Error.
#pragma once

#include <map>
#include <string>

#include "benchmark/results.h"
#include "bitnet.h"
#include "cli/options.h"

namespace bitnet::cli {

int run_command(const RunOptions& options);
int embed_command(const EmbedOptions& options);
int benchmark_command(const BenchmarkOptions& options);
int analyze_command(const AnalyzeOptions& options);
int backends_command(const BackendsOptions& options);
int validate_command(const ValidateOptions& options);
int inspect_command(const InspectOptions& options);
int convert_command(const ConvertOptions& options);
int quant_check_command(const QuantCheckOptions& options);
int tokenize_command(const TokenizeOptions& options);
int detokenize_command(const DetokenizeOptions& options);
int version_command(const VersionOptions& options);

// --- what several commands need (surroundings.cpp)

// Absolute path of this program.
std::string program_path();
// Absolute path of bn_worker. Error{kFailure} when it is missing.
std::string worker_program();
// The model the user named, else the embedded default. Error{kInvalidModel} saying where the default was looked for.
std::string find_model(const std::optional<std::string>& named);
// How to read the model file; tries the layouts of I2_S where the user wants that (i2s_layout.cpp).
model::ReadOptions read_options(const FormatOptions& formats, const std::string& path, const ComputeOptions& compute);
// The same for commands that run no model: Error{kUsage} for "auto".
model::ReadOptions reading_without_run(const FormatOptions& formats);
// That as the decoders take it; tiles: read where a kernel configuration is named, must outlive the result.
gguf::TernaryOptions ternary_options(const FormatOptions& formats, gguf::TileTable& tiles);
backend::DiscoveryOptions discovery_options(const PluginOptions& options);
// What the policy decides from, with measured scores where they matter.
backend::PolicyInput policy_input(const backend::Registry& registry, const ComputeOptions& options, const model::Model& model);
// By plugin name the JSON for its open(): --backend-options, and of the mock its mode, tier and faults.
std::map<std::string, std::string> device_options(const ComputeOptions& options);
model::HeadMode head_mode(HeadChoice choice);
// What "backends explain" and "inspect" say of a model.
backend::Explanation explanation(const backend::Registry& registry, const std::string& path, const model::Model& model,
                                 const ComputeOptions& choice);
// What version_command() prints.
benchmark::BuildInfo build_info();
uint32_t thread_count(const ComputeOptions& options);
// Writes to standard output; Error{kFailure} when that fails (disk full, closed).
void write_stdout(std::string_view text);

}  // namespace bitnet::cli
