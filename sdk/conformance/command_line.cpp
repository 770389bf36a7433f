// conformance/command_line.cpp - see command_line.h.
#include "command_line.h"

#include <fnmatch.h>

#include <cstdlib>
#include <stdexcept>

namespace bitnet::conformance {
namespace {

[[noreturn]] void refuse(const std::string& text) { throw std::invalid_argument(text + "; see --help"); }

uint64_t whole_number(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const uint64_t n = std::strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || text[0] == '-') refuse(option + ": expected a number, found '" + text + "'");
  return n;
}

double seconds(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double s = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(s > 0 && s <= 86400)) refuse(option + ": expected seconds, found '" + text + "'");
  return s;
}

Format format_named(const std::string& text) {
  if (text == "text") return Format::kText;
  if (text == "json") return Format::kJson;
  if (text == "junit") return Format::kJunit;
  refuse("--format: expected text, json or junit, found '" + text + "'");
}

// Options without a value; false: `name` is none of them.
bool set_flag(CommandLine& line, const std::string& name) {
  if (name == "--list") return line.list = true;
  if (name == "--fingerprint") return line.fingerprint = true;
  if (name == "--help" || name == "-h") return line.help = true;
  if (name == "--version") return line.version = true;
  return false;
}

void set_value(CommandLine& line, const std::string& name, const std::string& value) {
  if (name == "--filter") {
    line.filters.push_back(value);
  } else if (name == "--run") {
    line.run = value;
  } else if (name == "--device") {
    line.request.device = value;
  } else if (name == "--options") {
    line.request.options = value;
  } else if (name == "--seed") {
    line.seed = whole_number(name, value);
  } else if (name == "--timeout") {
    line.timeout = seconds(name, value);
  } else if (name == "--format") {
    line.format = format_named(value);
  } else if (name == "--output") {
    line.output = value;
  } else {
    refuse("unknown option '" + name + "'");
  }
}

}  // namespace

CommandLine parse(int argc, char** argv) {
  CommandLine line;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.size() < 2 || word[0] != '-') {
      if (!line.request.path.empty()) refuse("two plugin files: '" + line.request.path + "' and '" + word + "'");
      line.request.path = word;
      continue;
    }
    if (set_flag(line, word)) continue;
    const size_t equals = word.find('=');
    if (equals != std::string::npos) {
      set_value(line, word.substr(0, equals), word.substr(equals + 1));
    } else if (i + 1 < argc) {
      set_value(line, word, argv[++i]);
    } else {
      set_value(line, word, "");
    }
  }
  if (line.request.path.empty() && !line.list && !line.help && !line.version) refuse("no plugin file");
  return line;
}

bool matches(const CommandLine& line, const std::string& test) {
  if (line.filters.empty()) return true;
  for (const std::string& filter : line.filters) {
    if (fnmatch(filter.c_str(), test.c_str(), 0) == 0 || test.starts_with(filter + ".")) return true;
  }
  return false;
}

const char* usage() {
  return "usage: bitnet-plugin-check [OPTION]... PLUGIN.so\n"
         "Checks that a backend plugin keeps the rules of bitnet/plugin.h and computes what it declares.\n"
         "\n"
         "  --list            names of all tests with the rule each checks\n"
         "  --filter PATTERN  only tests of that name (shell pattern, or a group: matmul); may be repeated\n"
         "  --run NAME        one test in this process, for a debugger\n"
         "  --options JSON    options for the plugin's open()\n"
         "  --device ID       device to open; default: the first\n"
         "  --seed N          other random data (default 1)\n"
         "  --timeout S       limit of each test in seconds (default 60)\n"
         "  --format FORMAT   text, json or junit (default text)\n"
         "  --output FILE     write the report there\n"
         "  --fingerprint     print the fingerprint of the layout the plugin packs into, and end\n"
         "  --version, --help\n"
         "\n"
         "exit code: 0 all tests passed or did not apply, 1 a test failed, 2 usage, 3 the file cannot be checked\n";
}

}  // namespace bitnet::conformance
