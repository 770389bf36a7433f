// cli/options_environment.cpp - options from environment variables.
#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "cli/options_sources.h"
#include "cli/options_values.h"

namespace bitnet::cli {
namespace {

constexpr std::string_view kPrefix = "BITNET_ARG_";

// The variables that set a row, the stronger first.
std::vector<std::string> variables_of(const OptionRow& row) {
  std::vector<std::string> names;
  if (row.from_environment) {
    names.push_back(environment_name(row.name));
    for (const std::string_view alias : words_of(row.aliases)) names.push_back(environment_name(alias));
  }
  if (!row.environment.empty()) names.emplace_back(row.environment);
  return names;
}

const OptionRow* row_of_variable(const std::string& variable) {
  for (const OptionRow& row : option_table()) {
    const auto names = variables_of(row);
    if (std::find(names.begin(), names.end(), variable) != names.end()) return &row;
  }
  return nullptr;
}

void warn_about_unknown(const Environment& environment, std::vector<std::string>& warnings) {
  for (const auto& [name, value] : environment.variables) {
    if (!name.starts_with(kPrefix) || value.empty() || row_of_variable(name) != nullptr) continue;
    warnings.push_back(fmt::format("environment variable {} names no option and is ignored", printable(name)));
  }
}

bool layer_has(const Layer& layer, const OptionRow& row) {
  return std::any_of(layer.options.begin(), layer.options.end(), [&](const GivenOption& given) { return given.row == &row; });
}

void add_row(const OptionRow& row, const Environment& environment, Layer& layer, std::vector<std::string>& warnings) {
  for (const std::string& name : variables_of(row)) {
    const std::string* value = environment.find(name);
    if (value == nullptr) continue;
    if (!row.ready) fail(ErrorKind::kUsage, "{}: --{} is not supported in this version; unset the variable", name, row.name);
    if (row.names_code && environment.privileged) {
      warnings.push_back(fmt::format("{} is ignored in a process with set-user-id privileges", name));
      return;
    }
    // By its convention NO_COLOR counts with any value.
    std::string text = name == "NO_COLOR" ? "on" : *value;
    if (row.kind == ValueKind::kFlag && !row.stands_for.empty() && !read_flag(name, text)) return;
    GivenOption given = expand(row, std::move(text), name);
    if (!layer_has(layer, *given.row)) layer.options.push_back(std::move(given));
    return;
  }
}

}  // namespace

Environment Environment::of_process() {
  Environment out;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) out.variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  out.privileged = ::getauxval(AT_SECURE) != 0;
  out.stdin_is_terminal = ::isatty(STDIN_FILENO) == 1;
  return out;
}

const std::string* Environment::find(const std::string& name) const {
  const auto found = variables.find(name);
  return found == variables.end() || found->second.empty() ? nullptr : &found->second;
}

Layer read_environment(const Environment& environment, Command command, std::vector<std::string>& warnings) {
  Layer layer{Source::kEnvironment, {}};
  for (const bool shorthands : {false, true}) {  // BITNET_ARG_BACKEND wins over BITNET_ARG_GPU
    for (const OptionRow& row : option_table()) {
      if ((row.commands & command) != 0 && row.stands_for.empty() != shorthands) add_row(row, environment, layer, warnings);
    }
  }
  warn_about_unknown(environment, warnings);
  return layer;
}

std::vector<std::string> read_plugin_path(const Environment& environment, std::vector<std::string>& warnings) {
  std::vector<std::string> folders;
  const std::string* path = environment.find("BITNET_PLUGIN_PATH");
  if (path == nullptr) return folders;
  if (environment.privileged) {
    warnings.emplace_back("BITNET_PLUGIN_PATH is ignored in a process with set-user-id privileges");
    return folders;
  }
  for (size_t begin = 0; begin <= path->size();) {
    const size_t end = std::min(path->find(':', begin), path->size());
    const std::string folder = path->substr(begin, end - begin);
    begin = end + 1;
    if (folder.starts_with('/')) {
      folders.push_back(folder);
    } else if (!folder.empty()) {
      warnings.push_back(fmt::format("BITNET_PLUGIN_PATH: '{}' is ignored, folders must be absolute", printable(folder)));
    }
  }
  return folders;
}

std::vector<std::string> read_plugin_globs(const Environment& environment, const std::string& variable,
                                           std::vector<std::string>& warnings) {
  std::vector<std::string> globs;
  const std::string* list = environment.find(variable);
  if (list == nullptr) return globs;
  if (environment.privileged) {
    warnings.push_back(fmt::format("{} is ignored in a process with set-user-id privileges", variable));
    return globs;
  }
  for (size_t begin = 0; begin <= list->size();) {
    const size_t end = std::min(list->find(',', begin), list->size());
    if (end > begin) globs.push_back(list->substr(begin, end - begin));
    begin = end + 1;
  }
  return globs;
}

}  // namespace bitnet::cli
