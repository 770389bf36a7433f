// cli/options.cpp - from arguments to settings. The only file that sees Boost.Program_options.
#include "cli/options.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <sstream>
#include <stdexcept>

#include "base/error.h"
#include "cli/normalize.h"
#include "cli/options_commands.h"
#include "cli/options_sources.h"
#include "cli/options_values.h"

namespace bitnet::cli {
namespace {

namespace po = boost::program_options;

// True for options that hold a value; --help and --version only choose a command.
bool is_setting(const OptionRow& row, Command command) {
  const bool chooses_command = row.name == "help" || row.name == "help-all" || row.name == "version";
  return row.ready && row.stands_for.empty() && (row.commands & command) != 0 && !chooses_command;
}

// Every value is text to the library: its number readers wrap around, accept NaN, and depend on the locale.
po::options_description describe(Command command) {
  po::options_description out;
  for (const OptionRow& row : option_table()) {
    if (!is_setting(row, command)) continue;
    const std::string name(row.name);
    if (row.repeatable) {
      out.add_options()(name.c_str(), po::value<std::vector<std::string>>());
    } else {
      out.add_options()(name.c_str(), po::value<std::string>());
    }
  }
  return out;
}

po::parsed_options parse_flags(const po::options_description& description, const Layer& flags) {
  namespace style = po::command_line_style;
  return po::command_line_parser(library_tokens(flags.options))
      .options(description)
      .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
      .run();
}

po::parsed_options as_parsed(const po::options_description& description, const Layer& layer) {
  po::parsed_options out(&description);
  for (const GivenOption& given : layer.options) {
    out.options.emplace_back(std::string(given.row->name), std::vector<std::string>{given.value});
  }
  return out;
}

std::vector<FileKey> parse_file(const std::string& path, const std::string& text) try {
  std::istringstream stream(text);
  std::vector<FileKey> keys;
  for (const po::option& entry : po::parse_config_file(stream, po::options_description(), true).options) {
    keys.push_back({entry.string_key, entry.value.empty() ? std::string() : entry.value.front()});
  }
  return keys;
} catch (const po::error& error) {
  fail(ErrorKind::kUsage, "configuration file {}: {}", printable(path), printable(error.what()));
}

// The settings of all layers, the first layer that has an option wins. List options do not add up across layers.
std::vector<Setting> merge(const std::vector<Layer>& layers, Command command, CalledAs name) try {
  const po::options_description description = describe(command);
  po::variables_map values;
  for (const Layer& layer : layers) {
    po::store(layer.source == Source::kFlag ? parse_flags(description, layer) : as_parsed(description, layer), values);
  }
  std::vector<Setting> settings;
  for (const OptionRow& row : option_table()) {
    if (!is_setting(row, command)) continue;
    const std::string key(row.name);
    Setting setting{key, {}, Source::kDefault, {}};
    if (values.count(key) != 0) {
      const po::variable_value& value = values[key];
      setting.values = row.repeatable ? value.as<std::vector<std::string>>() : std::vector{value.as<std::string>()};
    } else if (const std::string_view text = default_of(row, name); !text.empty()) {
      setting.values.emplace_back(text);
    }
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
      for (const GivenOption& given : layer->options) {
        if (given.row != &row) continue;
        setting.source = layer->source;
        setting.origin = given.origin;
      }
    }
    settings.push_back(std::move(setting));
  }
  return settings;
} catch (const po::error& error) {
  // The normaliser lets nothing through that the library refuses, so this names a defect of ours without hiding it.
  fail(ErrorKind::kUsage, "options: {}", printable(error.what()));
}

const GivenOption* find_given(const std::vector<Layer>& layers, std::string_view name) {
  for (const Layer& layer : layers) {
    for (const GivenOption& given : layer.options) {
      if (given.row->name == name) return &given;
    }
  }
  return nullptr;
}

void add_file(std::vector<Layer>& layers, Source source, const std::string& path, bool required, Command command,
              const Environment& environment, std::vector<std::string>& warnings) {
  if (path.empty()) return;
  const std::vector<FileKey> keys = parse_file(path, read_config_text(path, required));
  layers.push_back(config_layer(source, path, keys, command, environment.privileged, warnings));
}

// The command word and what follows it. Without a command word, `run` is meant and everything is an argument.
struct Invocation {
  Command command = kRun;
  bool named = false;  // the command word was there
  CalledAs name = CalledAs::kRun;
  std::vector<std::string> arguments;
};

Invocation read_command_word(int argc, const char* const* argv) {
  Invocation out;
  for (int i = 1; i < argc; ++i) out.arguments.emplace_back(argv[i]);
  if (out.arguments.empty()) return out;
  const std::string word = out.arguments.front();
  if (is_later_command(word)) fail(ErrorKind::kUsage, "'{}' is not part of this version yet", word);
  if (const CommandRow* row = find_command(word)) {
    out.command = row->command;
    out.named = true;
    out.name = word == "infer" ? CalledAs::kInfer : word == "chat" ? CalledAs::kChat : CalledAs::kRun;
    out.arguments.erase(out.arguments.begin());
  }
  return out;
}

bool has_flag(const Arguments& arguments, std::string_view name) {
  return std::any_of(arguments.options.begin(), arguments.options.end(),
                     [&](const GivenOption& given) { return given.row->name == name; });
}

}  // namespace

const Setting& ParsedCommand::setting(std::string_view name) const { return Settings(settings).of(name); }

ParsedCommand parse_command_line(int argc, const char* const* argv, const Environment& environment) {
  Invocation call = read_command_word(argc, argv);
  Arguments arguments = normalize(call.arguments, call.command);
  ParsedCommand parsed;
  parsed.warnings = std::move(arguments.warnings);

  const bool help_all = has_flag(arguments, "help-all");
  if (call.command == kHelp || help_all || has_flag(arguments, "help")) {
    parsed.command = help_options(call.command, call.named, arguments.words, help_all);
    return parsed;
  }
  if (call.command == kRun && has_flag(arguments, "version")) {
    // Not an option of one call but another command, with its own options: --version --json.
    std::erase_if(arguments.options, [](const GivenOption& given) { return given.row->name == "version"; });
    for (const GivenOption& given : arguments.options) {
      if ((given.row->commands & kVersion) == 0) fail(ErrorKind::kUsage, "{} cannot be used with --version", given.origin);
    }
    call.command = kVersion;
  }

  std::vector<Layer> layers{{Source::kFlag, std::move(arguments.options)}};
  layers.push_back(read_environment(environment, call.command, parsed.warnings));
  const GivenOption* config = find_given(layers, "config");
  const std::string user_file = config != nullptr ? config->value : user_config_path(environment);
  if (config != nullptr && user_file.empty()) fail(ErrorKind::kUsage, "{}: expected FILE, found nothing", config->origin);
  const bool required = config != nullptr;
  add_file(layers, Source::kUserFile, user_file, required, call.command, environment, parsed.warnings);
  add_file(layers, Source::kSystemFile, environment.system_config, false, call.command, environment, parsed.warnings);

  parsed.settings = merge(layers, call.command, call.name);
  fill_command(parsed, call.command, call.name, arguments.words, environment);
  return parsed;
}

}  // namespace bitnet::cli
