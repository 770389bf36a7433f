// cli/backends_command.cpp - "backends list" and "rescan": every plugin file seen, what it offers, or why it is not used;
// "backends explain MODEL": who would run that model, and why.
#include "cli/commands.h"

namespace bitnet::cli {

namespace {

void explain(const backend::Registry& registry, const BackendsOptions& options) {
  const std::string path = find_model(options.model);
  ComputeOptions compute = options.choice;
  compute.plugins = options.plugins;
  const model::Model model(path, read_options(options.formats, path, compute));
  const backend::Explanation e = explanation(registry, path, model, options.choice);
  write_stdout(options.output.json ? backend::explain_json(registry, e) : backend::explain_text(registry, e));
}

}  // namespace

backend::Explanation explanation(const backend::Registry& registry, const std::string& path, const model::Model& model,
                                 const ComputeOptions& choice) {
  backend::Explanation e;
  e.model = path;
  e.quantization = model.has_tensors() ? model.weights.quantization : std::string();
  e.shapes = model::matrix_shapes(model.weights);
  e.threads = thread_count(choice);
  e.input = policy_input(registry, choice, model);
  return e;
}

int backends_command(const BackendsOptions& options) {
  backend::DiscoveryOptions discovery = discovery_options(options.plugins);
  discovery.rescan = options.rescan;
  backend::Registry registry = backend::Registry::discover(discovery);
  registry.load_all();
  if (!options.output.json) {
    for (const std::string& warning : registry.warnings()) log(LogLevel::kWarning, "{}", warning);
  }
  if (options.explain) {
    explain(registry, options);
  } else if (options.list_devices) {
    write_stdout(options.output.json ? backend::devices_json(registry) : backend::devices_text(registry));
  } else {
    const std::vector<backend::BackendReport> reports = backend::describe_backends(registry);
    write_stdout(options.output.json ? backend::backends_json(registry, reports) : backend::backends_text(registry, reports));
  }
  return 0;
}

}  // namespace bitnet::cli
