// cli/surroundings.cpp - where this program lies, its default model, its plugins, its output.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/thread_team.h"
#include "cli/commands.h"
#include "cli/json_text.h"

namespace bitnet::cli {

std::string program_path() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : path.string();
}

std::string worker_program() {
  const std::filesystem::path path =
      (std::filesystem::path(program_path()).parent_path() / "../libexec/bitnet/bn_worker").lexically_normal();
  if (!std::filesystem::exists(path)) {
    fail(ErrorKind::kFailure, "--isolate-backend needs {}, which is missing; install the program whole",
         printable(path.string()));
  }
  return path.string();
}

std::string find_model(const std::optional<std::string>& named) {
  if (named) return *named;
  const std::filesystem::path path =
      (std::filesystem::path(program_path()).parent_path() / "../share/bitnet/models/story.gguf").lexically_normal();
  if (!std::filesystem::exists(path)) {
    fail(ErrorKind::kInvalidModel,
         "no model named and the embedded default is not at {}; give -m FILE or set BITNET_MODEL_PATH",
         printable(path.string()));
  }
  return path.string();
}

backend::DiscoveryOptions discovery_options(const PluginOptions& options) {
  backend::DiscoveryOptions out;
  out.files = options.files;
  out.dirs = options.dirs;
  out.path = options.path;
  out.program_path = program_path();
  out.allow_unsafe = options.allow_unsafe;
  out.privileged = options.privileged;
  out.only = options.only;
  out.skip = options.skip;
  return out;
}

std::map<std::string, std::string> device_options(const ComputeOptions& options) {
  nlohmann::json mock = {{"mode", options.mock.mode}};
  if (options.mock.mode == "faithful") mock["tier"] = options.mock.tier;
  if (!options.mock.faults.empty()) mock["faults"] = options.mock.faults;
  std::map<std::string, std::string> all = {{"mock", json_text(mock)}};
  for (const auto& [name, json] : options.backend_options) all[name] = json;
  return all;
}

void refuse_options_of_unknown_backends(const backend::Registry& registry, const ComputeOptions& options) {
  const auto facts = registry.facts();
  for (const auto& [name, json] : options.backend_options) {
    if (std::any_of(facts.begin(), facts.end(), [&wanted = name](const auto& plugin) { return plugin.name == wanted; }))
      continue;
    fail(ErrorKind::kUsage, "--backend-options: no backend is called '{}'; 'bitnet-run backends list' shows the names",
         printable(name));
  }
}

uint32_t thread_count(const ComputeOptions& options) {
  return options.threads > 0 ? static_cast<uint32_t>(options.threads) : usable_cores();
}

backend::PolicyInput policy_input(const backend::Registry& registry, const ComputeOptions& options, const model::Model& model) {
  refuse_options_of_unknown_backends(registry, options);
  backend::PolicyInput input;
  input.plugins = registry.facts();
  input.requested = options.backends;
  if (!options.priority.empty()) input.options.default_list = options.priority;
  input.options.strict = options.no_fallback;
  input.options.allow_mock = options.allow_mock;
  input.options.deterministic = options.deterministic;
  input.options.real_model = options.real_model;
  input.options.no_gpu = options.no_gpu;
  return backend::with_scores(std::move(input), registry, model::matrix_shapes(model.weights), thread_count(options));
}

void write_stdout(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorKind::kFailure, "cannot write to standard output: {}", std::generic_category().message(errno));
    text.remove_prefix(static_cast<size_t>(n));
  }
}

model::HeadMode head_mode(HeadChoice choice) {
  switch (choice) {
    case HeadChoice::kFull:
      return model::HeadMode::kFull;
    case HeadChoice::kScreened:
      return model::HeadMode::kScreened;
    default:
      return model::HeadMode::kAuto;
  }
}

}  // namespace bitnet::cli
