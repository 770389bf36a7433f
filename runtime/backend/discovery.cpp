// backend/discovery.cpp - lists the folders in their order, and matches the names of files with globs.
#include "backend/discovery.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/error.h"

namespace bitnet::backend {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPluginFolder = "bitnet/plugins";

bool is_plugin_name(std::string_view name) {
  return name.size() > std::string_view("bn_.so").size() && name.starts_with("bn_") && name.ends_with(".so");
}

std::string absolute_path(const std::string& path) {
  std::error_code ignored;
  const fs::path full = fs::absolute(path, ignored);
  return ignored ? path : full.lexically_normal().string();
}

// The XDG base directory specification: a relative value counts as unset.
std::string user_folder() {
  const char* data = std::getenv("XDG_DATA_HOME");
  if (data != nullptr && data[0] == '/') return (fs::path(data) / kPluginFolder).string();
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return (fs::path(home) / ".local/share" / kPluginFolder).string();
  return {};
}

std::string installed_folder(const std::string& program_path) {
  const std::string prefix = prefix_of(program_path);
  return prefix.empty() ? prefix : (fs::path(prefix) / "lib" / kPluginFolder).string();
}

// The glob that matches one of the names; null: none does.
const std::string* matching(const std::vector<std::string>& globs, const std::vector<std::string>& names) {
  for (const std::string& glob : globs) {
    for (const std::string& name : names) {
      if (::fnmatch(glob.c_str(), name.c_str(), 0) == 0) return &glob;
    }
  }
  return nullptr;
}

void add_folder(PluginSearch& search, const std::string& folder, bool named_by_user) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    if (named_by_user) search.warnings.push_back(fmt::format("plugin folder {} does not exist", printable(folder)));
    return;
  }
  for (const std::string& known : search.directories) {
    if (fs::equivalent(known, folder, error)) return;
  }
  std::vector<std::string> files;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    if (is_plugin_name(entries->path().filename().string())) files.push_back(entries->path().string());
  }
  if (error) {
    search.warnings.push_back(fmt::format("plugin folder {} cannot be read: {}", printable(folder), error.message()));
    return;
  }
  std::sort(files.begin(), files.end());
  if (files.size() > kMaxFilesPerFolder) {
    search.warnings.push_back(fmt::format("plugin folder {} has {} plugin files; only the first {} are looked at",
                                          printable(folder), files.size(), kMaxFilesPerFolder));
    files.resize(kMaxFilesPerFolder);
  }
  search.directories.push_back(folder);
  search.files.insert(search.files.end(), files.begin(), files.end());
}

}  // namespace

PluginSearch find_plugin_files(const DiscoveryOptions& options) {
  PluginSearch search;
  if (options.privileged) {
    search.warnings.emplace_back("set-user-id process: only plugins of the installed folder are used");
  } else {
    for (const std::string& file : options.files) search.files.push_back(absolute_path(file));
    for (const std::string& folder : options.dirs) add_folder(search, absolute_path(folder), true);
    for (const std::string& folder : options.path) {
      if (folder.starts_with('/')) {
        add_folder(search, folder, true);
      } else {
        search.warnings.push_back(fmt::format("plugin folder '{}' is ignored, it must be absolute", printable(folder)));
      }
    }
    add_folder(search, user_folder(), false);
  }
  const std::string installed = installed_folder(options.program_path);
  add_folder(search, installed, false);
  std::error_code absent;
  search.installed = installed.empty() ? installed : fs::canonical(installed, absent).string();
  return search;
}

std::string prefix_of(const std::string& program_path) {
  if (program_path.empty() || program_path[0] != '/') return {};
  return fs::path(program_path).parent_path().parent_path().string();
}

std::string probe_program(const DiscoveryOptions& options) {
  if (!options.probe_program.empty()) return options.probe_program;
  const std::string prefix = prefix_of(options.program_path);
  return prefix.empty() ? prefix : prefix + "/libexec/bitnet/bn_probe";
}

std::string left_out_by_globs(const DiscoveryOptions& options, const std::vector<std::string>& names) {
  if (const std::string* glob = matching(options.skip, names)) {
    return fmt::format("BITNET_PLUGINS_SKIP leaves it out ({})", printable(*glob, 60));
  }
  if (!options.only.empty() && matching(options.only, names) == nullptr) {
    return fmt::format("BITNET_PLUGINS_ONLY does not name it ({})",
                       printable(fmt::format("{}", fmt::join(options.only, ",")), 60));
  }
  return {};
}

}  // namespace bitnet::backend
