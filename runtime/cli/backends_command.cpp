// cli/backends_command.cpp - "bitnet-run backends list|rescan": every plugin file seen, what it offers, or why it is not used.
#include "cli/commands.h"

namespace bitnet::cli {

int backends_command(const BackendsOptions& options) {
  backend::DiscoveryOptions discovery = discovery_options(options.plugins);
  discovery.rescan = options.rescan;
  backend::Registry registry = backend::Registry::discover(discovery);
  registry.load_all();
  if (!options.output.json) {
    for (const std::string& warning : registry.warnings()) log(LogLevel::kWarning, "{}", warning);
  }
  if (options.list_devices) {
    write_stdout(options.output.json ? backend::devices_json(registry) : backend::devices_text(registry));
  } else {
    const std::vector<backend::BackendReport> reports = backend::describe_backends(registry);
    write_stdout(options.output.json ? backend::backends_json(registry, reports) : backend::backends_text(registry, reports));
  }
  return 0;
}

}  // namespace bitnet::cli
