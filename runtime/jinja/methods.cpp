// jinja/methods.cpp - which type has which methods, and those of lists and dicts.
#include "jinja/methods.h"

#include <algorithm>

#include "jinja/operators.h"

namespace bitnet::jinja {
namespace {

using Kind = Value::Kind;

// All methods that Python has, so that one that is missing here is an error and not an undefined value.
constexpr std::string_view kOfTexts[] = {
    "capitalize",   "casefold",   "center",    "count",       "encode",    "endswith",     "expandtabs",   "find",
    "format",       "format_map", "index",     "isalnum",     "isalpha",   "isascii",      "isdecimal",    "isdigit",
    "isidentifier", "islower",    "isnumeric", "isprintable", "isspace",   "istitle",      "isupper",      "join",
    "ljust",        "lower",      "lstrip",    "maketrans",   "partition", "removeprefix", "removesuffix", "replace",
    "rfind",        "rindex",     "rjust",     "rpartition",  "rsplit",    "rstrip",       "split",        "splitlines",
    "startswith",   "strip",      "swapcase",  "title",       "translate", "upper",        "zfill"};
constexpr std::string_view kOfLists[] = {"append", "clear", "copy",   "count",   "extend", "index",
                                         "insert", "pop",   "remove", "reverse", "sort"};
constexpr std::string_view kOfDicts[] = {"clear", "copy",    "fromkeys",   "get",    "items", "keys",
                                         "pop",   "popitem", "setdefault", "update", "values"};
constexpr std::string_view kOfNumbers[] = {"as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
                                           "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
                                           "numerator",        "real",      "to_bytes"};

template <size_t N>
bool is_among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Value dict_method(Meter& meter, const Value& self, std::string_view name, const Arguments& arguments) {
  const Mapping& dict = self.mapping();
  ArgumentReader reader(meter, name, arguments);
  meter.spend(1 + dict.items.size() / 16);
  if (name == "get") {
    const Value& key = reader.need("key");
    const Value* otherwise = reader.next("default");
    reader.done();
    need_hashable(meter, key);
    const Value* found = dict.find(key);
    return found != nullptr ? *found : otherwise != nullptr ? *otherwise : Value();
  }
  if (name == "copy") {
    reader.done();
    return self;
  }
  if (name != "items" && name != "keys" && name != "values") {
    meter.fail("the method {}() of a dict is not supported: values cannot be changed", printable(name, 40));
  }
  reader.done();
  Values out;
  for (const auto& [key, value] : dict.items) {
    out.push_back(name == "keys" ? key : name == "values" ? value : make_sequence(meter, Sequence::Kind::kTuple, {key, value}));
  }
  return make_sequence(meter, Sequence::Kind::kView, std::move(out));
}

Value list_method(Meter& meter, const Value& self, std::string_view name, const Arguments& arguments) {
  ArgumentReader reader(meter, name, arguments);
  const Values& items = self.sequence()->items;
  if (name == "copy") {
    reader.done();
    return self;
  }
  if (name != "index" && name != "count") {
    meter.fail("the method {}() of a list is not supported: values cannot be changed", printable(name, 40));
  }
  const Value& wanted = reader.need("value");
  reader.done();
  int64_t n = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!equals(meter, items[i], wanted)) continue;
    if (name == "index") return Value(static_cast<int64_t>(i));
    ++n;
  }
  if (name == "index") meter.fail("index: the list does not hold this value");
  return Value(n);
}

}  // namespace

Value method_of(Meter& meter, const Value& value, std::string_view name) {
  const bool is_list = value.is(Kind::kSequence) && value.sequence()->kind <= Sequence::Kind::kTuple;
  const bool has = (value.is(Kind::kText) && is_among(kOfTexts, name)) ||
                   (value.is(Kind::kMapping) && is_among(kOfDicts, name)) || (is_list && is_among(kOfLists, name));
  if (value.is_number() && is_among(kOfNumbers, name)) {
    meter.fail("'{}' of a number is not supported", printable(name, 40));
  }
  if (!has) return Value::undefined(fmt::format("the {} has no attribute '{}'", value.type_name(), printable(name, 60)));
  Callable method{std::string(name), {}};
  method.call = [&meter, value, name = std::string(name)](Arguments& arguments) {
    if (value.is(Kind::kText)) return call_text_method(meter, name, value.text(), arguments);
    return value.is(Kind::kMapping) ? dict_method(meter, value, name, arguments) : list_method(meter, value, name, arguments);
  };
  return Value(std::shared_ptr<const Callable>(std::make_shared<Callable>(std::move(method))));
}

}  // namespace bitnet::jinja
