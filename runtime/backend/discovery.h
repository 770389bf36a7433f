// backend/discovery.h - where plugin files are looked for, in which order, and whose files are trusted.
//
// Order    1 single files (--plugin), 2 folders (--plugin-dir), 3 folders of BITNET_PLUGIN_PATH,
//          4 $XDG_DATA_HOME/bitnet/plugins or ~/.local/share/bitnet/plugins, 5 the program's ../lib/bitnet/plugins, which is
//          the same in a build tree and an installed tree. Never the working directory, a bare name, or subfolders.
// Threads  any, while nobody changes the environment.
// Source   plugins.md, section 11.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bitnet::backend {

inline constexpr size_t kMaxFilesPerFolder = 256;

struct DiscoveryOptions {
  std::vector<std::string> files;  // --plugin; a relative path counts from the working directory
  std::vector<std::string> dirs;   // --plugin-dir; likewise
  std::vector<std::string> path;   // folders of BITNET_PLUGIN_PATH; relative ones are refused with a warning
  std::string program_path;        // absolute path of this program; empty: no installed folder
  bool allow_unsafe = false;       // skip check_trusted()
  bool privileged = false;         // set-user-id process: only the installed folder counts, with a warning
};

struct PluginSearch {
  std::vector<std::string> directories;  // absolute; those that exist, each once
  std::vector<std::string> files;        // absolute, in search order; the same file may come twice
  std::vector<std::string> warnings;     // one line each
};

// Finds files named bn_*.so, sorted within a folder, without opening them. A file given by name is listed even if it does
// not exist, so that its entry can say so. Throws nothing but std::bad_alloc.
PluginSearch find_plugin_files(const DiscoveryOptions& options);

// The file behind a path, symbolic links resolved. Throws Error{kNoBackend} unless it is an existing regular file.
std::string resolve_plugin_file(const std::string& path);

// Throws Error{kNoBackend} unless file, link and their folders belong to root or the user and nobody else can change them.
// A group's write permission counts as the user's own when it is the user's private group (gid equal to uid); a folder with
// the sticky bit may be open to all.
void check_trusted(const std::string& path);

}  // namespace bitnet::backend
