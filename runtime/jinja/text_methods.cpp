// jinja/text_methods.cpp - the methods of Python's str that templates use.
#include <algorithm>
#include <cctype>

#include "jinja/methods.h"
#include "jinja/operators.h"
#include "jinja/python_text.h"

namespace bitnet::jinja {
namespace {

using Kind = Value::Kind;

Value list_of(Meter& meter, std::vector<Text> texts) {
  Values items;
  for (Text& text : texts) items.push_back(Value::text(std::move(text)));
  return make_list(meter, std::move(items));
}

Value strip(Meter& meter, const Text& text, ArgumentReader& reader, bool left, bool right) {
  const Text* chars = reader.text("chars");
  reader.done();
  meter.spend_bytes(text.size());
  if (chars != nullptr) meter.spend(text.size() / kBytesPerStep * (chars->size() + 1));
  const Range range = stripped(text.bytes(), chars != nullptr ? &chars->bytes() : nullptr, left, right);
  return Value::text(text.sub(range.begin, range.end - range.begin));
}

// --- case. Letters beyond ASCII need tables that are not here, so they are refused rather than left as they are.

enum class Case { kUpper, kLower, kCapitalize, kTitle };

Value with_case(Meter& meter, const Text& text, ArgumentReader& reader, Case wanted) {
  reader.done();
  meter.spend_bytes(text.size());
  if (!is_ascii(text.bytes())) meter.fail("upper and lower case of letters beyond ASCII are not supported");
  std::string out = text.bytes();
  bool begins = true;
  for (char& c : out) {
    const bool letter = std::isalpha(static_cast<unsigned char>(c)) != 0;
    const bool upper = wanted == Case::kUpper || (wanted != Case::kLower && begins);
    c = static_cast<char>(upper ? std::toupper(c) : std::tolower(c));
    begins = wanted == Case::kTitle && !letter;
  }
  return Value::text(text.with_bytes(std::move(out)));
}

// --- cutting

// Words between white space. After `most` cuts the rest is one piece, with its white space at the far end.
Value split_at_spaces(Meter& meter, const Text& text, int64_t most, bool from_right) {
  const std::string_view bytes = text.bytes();
  meter.spend(text.size() / 8);
  std::vector<size_t> at;  // where code points begin, and the end
  for (size_t i = 0; i < bytes.size(); i += code_point_bytes(bytes.substr(i))) at.push_back(i);
  at.push_back(bytes.size());
  const size_t n = at.size() - 1;
  // The i-th code point from the side where the cutting begins.
  const auto place = [&](size_t i) { return from_right ? n - 1 - i : i; };
  const auto space = [&](size_t i) { return is_space(bytes.substr(at[place(i)], at[place(i) + 1] - at[place(i)])); };
  std::vector<Text> out;
  for (size_t i = 0; i < n;) {
    if (space(i)) {
      ++i;
      continue;
    }
    size_t end = i;
    const bool rest = most >= 0 && static_cast<int64_t>(out.size()) == most;
    while (end < n && (rest || !space(end))) ++end;
    const size_t begin_byte = at[from_right ? n - end : i], end_byte = at[from_right ? n - i : end];
    out.push_back(text.sub(begin_byte, end_byte - begin_byte));
    i = end;
  }
  if (from_right) std::reverse(out.begin(), out.end());
  return list_of(meter, std::move(out));
}

Value split_at(Meter& meter, const Text& text, const std::string& separator, int64_t most, bool from_right) {
  if (separator.empty()) meter.fail("split: the separator is empty");
  meter.spend_bytes(text.size());
  const std::string& bytes = text.bytes();
  std::vector<Text> out;
  size_t begin = 0, end = bytes.size();
  while (most < 0 || static_cast<int64_t>(out.size()) < most) {
    size_t at = bytes.npos;
    if (!from_right) {
      at = bytes.find(separator, begin);
    } else if (end >= separator.size()) {
      at = bytes.rfind(separator, end - separator.size());
    }
    if (at == bytes.npos) break;
    meter.spend(1);
    if (from_right) {
      out.push_back(text.sub(at + separator.size(), end - at - separator.size()));
      end = at;
    } else {
      out.push_back(text.sub(begin, at - begin));
      begin = at + separator.size();
    }
  }
  out.push_back(text.sub(begin, end - begin));
  if (from_right) std::reverse(out.begin(), out.end());
  return list_of(meter, std::move(out));
}

Value split(Meter& meter, const Text& text, ArgumentReader& reader, bool from_right) {
  const Text* separator = reader.text("sep");
  const int64_t most = reader.integer("maxsplit", -1);
  reader.done();
  return separator != nullptr ? split_at(meter, text, separator->bytes(), most, from_right)
                              : split_at_spaces(meter, text, most, from_right);
}

Value partition(Meter& meter, const Text& text, ArgumentReader& reader, bool from_right) {
  const Text* separator = reader.text("sep");
  reader.done();
  if (separator == nullptr || separator->size() == 0) meter.fail("partition: the separator is empty");
  meter.spend_bytes(text.size());
  const size_t at = from_right ? text.bytes().rfind(separator->bytes()) : text.bytes().find(separator->bytes());
  Values out;
  if (at == std::string::npos) {
    out = {Value::text(Text()), Value::text(Text()), Value::text(Text())};
    out[from_right ? 2 : 0] = Value::text(text);
  } else {
    const size_t behind = at + separator->size();
    out = {Value::text(text.sub(0, at)), Value::text(*separator), Value::text(text.sub(behind, text.size() - behind))};
  }
  return make_sequence(meter, Sequence::Kind::kTuple, std::move(out));
}

// --- searching

bool has_affix(const std::string& text, const std::string& affix, bool at_end) {
  return at_end ? text.ends_with(affix) : text.starts_with(affix);
}

Value affix(Meter& meter, const Text& text, ArgumentReader& reader, bool at_end) {
  const Value& wanted = reader.need(at_end ? "suffix" : "prefix");
  reader.done();
  meter.spend(1);
  if (wanted.is(Kind::kText)) return Value(has_affix(text.bytes(), wanted.bytes(), at_end));
  const bool tuple = wanted.is(Kind::kSequence) && wanted.sequence()->kind == Sequence::Kind::kTuple;
  if (!tuple) meter.fail("startswith and endswith need a text or a tuple of texts, found a {}", wanted.type_name());
  for (const Value& one : wanted.sequence()->items) {
    if (!one.is(Kind::kText)) meter.fail("startswith and endswith need texts, found a {}", one.type_name());
    if (has_affix(text.bytes(), one.bytes(), at_end)) return Value(true);
  }
  return Value(false);
}

Value without_affix(const Text& text, ArgumentReader& reader, bool at_end) {
  const Text* wanted = reader.text(at_end ? "suffix" : "prefix");
  reader.done();
  if (wanted == nullptr || !has_affix(text.bytes(), wanted->bytes(), at_end)) return Value::text(text);
  return Value::text(text.sub(at_end ? 0 : wanted->size(), text.size() - wanted->size()));
}

Value find(Meter& meter, const Text& text, ArgumentReader& reader, bool from_right, bool must) {
  const Text* part = reader.text("sub");
  reader.done();
  if (part == nullptr) meter.fail("find: expected a text");
  meter.spend_bytes(text.size());
  const size_t at = from_right ? text.bytes().rfind(part->bytes()) : text.bytes().find(part->bytes());
  if (at == std::string::npos && must) meter.fail("index: the text does not hold '{}'", printable(part->bytes(), 40));
  if (at == std::string::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(count_code_points(std::string_view(text.bytes()).substr(0, at))));
}

Value count(Meter& meter, const Text& text, ArgumentReader& reader) {
  const Text* part = reader.text("sub");
  reader.done();
  if (part == nullptr || part->size() == 0) meter.fail("count: expected a text that is not empty");
  meter.spend_bytes(text.size());
  int64_t n = 0;
  for (size_t at = text.bytes().find(part->bytes()); at != std::string::npos;
       at = text.bytes().find(part->bytes(), at + part->size()))
    ++n;
  return Value(n);
}

Value replace(Meter& meter, const Text& text, ArgumentReader& reader) {
  const Text* old = reader.text("old");
  const Text* with = reader.text("new");
  const Value* limit = reader.next("count");
  reader.done();
  if (old == nullptr || with == nullptr) meter.fail("replace: expected two texts");
  if (old->size() == 0) meter.fail("replace: replacing the empty text is not supported");
  if (limit != nullptr && !limit->is(Kind::kNone) && !limit->is_integer()) meter.fail("replace: the count is no number");
  int64_t left = limit != nullptr && limit->is_integer() ? limit->integer() : -1;
  Text out;
  size_t begin = 0;
  for (size_t at = text.bytes().find(old->bytes()); at != std::string::npos && left != 0; --left) {
    meter.spend(1);
    meter.spend_bytes(with->size());
    out.append(text, begin, at - begin);
    out.append(*with);
    if (out.size() > kMaxTextBytes) meter.spend_bytes(out.size());
    begin = at + old->size();
    at = text.bytes().find(old->bytes(), begin);
  }
  out.append(text, begin, text.size() - begin);
  meter.spend_bytes(out.size());
  return Value::text(std::move(out));
}

Value join(Meter& meter, const Text& separator, ArgumentReader& reader) {
  const Value& items = reader.need("iterable");
  reader.done();
  Text out;
  bool first = true;
  for (const Value& item : iterate(meter, items)) {
    if (!item.is(Kind::kText)) meter.fail("join: expected texts, found a {}", item.type_name());
    if (!std::exchange(first, false)) out.append(separator);
    out.append(item.text());
    if (out.size() > kMaxTextBytes) meter.spend_bytes(out.size());
  }
  meter.spend_bytes(out.size());
  return Value::text(std::move(out));
}

Value all_of(Meter& meter, const Text& text, ArgumentReader& reader, int (*kind)(int)) {
  reader.done();
  meter.spend_bytes(text.size());
  if (!is_ascii(text.bytes())) meter.fail("a test of letters beyond ASCII is not supported");
  return Value(text.size() != 0 && std::all_of(text.bytes().begin(), text.bytes().end(), [&](char c) { return kind(c) != 0; }));
}

Value is_all_space(Meter& meter, const Text& text, ArgumentReader& reader) {
  reader.done();
  meter.spend_bytes(text.size());
  const Range rest = stripped(text.bytes(), nullptr, true, false);
  return Value(text.size() != 0 && rest.begin == text.size());
}

}  // namespace

std::vector<Text> split_lines(Meter& meter, const Text& text, bool keep_ends) {
  constexpr std::string_view kEnds[] = {"\r\n", "\n",   "\r",       "\v",           "\f",          "\x1c",
                                        "\x1d", "\x1e", "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9"};
  meter.spend(text.size() / 4);
  const std::string_view bytes = text.bytes();
  std::vector<Text> out;
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const auto end =
        std::find_if(std::begin(kEnds), std::end(kEnds), [&](std::string_view e) { return bytes.substr(at).starts_with(e); });
    if (end == std::end(kEnds)) {
      ++at;
      continue;
    }
    out.push_back(text.sub(begin, at - begin + (keep_ends ? end->size() : 0)));
    begin = at += end->size();
  }
  if (begin < bytes.size()) out.push_back(text.sub(begin, bytes.size() - begin));
  return out;
}

Value call_text_method(Meter& meter, std::string_view name, const Text& text, const Arguments& arguments) {
  meter.spend(1);
  ArgumentReader reader(meter, name, arguments);
  if (name == "strip") return strip(meter, text, reader, true, true);
  if (name == "lstrip") return strip(meter, text, reader, true, false);
  if (name == "rstrip") return strip(meter, text, reader, false, true);
  if (name == "split") return split(meter, text, reader, false);
  if (name == "rsplit") return split(meter, text, reader, true);
  if (name == "partition") return partition(meter, text, reader, false);
  if (name == "rpartition") return partition(meter, text, reader, true);
  if (name == "startswith") return affix(meter, text, reader, false);
  if (name == "endswith") return affix(meter, text, reader, true);
  if (name == "removeprefix") return without_affix(text, reader, false);
  if (name == "removesuffix") return without_affix(text, reader, true);
  if (name == "replace") return replace(meter, text, reader);
  if (name == "join") return join(meter, text, reader);
  if (name == "upper") return with_case(meter, text, reader, Case::kUpper);
  if (name == "lower") return with_case(meter, text, reader, Case::kLower);
  if (name == "capitalize") return with_case(meter, text, reader, Case::kCapitalize);
  if (name == "title") return with_case(meter, text, reader, Case::kTitle);
  if (name == "find") return find(meter, text, reader, false, false);
  if (name == "rfind") return find(meter, text, reader, true, false);
  if (name == "index") return find(meter, text, reader, false, true);
  if (name == "count") return count(meter, text, reader);
  if (name == "isdigit") return all_of(meter, text, reader, std::isdigit);
  if (name == "isalpha") return all_of(meter, text, reader, std::isalpha);
  if (name == "isalnum") return all_of(meter, text, reader, std::isalnum);
  if (name == "isspace") return is_all_space(meter, text, reader);
  if (name == "splitlines") {
    const bool keep_ends = reader.boolean("keepends", false);
    reader.done();
    return list_of(meter, split_lines(meter, text, keep_ends));
  }
  meter.fail("the method {}() of a text is not supported", printable(name, 40));
}

}  // namespace bitnet::jinja
