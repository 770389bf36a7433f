// backend/discovery.cpp - lists folders and applies the rule about owners and permissions.
#include "backend/discovery.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/error.h"

namespace bitnet::backend {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPluginFolder = "bitnet/plugins";

std::string reason_of(int code) { return std::generic_category().message(code); }

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
  if (program_path.empty() || program_path[0] != '/') return {};
  return (fs::path(program_path).parent_path().parent_path() / "lib" / kPluginFolder).string();
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

// status of the path itself for a link, of what it points to for everything else.
struct stat status_of(const std::string& path, bool follow) {
  struct stat status {};
  if ((follow ? ::stat(path.c_str(), &status) : ::lstat(path.c_str(), &status)) != 0) {
    fail(ErrorKind::kNoBackend, "cannot read the permissions of {}: {}", printable(path), reason_of(errno));
  }
  return status;
}

void check_owner(const struct stat& status, const std::string& what) {
  if (status.st_uid == 0 || status.st_uid == ::geteuid()) return;
  fail(ErrorKind::kNoBackend, "{} belongs to user {}, neither to root nor to you (--allow-unsafe-plugins accepts it)", what,
       status.st_uid);
}

void check_unwritable(const struct stat& status, const std::string& what) {
  if (S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0) return;
  const bool private_group = status.st_gid == status.st_uid && status.st_uid == ::geteuid();
  const bool by_group = (status.st_mode & S_IWGRP) != 0 && !private_group;
  if (!by_group && (status.st_mode & S_IWOTH) == 0) return;
  fail(ErrorKind::kNoBackend, "{} can be changed by others (mode {:o}); chmod go-w it, or --allow-unsafe-plugins", what,
       status.st_mode & 07777u);
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
  add_folder(search, installed_folder(options.program_path), false);
  return search;
}

std::string resolve_plugin_file(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) fail(ErrorKind::kNoBackend, "cannot open it: {}", error.message());
  const fs::file_status status = fs::status(real, error);
  if (fs::is_directory(status)) fail(ErrorKind::kNoBackend, "it is a folder, not a file");
  if (!fs::is_regular_file(status)) fail(ErrorKind::kNoBackend, "it is not a regular file");
  return real.string();
}

void check_trusted(const std::string& path) {
  const std::string real = resolve_plugin_file(path);
  check_owner(status_of(path, false), "the file");
  for (const std::string& file : {path, real}) {
    const struct stat status = status_of(file, true);
    check_owner(status, "the file");
    check_unwritable(status, "the file");
    const std::string folder = fs::path(file).parent_path().string();
    const struct stat folder_status = status_of(folder, true);
    check_owner(folder_status, fmt::format("its folder {}", printable(folder)));
    check_unwritable(folder_status, fmt::format("its folder {}", printable(folder)));
  }
}

}  // namespace bitnet::backend
