// cli/options_values.cpp - numbers, lists and flags from text.
#include "cli/options_values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include "base/error.h"

namespace bitnet::cli {
namespace {

constexpr size_t kMaxNames = 32;
constexpr size_t kMaxIds = size_t{1} << 20;
constexpr size_t kMaxBiases = 1024;
constexpr double kMaxBias = 1e6;

// True when the whole text is one number of that type; a leading plus sign is allowed.
template <class Number>
bool parse_whole(std::string_view text, Number& out) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

std::string real_text(double value) { return fmt::format("{}", value); }

int32_t read_id(std::string_view where, std::string_view text) {
  int64_t id = 0;
  if (!parse_whole(text, id) || id < 0 || id > std::numeric_limits<int32_t>::max()) {
    fail(ErrorKind::kUsage, "{}: expected a token id from 0 to 2147483647, found '{}'", where, printable(text));
  }
  return static_cast<int32_t>(id);
}

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == ':' ||
         c == '-';
}

std::vector<std::string_view> split_at_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(',', begin);
    parts.push_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

}  // namespace

bool read_flag(std::string_view where, std::string_view text) {
  for (const std::string_view word : {"on", "true", "yes", "1"}) {
    if (text == word) return true;
  }
  for (const std::string_view word : {"off", "false", "no", "0"}) {
    if (text == word) return false;
  }
  fail(ErrorKind::kUsage, "{}: expected on or off, found '{}'", where, printable(text));
}

int64_t read_integer(const OptionRow& row, std::string_view where, std::string_view text) {
  const int64_t low = static_cast<int64_t>(row.low);
  const int64_t high = row.int64_high ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(row.high);
  int64_t value = 0;
  if (!parse_whole(text, value) || value < low || value > high) {
    fail(ErrorKind::kUsage, "{}: expected a whole number from {} to {}, found '{}'", where, low, high, printable(text));
  }
  return value;
}

double read_real(const OptionRow& row, std::string_view where, std::string_view text) {
  double value = 0;
  if (!parse_whole(text, value) || !std::isfinite(value) || value < row.low || value > row.high) {
    fail(ErrorKind::kUsage, "{}: expected a number from {} to {}, found '{}'", where, real_text(row.low), real_text(row.high),
         printable(text));
  }
  return value;
}

std::vector<std::string> read_names(std::string_view where, std::string_view text) {
  std::vector<std::string> names;
  for (const std::string_view part : split_at_commas(text)) {
    if (part.empty() || !std::all_of(part.begin(), part.end(), is_name_byte)) {
      fail(ErrorKind::kUsage, "{}: expected names separated by commas, found '{}'", where, printable(text));
    }
    names.emplace_back(part);
  }
  if (names.size() > kMaxNames) {
    fail(ErrorKind::kUsage, "{}: expected at most {} names, found {}", where, kMaxNames, names.size());
  }
  return names;
}

std::vector<int32_t> read_ids(std::string_view where, std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  std::vector<int32_t> ids;
  for (const std::string_view part : split_at_commas(text)) {
    bool found = false;
    for (size_t begin = part.find_first_not_of(kSpace); begin != std::string_view::npos;) {
      const size_t end = std::min(part.find_first_of(kSpace, begin), part.size());
      ids.push_back(read_id(where, part.substr(begin, end - begin)));
      found = true;
      begin = part.find_first_not_of(kSpace, end);
    }
    if (!found)
      fail(ErrorKind::kUsage, "{}: expected token ids separated by commas or spaces, found '{}'", where, printable(text));
    if (ids.size() > kMaxIds) fail(ErrorKind::kUsage, "{}: expected at most {} token ids, found more", where, kMaxIds);
  }
  return ids;
}

void read_logit_bias(std::string_view where, std::string_view text, std::vector<LogitBias>& out) {
  for (const std::string_view part : split_at_commas(text)) {
    const size_t sign = part.find_first_of("+-");
    double bias = 0;
    if (sign == 0 || sign == std::string_view::npos || !parse_whole(part.substr(sign), bias) || !std::isfinite(bias) ||
        std::fabs(bias) > kMaxBias) {
      fail(ErrorKind::kUsage, "{}: expected ID+V or ID-V with V up to {}, found '{}'", where, real_text(kMaxBias),
           printable(part));
    }
    out.push_back({read_id(where, part.substr(0, sign)), static_cast<float>(bias)});
  }
  if (out.size() > kMaxBiases) {
    fail(ErrorKind::kUsage, "{}: expected at most {} biased tokens, found {}", where, kMaxBiases, out.size());
  }
}

const Setting& Settings::of(std::string_view name) const {
  for (const Setting& setting : settings_) {
    if (setting.name == name) return setting;
  }
  throw std::logic_error("no setting named " + std::string(name));
}

bool Settings::flag(std::string_view name) const { return read_flag(where(name), text(name)); }
int64_t Settings::integer(std::string_view name) const { return read_integer(option(name), where(name), text(name)); }
double Settings::real(std::string_view name) const { return read_real(option(name), where(name), text(name)); }

const std::string& Settings::text(std::string_view name) const {
  static const std::string kUnset;
  const Setting& setting = of(name);
  return setting.values.empty() ? kUnset : setting.values.back();
}

const std::string& Settings::choice(std::string_view name) const {
  const auto words = words_of(option(name).choices);
  const std::string& value = text(name);
  if (std::find(words.begin(), words.end(), value) == words.end()) {
    fail(ErrorKind::kUsage, "{}: expected one of {}, found '{}'", where(name), fmt::join(words, ", "), printable(value));
  }
  return value;
}

const std::string& Settings::path(std::string_view name) const {
  const std::string& value = text(name);
  if (given(name) && value.empty())
    fail(ErrorKind::kUsage, "{}: expected {}, found nothing", where(name), option(name).value_name);
  return value;
}

std::vector<std::string> Settings::paths(std::string_view name) const {
  for (const std::string& value : of(name).values) {
    if (value.empty()) fail(ErrorKind::kUsage, "{}: expected {}, found nothing", where(name), option(name).value_name);
  }
  return of(name).values;
}

std::vector<std::string> Settings::names(std::string_view name) const { return read_names(where(name), text(name)); }

std::string Settings::where(std::string_view name) const {
  const Setting& setting = of(name);
  if (setting.source == Source::kSystemFile || setting.source == Source::kUserFile) {
    return fmt::format("{}: {}", printable(setting.origin), name);
  }
  return setting.origin.empty() ? fmt::format("--{}", name) : setting.origin;
}

}  // namespace bitnet::cli
