// cli/options_print.cpp - --print-config: every effective value and its source.
#include "base/error.h"
#include "cli/json_text.h"
#include "cli/options.h"
#include "cli/options_values.h"

namespace bitnet::cli {
namespace {

std::string_view source_name(Source source) {
  switch (source) {
    case Source::kFlag:
      return "flag";
    case Source::kEnvironment:
      return "environment";
    case Source::kUserFile:
      return "user file";
    case Source::kSystemFile:
      return "system file";
    case Source::kDefault:
      return "default";
  }
  return "default";
}

std::string value_text(const Setting& setting) {
  if (setting.values.empty()) return "(unset)";
  std::string out;
  for (const std::string& value : setting.values) {
    if (!out.empty()) out += ", ";
    out += setting.values.size() == 1 ? printable(value) : fmt::format("\"{}\"", printable(value));
  }
  return out;
}

std::string as_json(const ParsedCommand& parsed) {
  nlohmann::json settings = nlohmann::json::array();
  for (const Setting& setting : parsed.settings) {
    nlohmann::json entry{{"name", setting.name}, {"source", source_name(setting.source)}};
    entry["value"] = setting.values.empty() ? nlohmann::json() : nlohmann::json(setting.values.back());
    if (setting.values.size() > 1) entry["value"] = setting.values;
    entry["origin"] = setting.origin.empty() ? nlohmann::json() : nlohmann::json(setting.origin);
    settings.push_back(std::move(entry));
  }
  return json_text({{"schema", 1}, {"settings", std::move(settings)}}) + "\n";
}

}  // namespace

std::string print_config(const ParsedCommand& parsed) {
  if (!parsed.settings.empty() && Settings(parsed.settings).flag("json")) return as_json(parsed);
  std::string out;
  for (const Setting& setting : parsed.settings) {
    const std::string_view source = source_name(setting.source);
    const std::string origin = setting.origin.empty() ? "" : fmt::format(" {}", printable(setting.origin));
    out += fmt::format("{:<36}  # {}{}\n", fmt::format("{} = {}", setting.name, value_text(setting)), source, origin);
  }
  return out;
}

}  // namespace bitnet::cli
