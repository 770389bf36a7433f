// cli/version_command.cpp - "bitnet-run version": what was built from what, with what.
#include "bitnet/plugin.h"
#include "cli/commands.h"
#include "cli/json_text.h"

namespace bitnet::cli {

int version_command(const VersionOptions& options) {
#if defined(__clang__)
  const std::string compiler = "clang " __clang_version__;
#else
  const std::string compiler = "gcc " __VERSION__;
#endif
  const std::string abi = fmt::format("1.{}", BN_ABI_MINOR);
  if (options.output.json) {
    nlohmann::json plugins = nlohmann::json::array();
    const backend::Registry registry = backend::Registry::discover(discovery_options({}));
    for (const backend::Plugin& plugin : registry.plugins()) {
      if (plugin.usable) plugins.push_back({{"name", plugin.name}, {"version", plugin.version}});
    }
    write_stdout(json_text({{"schema", 1},
                            {"version", BITNET_VERSION},
                            {"commit", BITNET_COMMIT},
                            {"compiler", compiler},
                            {"abi", abi},
                            {"plugins", plugins}}) +
                 "\n");
  } else {
    write_stdout(fmt::format("bitnet-run {} ({}), plugin ABI {}, {}\n", BITNET_VERSION, BITNET_COMMIT, abi, compiler));
  }
  return 0;
}

}  // namespace bitnet::cli
