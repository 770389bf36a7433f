// jinja/filters.cpp - filters of single values, and the table of all.
#include "jinja/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "jinja/methods.h"
#include "jinja/operators.h"
#include "jinja/python_text.h"

namespace bitnet::jinja {
namespace {

using Kind = Value::Kind;

Value text_filter(Meter& meter, std::string_view method, const Value& value, const Arguments& arguments) {
  return call_text_method(meter, method, to_text(meter, value), arguments);
}

Value filter_default(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "default", arguments);
  const Value* otherwise = reader.next("default_value");
  const bool boolean = reader.boolean("boolean", false);
  reader.done();
  if (!value.is(Kind::kUndefined) && !(boolean && !is_true(value))) return value;
  return otherwise != nullptr ? *otherwise : Value::text(Text());
}

Value filter_replace(Meter& meter, const Value& value, const Arguments& arguments) {
  Arguments texts = arguments;
  for (size_t i = 0; i < texts.positional.size() && i < 2; ++i) {
    texts.positional[i] = Value::text(to_text(meter, texts.positional[i]));
  }
  return call_text_method(meter, "replace", to_text(meter, value), texts);
}

// --- numbers

// As Python's int() and float() read a text; nothing when they would not.
template <class T>
std::optional<T> number_of(std::string_view text) {
  const Range range = stripped(text, nullptr, true, true);
  std::string digits;
  for (size_t i = range.begin; i < range.end; ++i) {
    const bool between = i > range.begin && i + 1 < range.end && std::isdigit(static_cast<unsigned char>(text[i - 1])) &&
                         std::isdigit(static_cast<unsigned char>(text[i + 1]));
    if (text[i] == '_' && between) continue;
    digits += text[i];
  }
  if (digits.starts_with('+') && digits.size() > 1 && digits[1] != '-') digits.erase(0, 1);
  T value{};
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return std::nullopt;
  return value;
}

Value truncated(Meter& meter, double value, const Value& otherwise) {
  if (std::isnan(value)) return otherwise;
  if (std::fabs(value) >= 9.2e18) meter.fail("int: whole numbers beyond 64 bits are not supported");
  return Value(static_cast<int64_t>(value));
}

Value filter_int(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "int", arguments);
  const Value* given = reader.next("default");
  if (reader.integer("base", 10) != 10) meter.fail("int: only base 10 is supported");
  reader.done();
  const Value otherwise = given != nullptr ? *given : Value(int64_t{0});
  if (value.is_integer()) return Value(value.integer());
  if (value.is(Kind::kFloat)) return truncated(meter, value.real(), otherwise);
  if (value.is(Kind::kUndefined)) meter.fail("{}", value.what());
  if (!value.is(Kind::kText)) return otherwise;
  if (!is_ascii(value.bytes())) meter.fail("int: digits beyond ASCII are not supported");
  if (const auto whole = number_of<int64_t>(value.bytes())) return Value(*whole);
  if (const auto real = number_of<double>(value.bytes())) return truncated(meter, *real, otherwise);
  return otherwise;
}

Value filter_float(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "float", arguments);
  const Value* given = reader.next("default");
  reader.done();
  const Value otherwise = given != nullptr ? *given : Value(0.0);
  if (value.is_number()) return Value(value.real());
  if (value.is(Kind::kUndefined)) meter.fail("{}", value.what());
  if (!value.is(Kind::kText)) return otherwise;
  if (!is_ascii(value.bytes())) meter.fail("float: digits beyond ASCII are not supported");
  const auto real = number_of<double>(value.bytes());
  return real ? Value(*real) : otherwise;
}

Value filter_abs(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader(meter, "abs", arguments).done();
  if (!value.is_number()) meter.fail("abs: expected a number, found a {}", value.type_name());
  return value.is(Kind::kFloat) ? Value(std::fabs(value.real()))
         : value.integer() < 0  ? negate(meter, value, true)
                                : Value(value.integer());
}

Value filter_round(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "round", arguments);
  const int64_t precision = reader.integer("precision", 0);
  const Text* given = reader.text("method");
  reader.done();
  const std::string method = given != nullptr ? given->bytes() : "common";
  if (!value.is_number()) meter.fail("round: expected a number, found a {}", value.type_name());
  if (precision < 0 || precision > 20) meter.fail("round: expected a precision from 0 to 20, found {}", precision);
  if (method != "common" && method != "ceil" && method != "floor") meter.fail("round: expected common, ceil or floor");
  if (method != "common") {
    const double factor = std::pow(10.0, static_cast<double>(precision));
    const double scaled = value.real() * factor;
    return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / factor);
  }
  if (value.is_integer()) return Value(value.integer());
  if (!std::isfinite(value.real())) return value;
  const std::string rounded = fmt::format("{:.{}f}", value.real(), precision);
  double out = 0;
  std::from_chars(rounded.data(), rounded.data() + rounded.size(), out);
  return Value(out);
}

// --- texts

Value filter_title(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader(meter, "title", arguments).done();
  const Text text = to_text(meter, value);
  meter.spend_bytes(text.size());
  if (!is_ascii(text.bytes())) meter.fail("title: letters beyond ASCII are not supported");
  std::string out = text.bytes();
  bool begins = true;
  for (char& c : out) {
    c = static_cast<char>(begins ? std::toupper(c) : std::tolower(c));
    begins = is_space({&c, 1}) || std::string_view("-({[<").find(c) != std::string_view::npos;
  }
  return Value::text(text.with_bytes(std::move(out)));
}

Value filter_indent(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "indent", arguments);
  const Value* width = reader.next("width");
  const bool first = reader.boolean("first", false), blank = reader.boolean("blank", false);
  reader.done();
  Text indention(std::string(4, ' '));
  if (width != nullptr && width->is(Kind::kText)) {
    indention = width->text();
  } else if (width != nullptr) {
    if (!width->is_integer() || width->integer() > 1024) meter.fail("indent: this width is not supported");
    indention = Text(std::string(static_cast<size_t>(std::max<int64_t>(width->integer(), 0)), ' '));
  }
  if (!value.is(Kind::kText)) meter.fail("indent: expected a text, found a {}", value.type_name());
  Text whole = value.text();
  whole.append("\n");
  const std::vector<Text> lines = split_lines(meter, whole, false);
  Text out;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i != 0) out.append("\n");
    const bool indents = i == 0 ? first : blank || lines[i].size() != 0;
    if (indents) out.append(indention);
    out.append(lines[i]);
    meter.spend_bytes(lines[i].size() + indention.size());
    if (out.size() > kMaxTextBytes) meter.spend_bytes(out.size());
  }
  return Value::text(std::move(out));
}

// --- the table

using Filter = Value (*)(Meter&, const Value&, const Arguments&);
struct FilterRow {
  std::string_view name;
  Filter apply;
};

template <const char* kMethod>
Value as_method(Meter& meter, const Value& value, const Arguments& arguments) {
  return text_filter(meter, kMethod, value, arguments);
}
constexpr char kStrip[] = "strip", kUpper[] = "upper", kLower[] = "lower", kCapitalize[] = "capitalize";

Value filter_length(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader(meter, "length", arguments).done();
  return Value(static_cast<int64_t>(length_of(meter, value)));
}

Value filter_string(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader(meter, "string", arguments).done();
  return Value::text(to_text(meter, value));
}

constexpr FilterRow kFilters[] = {
    {"trim", as_method<kStrip>},  {"upper", as_method<kUpper>},
    {"lower", as_method<kLower>}, {"capitalize", as_method<kCapitalize>},
    {"default", filter_default},  {"d", filter_default},
    {"tojson", to_json},          {"length", filter_length},
    {"count", filter_length},     {"string", filter_string},
    {"replace", filter_replace},  {"int", filter_int},
    {"float", filter_float},      {"abs", filter_abs},
    {"round", filter_round},      {"title", filter_title},
    {"indent", filter_indent},
};

constexpr std::string_view kUnsupported[] = {
    "attr",   "batch", "center", "e",         "escape",   "filesizeformat", "forceescape", "format",    "groupby",  "pprint",
    "random", "safe",  "slice",  "striptags", "truncate", "urlencode",      "urlize",      "wordcount", "wordwrap", "xmlattr"};

}  // namespace

Value apply_filter(Meter& meter, std::string_view name, const Value& value, const Arguments& arguments) {
  meter.spend(1);
  for (const FilterRow& row : kFilters) {
    if (row.name == name) return row.apply(meter, value, arguments);
  }
  Value out;
  if (apply_list_filter(meter, name, value, arguments, out)) return out;
  const bool known = std::find(std::begin(kUnsupported), std::end(kUnsupported), name) != std::end(kUnsupported);
  meter.fail("the filter '{}' is not {}", printable(name, 40), known ? "supported here" : "known");
}

}  // namespace bitnet::jinja
