// cli/options_compute.cpp - which backends may run, with what, and how much they may take: from settings to ComputeOptions.
#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/normalize.h"
#include "cli/options_commands.h"
#include "cli/options_sources.h"

namespace bitnet::cli {
namespace {

bool is_gpu_name(const std::string& name) { return name.starts_with("cuda") || name.starts_with("CUDA") || name == "gpu"; }

// Plugin ids of the mock and its kind; a plugin that only calls itself mock is one as well.
bool is_mock_name(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name.starts_with("mock") || name == "test";
}

// -ngl N beside --backend: 0 forbids the GPU, any other number prefers it unless backends are named.
void apply_gpu_layers(const Settings& settings, ComputeOptions& out, std::vector<std::string>& notes) {
  if (!settings.given("gpu-layers")) return;
  const std::string where = settings.where("gpu-layers");
  if (settings.integer("gpu-layers") == 0) {
    out.no_gpu = true;
    const bool named = std::any_of(out.backends.begin(), out.backends.end(), is_gpu_name);
    if (named && settings.of("backend").source == settings.of("gpu-layers").source) {
      fail(ErrorKind::kUsage, "{} 0 forbids the GPU and {} names it: give one", where, settings.where("backend"));
    }
    return;
  }
  const bool named = out.backends != std::vector<std::string>{"auto"};
  if (!named) out.backends = {"cuda"};
  notes.push_back(fmt::format("{}: a model is never split between backends; {}", where,
                              named ? "the backends named are used" : "the GPU is tried first"));
}

// --real-model against requests for the mock: of equal or greater strength they are an error, weaker ones are dropped.
void apply_real_model(const Settings& settings, ComputeOptions& out, std::vector<std::string>& warnings) {
  out.real_model = settings.flag("real-model");
  if (!out.real_model) return;
  const Source strength = settings.of("real-model").source;
  const std::string where = settings.where("real-model");
  const auto refuse_or_drop = [&](std::string_view name) {
    if (settings.of(name).source >= strength) {
      fail(ErrorKind::kUsage, "{} forbids the mock backend and {} asks for it: give one", where, settings.where(name));
    }
    warnings.push_back(fmt::format("{} forbids the mock backend; {} is dropped", where, settings.where(name)));
  };
  if (out.allow_mock) {
    refuse_or_drop("allow-mock");
    out.allow_mock = false;
  }
  if (std::any_of(out.backends.begin(), out.backends.end(), is_mock_name)) {
    refuse_or_drop("backend");
    std::erase_if(out.backends, is_mock_name);
    if (out.backends.empty()) out.backends = {"auto"};
  }
  if (std::any_of(out.priority.begin(), out.priority.end(), is_mock_name)) {
    fail(ErrorKind::kUsage, "{}: the mock backend cannot be in this list", settings.where("backends"));
  }
}

MockOptions mock_options(const Settings& settings, const ComputeOptions& compute) {
  const bool possible = compute.allow_mock || std::any_of(compute.backends.begin(), compute.backends.end(), is_mock_name);
  for (const std::string_view name : {"mock-mode", "mock-tier", "mock-faults"}) {
    if (!possible && settings.of(name).source == Source::kFlag) {
      fail(ErrorKind::kUsage, "{} has no effect without --backend mock or --allow-mock", settings.where(name));
    }
  }
  if (settings.of("mock-tier").source == Source::kFlag && settings.choice("mock-mode") != "faithful") {
    fail(ErrorKind::kUsage, "{} has no effect without --mock-mode faithful", settings.where("mock-tier"));
  }
  return {settings.choice("mock-mode"), settings.choice("mock-tier"), settings.path("mock-faults")};
}

void fill_batch_sizes(const Settings& settings, ComputeOptions& out) {
  const int64_t batch = settings.integer("batch-size");
  const int64_t ubatch = settings.integer("ubatch-size");
  if (ubatch > batch && settings.given("ubatch-size")) {
    fail(ErrorKind::kUsage, "{}: expected at most the batch size {}, found {}", settings.where("ubatch-size"), batch, ubatch);
  }
  out.batch_size = static_cast<int>(batch);
  out.ubatch_size = static_cast<int>(std::min(batch, ubatch));
}

// NAME=JSON
std::map<std::string, std::string> options_by_backend(const Settings& settings) {
  std::map<std::string, std::string> out;
  for (const std::string& value : settings.of("backend-options").values) {
    const size_t at = std::min(value.find('='), value.size());
    const std::string name = value.substr(0, at), text = value.substr(std::min(at + 1, value.size()));
    if (name.empty() || !nlohmann::json::parse(text, nullptr, false).is_object()) {
      fail(ErrorKind::kUsage, "{}: expected NAME={{...}} with a JSON object, found '{}'", settings.where("backend-options"),
           printable(value));
    }
    if (!out.emplace(name, text).second) {
      fail(ErrorKind::kUsage, "{}: two objects for '{}'", settings.where("backend-options"), printable(name));
    }
  }
  return out;
}

}  // namespace

PluginOptions plugin_options(const Settings& settings, const Environment& environment, std::vector<std::string>& warnings) {
  PluginOptions out;
  out.files = settings.paths("plugin");
  out.dirs = settings.paths("plugin-dir");
  out.path = read_plugin_path(environment, warnings);
  out.only = read_plugin_globs(environment, "BITNET_PLUGINS_ONLY", warnings);
  out.skip = read_plugin_globs(environment, "BITNET_PLUGINS_SKIP", warnings);
  out.allow_unsafe = settings.flag("allow-unsafe-plugins");
  out.privileged = environment.privileged;
  return out;
}

void fill_speculation(const Settings& settings, ComputeOptions& out) {
  if (settings.choice("speculate") == "none") {
    for (const char* name : {"draft-min", "draft-max"}) {
      if (settings.of(name).source != Source::kFlag) continue;
      fail(ErrorKind::kUsage, "{} has no effect without --lookup", settings.where(name));
    }
    return;
  }
  const int64_t least = settings.integer("draft-min"), most = settings.integer("draft-max");
  if (least > most) {
    fail(ErrorKind::kUsage, "{}: expected at most the {} of --draft-max, found {}", settings.where("draft-min"), most, least);
  }
  out.draft_min = static_cast<uint32_t>(least);
  out.draft_max = static_cast<uint32_t>(most);
}

// Which backends may run.
ComputeOptions choice_options(const Settings& settings, ParsedCommand& parsed) {
  ComputeOptions out;
  out.backends = settings.names("backend");
  out.priority = settings.names("backends");
  out.no_fallback = settings.flag("no-fallback");
  out.allow_mock = settings.flag("allow-mock");
  out.deterministic = settings.flag("deterministic");
  apply_gpu_layers(settings, out, parsed.notes);
  apply_real_model(settings, out, parsed.warnings);
  return out;
}

ComputeOptions compute_options(const Settings& settings, const Environment& environment, ParsedCommand& parsed) {
  ComputeOptions out = backend_options(settings, environment, parsed);
  out.threads = static_cast<int>(settings.integer("threads"));
  if (settings.given("time-limit")) out.time_limit = settings.real("time-limit");
  out.isolate = settings.flag("isolate-backend");
  out.kv_type = settings.choice("kv-type") == "f16" ? KvType::kF16 : KvType::kF32;
  const std::string& head = settings.choice("head");
  out.head = head == "full" ? HeadChoice::kFull : head == "screened" ? HeadChoice::kScreened : HeadChoice::kAuto;
  fill_batch_sizes(settings, out);
  return out;
}

ComputeOptions backend_options(const Settings& settings, const Environment& environment, ParsedCommand& parsed) {
  ComputeOptions out = choice_options(settings, parsed);
  out.no_prepack_cache = settings.flag("no-prepack-cache");
  out.hang_limit = settings.real("hang-limit");
  out.plugins = plugin_options(settings, environment, parsed.warnings);
  out.mock = mock_options(settings, out);
  out.backend_options = options_by_backend(settings);
  return out;
}

}  // namespace bitnet::cli
