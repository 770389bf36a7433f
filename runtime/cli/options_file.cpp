// cli/options_file.cpp - options from configuration files.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "base/error.h"
#include "cli/options_sources.h"
#include "cli/options_values.h"

namespace bitnet::cli {
namespace {

// Keys with another name or the opposite sense than the option that they set. Null: the key is known and sets nothing.
const OptionRow* special_row(const std::string& where, const FileKey& key, std::string& value) {
  const bool on = read_flag(where, key.value);
  if (key.key == "fallback") {
    value = on ? "off" : "on";
    return &option("no-fallback");
  }
  if (key.key == "fallback_to_mock") {
    value = on ? "on" : "off";
    return &option("allow-mock");
  }
  if (key.key == "prefer_real" && !on) {
    fail(ErrorKind::kUsage, "{}: expected on, found '{}': the mock backend always comes last", where, printable(key.value));
  }
  if (key.key == "auto_download" && on) {
    fail(ErrorKind::kUsage, "{}: downloads are not supported in this version", where);
  }
  return nullptr;
}

bool is_special(std::string_view key) {
  return key == "fallback" || key == "fallback_to_mock" || key == "prefer_real" || key == "auto_download";
}

// A row that files may set. Options that only make sense for one call are not among them.
const OptionRow& file_row(const std::string& where, std::string_view key, Command command) {
  const OptionRow* row = key == "backends" ? &option("backends") : find_long(key, command);
  if (row == nullptr || (!row->from_environment && !row->file_only)) {
    fail(ErrorKind::kUsage, "{}: unknown key; keys are the long names of options", where);
  }
  if (!row->ready) fail(ErrorKind::kUsage, "{}: not supported in this version", where);
  return *row;
}

// The option that a key sets for this command; none for keys that concern other commands or set nothing.
std::optional<GivenOption> resolve(const std::string& where, const FileKey& entry, const std::string& path, Command command) {
  FileKey key = entry;
  unsigned commands = command;
  const size_t dot = entry.key.find('.');
  if (dot != std::string::npos) {
    const std::string section = entry.key.substr(0, dot);
    if (is_later_command(section)) return std::nullopt;  // its options are not known in this version
    const CommandRow* owner = find_command(section);
    if (owner == nullptr) fail(ErrorKind::kUsage, "{}: unknown section", where);
    commands &= owner->command;
    key.key = entry.key.substr(dot + 1);
  }
  std::string value = key.value;
  const OptionRow* row = is_special(key.key) ? special_row(where, key, value) : &file_row(where, key.key, command);
  if (row == nullptr || (row->commands & commands) == 0) return std::nullopt;
  if (row->kind == ValueKind::kFlag) value = read_flag(where, value) ? "on" : "off";
  if (!row->stands_for.empty() && value == "off") return std::nullopt;
  return expand(*row, value, path);
}

bool has(const std::vector<GivenOption>& options, const OptionRow& row) {
  return std::any_of(options.begin(), options.end(), [&](const GivenOption& given) { return given.row == &row; });
}

}  // namespace

std::string user_config_path(const Environment& environment) {
  // The XDG base directory specification: a relative value counts as unset.
  const std::string* base = environment.find("XDG_CONFIG_HOME");
  if (base != nullptr && base->starts_with('/')) return *base + "/bitnet/bitnet.conf";
  if (const std::string* home = environment.find("HOME")) return *home + "/.config/bitnet/bitnet.conf";
  return {};
}

std::string read_config_text(const std::string& path, bool required) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (!required && (errno == ENOENT || errno == ENOTDIR)) return {};
    fail(ErrorKind::kUsage, "configuration file {}: {}", printable(path), std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::kUsage, "configuration file {}: not a regular file", printable(path));
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxConfigBytes + 1, '\0');
  if (!file) fail(ErrorKind::kUsage, "configuration file {}: cannot be read", printable(path));
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxConfigBytes) {
    fail(ErrorKind::kUsage, "configuration file {}: longer than {} bytes", printable(path), kMaxConfigBytes);
  }
  return text;
}

Layer config_layer(Source source, const std::string& path, const std::vector<FileKey>& keys, Command command, bool privileged,
                   std::vector<std::string>& warnings) {
  // A section's keys win over the keys before the first section.
  std::vector<GivenOption> general, section;
  for (const FileKey& entry : keys) {
    const std::string where = fmt::format("{}: {}", printable(path), printable(entry.key));
    const std::optional<GivenOption> given = resolve(where, entry, path, command);
    if (!given) continue;
    if (given->row->names_code && privileged && source == Source::kUserFile) {
      warnings.push_back(fmt::format("{} is ignored in a process with set-user-id privileges", where));
      continue;
    }
    std::vector<GivenOption>& part = entry.key.find('.') == std::string::npos ? general : section;
    if (!given->row->repeatable && has(part, *given->row)) fail(ErrorKind::kUsage, "{}: the key occurs twice", where);
    part.push_back(*given);
  }
  Layer layer{source, section};
  for (GivenOption& given : general) {
    if (!has(section, *given.row)) layer.options.push_back(std::move(given));
  }
  return layer;
}

}  // namespace bitnet::cli
