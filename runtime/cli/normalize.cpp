// cli/normalize.cpp - reads argument spellings by the option table.
#include "cli/normalize.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace bitnet::cli {
namespace {

// An argument that begins with a dash, taken apart.
struct Token {
  std::string_view spelling;  // with dashes, without "=value"
  std::string_view value;
  bool joined;  // "=value" was there
};

Token split(std::string_view argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string_view::npos) return {argument, {}, false};
  return {argument.substr(0, equals), argument.substr(equals + 1), true};
}

const OptionRow* find_spelling(std::string_view spelling, Command command) {
  return spelling.starts_with("--") ? find_long(spelling.substr(2), command) : find_dash(spelling, command);
}

[[noreturn]] void fail_unknown(std::string_view spelling, unsigned commands) {
  const std::string nearest = nearest_option(spelling, commands);
  if (nearest.empty()) {
    fail(ErrorKind::kUsage, "unknown option {}; --help-all lists all options", printable(spelling));
  }
  fail(ErrorKind::kUsage, "unknown option {}; did you mean {}?", printable(spelling), nearest);
}

const OptionRow& known_row(const Token& token, Command command) {
  const OptionRow* row = find_spelling(token.spelling, command);
  if (row == nullptr) fail_unknown(token.spelling, command);
  if (!row->ready) fail(ErrorKind::kUsage, "{} is not supported in this version", token.spelling);
  if ((row->commands & command) == 0) {
    fail(ErrorKind::kUsage, "{} is not an option of '{}'; it belongs to: {}", token.spelling, command_name(command),
         commands_of(*row));
  }
  if (token.joined && !token.spelling.starts_with("--")) {
    fail(ErrorKind::kUsage, "{} takes its value as the next argument: write {} {}", token.spelling, token.spelling,
         token.value.empty() ? "VALUE" : printable(token.value));
  }
  if (token.joined && row->kind == ValueKind::kFlag) {
    fail(ErrorKind::kUsage, "{} takes no value, found '{}'", token.spelling, printable(token.value));
  }
  return *row;
}

// Adds an option; of a single-valued one the last value wins, with a warning when a different value is lost.
void add(Arguments& out, GivenOption given) {
  if (!given.row->repeatable) {
    const auto same = [&](const GivenOption& other) { return other.row == given.row; };
    const auto earlier = std::find_if(out.options.begin(), out.options.end(), same);
    if (earlier != out.options.end()) {
      if (earlier->value != given.value) {
        out.warnings.push_back(fmt::format("--{} was given twice: '{}' ({}) is dropped for '{}' ({})", given.row->name,
                                           printable(earlier->value), earlier->origin, printable(given.value), given.origin));
      }
      out.options.erase(earlier);
    }
  }
  out.options.push_back(std::move(given));
}

// Keeps the candidate with the smallest distance; it begins with the distance that is too far.
struct Nearest {
  std::string spelling;
  size_t distance;

  void offer(std::string_view wanted, const std::string& candidate) {
    const size_t found = edit_distance(wanted, candidate);
    if (found < distance) {
      distance = found;
      spelling = candidate;
    }
  }
};

// Longer names may differ in more letters.
size_t too_far(std::string_view word) { return std::max<size_t>(2, word.size() / 4 + 1); }

}  // namespace

GivenOption expand(const OptionRow& row, std::string value, std::string origin) {
  if (row.stands_for.empty()) return {&row, std::move(value), std::move(origin)};
  return {&option(row.stands_for), std::string(row.stands_for_value), std::move(origin)};
}

Arguments normalize(std::span<const std::string> arguments, Command command) {
  Arguments out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      out.words.insert(out.words.end(), arguments.begin() + static_cast<ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (argument == "-" || !argument.starts_with('-')) {
      out.words.push_back(argument);
      continue;
    }
    const Token token = split(argument);
    const OptionRow& row = known_row(token, command);
    std::string value(token.value);
    if (row.kind == ValueKind::kFlag) {
      value = "on";
    } else if (!token.joined) {
      if (++i == arguments.size()) fail(ErrorKind::kUsage, "{} needs a value ({})", token.spelling, row.value_name);
      value = arguments[i];
    }
    add(out, expand(row, std::move(value), std::string(token.spelling)));
  }
  return out;
}

std::vector<std::string> library_tokens(std::span<const GivenOption> options) {
  std::vector<std::string> tokens;
  for (const GivenOption& given : options) {
    std::string name = fmt::format("--{}", given.row->name);
    if (given.value.empty()) {
      tokens.push_back(std::move(name));
      tokens.emplace_back();
    } else {
      tokens.push_back(name + "=" + given.value);
    }
  }
  return tokens;
}

std::string nearest_option(std::string_view spelling, unsigned commands) {
  Nearest nearest{{}, too_far(spelling)};
  for (const OptionRow& row : option_table()) {
    if (row.file_only || (row.commands & commands) == 0) continue;
    nearest.offer(spelling, fmt::format("--{}", row.name));
    for (const std::string_view alias : words_of(row.aliases)) nearest.offer(spelling, fmt::format("--{}", alias));
    for (const std::string_view dash : words_of(row.dashes)) {
      // Two one-letter spellings are always one step apart: no help.
      if (dash.size() > 2) nearest.offer(spelling, std::string(dash));
    }
  }
  return nearest.spelling;
}

std::string nearest_command(std::string_view word) {
  Nearest nearest{{}, too_far(word)};
  for (const CommandRow& row : command_table()) nearest.offer(word, std::string(row.name));
  return nearest.spelling;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment: three rows of the distance table. Arguments may be long, so only their heads count.
  a = a.substr(0, 64);
  b = b.substr(0, 64);
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before = last;
    last = row;
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace bitnet::cli
