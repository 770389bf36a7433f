// cli/inspect_command.cpp - "bitnet-run inspect": what a model file holds, and which backends would run it.
#include <filesystem>

#include "cli/commands.h"
#include "cli/json_text.h"
#include "validate/inspect.h"

namespace bitnet::cli {
namespace {

backend::Registry all_backends(const InspectOptions& o) {
  backend::Registry registry = backend::Registry::discover(discovery_options(o.plugins));
  registry.load_all();
  return registry;
}

// The model, or the sentence that says why it is none; what could be opened is shown all the same.
struct Loaded {
  std::unique_ptr<const model::Model> model;
  std::string problem;
};

Loaded load(const std::string& path, const InspectOptions& o) {
  try {
    ComputeOptions compute = o.choice;
    compute.plugins = o.plugins;
    return {std::make_unique<const model::Model>(path, read_options(o.formats, path, compute)), {}};
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kInvalidModel) throw;
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) throw;  // nothing of it can be shown
    return {nullptr, e.what()};
  }
}

}  // namespace

int inspect_command(const InspectOptions& o) {
  const std::string path = find_model(o.model);
  const Loaded loaded = load(path, o);
  std::optional<const gguf::File> alone;  // a file that is no model
  const gguf::File& file = loaded.model ? loaded.model->file : alone.emplace(path, gguf::OpenOptions{.allow_cut_data = true});
  const model::Config* config = loaded.model ? &loaded.model->config : nullptr;
  gguf::TernaryOptions reading{.unit_scale_is_right = true};  // else there would be no model
  if (loaded.model) {
    reading.i2s_layout = loaded.model->options.i2s_layout;
    reading.tiles = loaded.model->weights.tiles.get();
  }
  const validate::Inspection inspection = validate::inspect(file, config, o.statistics && loaded.model ? &reading : nullptr);
  const backend::Registry registry = all_backends(o);
  if (o.output.json) {
    nlohmann::json j = validate::inspection_json(inspection);
    j["problem"] = loaded.model ? nlohmann::json(nullptr) : nlohmann::json(loaded.problem);
    j["backends"] = nullptr;
    if (loaded.model) {
      j["backends"] =
          nlohmann::json::parse(backend::explain_json(registry, explanation(registry, path, *loaded.model, o.choice)));
    }
    write_stdout(json_text(j) + "\n");
  } else {
    write_stdout(validate::inspection_text(inspection));
    write_stdout("\nbackends\n");
    write_stdout(loaded.model ? backend::explain_text(registry, explanation(registry, path, *loaded.model, o.choice))
                              : "  none can run it: " + loaded.problem + "\n");
  }
  return loaded.model ? 0 : static_cast<int>(ErrorKind::kInvalidModel);
}

}  // namespace bitnet::cli
