// cli/options_sources.h - the places that options come from besides the command line: environment and configuration files.
//
// Errors   throws Error{kUsage} naming the variable, or the file and its key.
// Source   user_interface.md, section 5.
#pragma once

#include <string>
#include <vector>

#include "cli/normalize.h"
#include "cli/options.h"

namespace bitnet::cli {

// All options from one place; a layer earlier in a list of layers wins over the later ones.
struct Layer {
  Source source;
  std::vector<GivenOption> options;
};

// BITNET_ARG_<NAME> of each option of the command, then the row's own variable (BITNET_SEED). Empty counts as unset.
// Unknown BITNET_ARG_ names are a warning; options that this version does not support are refused.
Layer read_environment(const Environment& environment, Command command, std::vector<std::string>& warnings);

// The folders of BITNET_PLUGIN_PATH, separated by colons. Relative ones are dropped with a warning; all are in a privileged
// process.
std::vector<std::string> read_plugin_path(const Environment& environment, std::vector<std::string>& warnings);

// The globs of BITNET_PLUGINS_ONLY or BITNET_PLUGINS_SKIP, separated by commas. A privileged process drops them with a warning.
std::vector<std::string> read_plugin_globs(const Environment& environment, const std::string& variable,
                                           std::vector<std::string>& warnings);

// One key of a configuration file as read by Boost.Program_options: "threads" or, from section [run], "run.threads".
struct FileKey {
  std::string key;
  std::string value;
};

// The text of a configuration file, at most kMaxConfigBytes. A missing file is an error when `required`, else empty text.
inline constexpr size_t kMaxConfigBytes = 64 << 10;
std::string read_config_text(const std::string& path, bool required);

// Keys of a file as options of the command. Keys of other commands are checked and left out.
Layer config_layer(Source source, const std::string& path, const std::vector<FileKey>& keys, Command command, bool privileged,
                   std::vector<std::string>& warnings);

// $XDG_CONFIG_HOME/bitnet/bitnet.conf, or below ~/.config; empty when neither variable is set.
std::string user_config_path(const Environment& environment);

}  // namespace bitnet::cli
