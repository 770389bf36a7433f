// cli/version_command.cpp - "bitnet-run version": what was built from what, with what.
#include "bitnet/plugin.h"
#include "cli/commands.h"
#include "cli/json_text.h"

namespace bitnet::cli {

namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

}  // namespace

benchmark::BuildInfo build_info() { return {BITNET_VERSION, BITNET_COMMIT, kCompiler, BITNET_BUILD_TYPE}; }

int version_command(const VersionOptions& options) {
  const benchmark::BuildInfo build = build_info();
  const std::string abi = fmt::format("1.{}", BN_ABI_MINOR);
  if (options.output.json) {
    nlohmann::json plugins = nlohmann::json::array();
    const backend::Registry registry = backend::Registry::discover(discovery_options({}));
    for (const backend::Plugin& plugin : registry.plugins()) {
      if (plugin.usable) plugins.push_back({{"name", plugin.name}, {"version", plugin.version}});
    }
    write_stdout(json_text({{"schema", 1},
                            {"version", build.version},
                            {"commit", build.commit},
                            {"compiler", build.compiler},
                            {"abi", abi},
                            {"plugins", plugins}}) +
                 "\n");
  } else {
    write_stdout(fmt::format("bitnet-run {} ({}), plugin ABI {}, {}\n", build.version, build.commit, abi, build.compiler));
  }
  return 0;
}

}  // namespace bitnet::cli
