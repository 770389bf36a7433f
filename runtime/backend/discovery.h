// backend/discovery.h - where plugin files are looked for, in which order, and which of them the user leaves out.
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
  std::vector<std::string> only;   // globs of BITNET_PLUGINS_ONLY on file or short names; empty: all files
  std::vector<std::string> skip;   // of BITNET_PLUGINS_SKIP
  std::string probe_program;       // bn_probe; empty: the one that belongs to program_path
  bool rescan = false;             // forget verdicts and device failures of earlier runs
};

struct PluginSearch {
  std::vector<std::string> directories;  // absolute; those that exist, each once
  std::vector<std::string> files;        // absolute, in search order; the same file may come twice
  std::vector<std::string> warnings;     // one line each
  std::string installed;                 // the program's own plugin folder, links resolved; empty: there is none
};

// Finds files named bn_*.so, sorted within a folder, without opening them. A file given by name is listed even if it does
// not exist, so that its entry can say so. Throws nothing but std::bad_alloc.
PluginSearch find_plugin_files(const DiscoveryOptions& options);

// The folder above bin/ of a program; plugins, bn_probe and models are found from there, in a build tree and an installed tree
// alike. Empty when program_path is not absolute.
std::string prefix_of(const std::string& program_path);

// PREFIX/libexec/bitnet/bn_probe; empty when it cannot be known.
std::string probe_program(const DiscoveryOptions& options);

// Why the user's globs leave a file out; empty: they do not. names: its file name and its short names.
std::string left_out_by_globs(const DiscoveryOptions& options, const std::vector<std::string>& names);

}  // namespace bitnet::backend
