// install/package.cpp - cmake --install, rename, and child processes that see only the result.
#include "install/package.h"

#include <filesystem>
#include <sstream>
#include <stdexcept>

namespace bitnet::test {

Package::Package() {
  for (const char* component : {"runtime", "sdk"}) {
    const ProgramResult install = run_program(
        {"--install", BITNET_BINARY_DIR, "--prefix", former_prefix(), "--component", component}, {.program = BITNET_CMAKE});
    if (install.exit_code != 0) {
      std::ostringstream text;
      text << "cannot install component " << component << ": " << install;
      throw std::runtime_error(text.str());
    }
  }
  std::filesystem::rename(former_prefix(), prefix());
}

std::string Package::new_folder(const std::string& name) const {
  std::filesystem::create_directory(folder_ / name);
  return folder_ / name;
}

ProgramResult Package::run(const std::string& program, const std::vector<std::string>& args,
                           const std::string& directory) const {
  return run_program(args, {.program = program,
                            .env = {{"CMAKE_PREFIX_PATH", prefix()}, {"CMAKE_GENERATOR", "Ninja"}},
                            .directory = directory,
                            .timeout = 300});
}

std::string Compiler::missing() const {
  for (const char* program : {c, cxx}) {
    try {
      if (run_program({"--version"}, {.program = program}).exit_code == 0) continue;
    } catch (const std::runtime_error&) {
    }
    return std::string("not checked with ") + name + ": there is no working " + program + " (ci/setup installs it)";
  }
  return {};
}

}  // namespace bitnet::test
