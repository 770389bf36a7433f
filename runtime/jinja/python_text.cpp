// jinja/python_text.cpp - str(), repr() and json.dumps().
#include "jinja/python_text.h"

#include <algorithm>
#include <cmath>

namespace bitnet::jinja {
namespace {

using Kind = Value::Kind;

// repr() of a text: single quotes unless it holds those and no double ones.
Text quoted(Meter& meter, const Text& text) {
  const std::string& s = text.bytes();
  if (!is_ascii(s)) meter.fail("printing a list that holds text beyond ASCII is not supported");
  const char quote = s.find('\'') != s.npos && s.find('"') == s.npos ? '"' : '\'';
  std::string out(1, quote);
  for (const char c : s) {
    if (c == quote || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < ' ' || c == '\x7f') {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return text.with_bytes(out + quote);
}

void append_repr(Meter& meter, const Value& value, Text& out);

void append_items(Meter& meter, const Sequence& sequence, Text& out) {
  const bool tuple = sequence.kind == Sequence::Kind::kTuple;
  out.append(tuple ? "(" : "[");
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i != 0) out.append(", ");
    append_repr(meter, sequence.items[i], out);
  }
  if (tuple && sequence.items.size() == 1) out.append(",");
  out.append(tuple ? ")" : "]");
}

void append_repr(Meter& meter, const Value& value, Text& out) {
  meter.spend(1);
  if (value.is(Kind::kText)) {
    meter.spend_bytes(value.text().size());
    out.append(quoted(meter, value.text()));
  } else if (value.is(Kind::kSequence) && value.sequence()->kind <= Sequence::Kind::kTuple) {
    append_items(meter, *value.sequence(), out);
  } else if (value.is(Kind::kMapping)) {
    out.append("{");
    bool first = true;
    for (const auto& [key, item] : value.mapping().items) {
      if (!std::exchange(first, false)) out.append(", ");
      append_repr(meter, key, out);
      out.append(": ");
      append_repr(meter, item, out);
    }
    out.append("}");
  } else if (value.is(Kind::kUndefined)) {
    out.append("Undefined");
  } else {
    out.append(to_text(meter, value));
  }
  if (out.size() > kMaxTextBytes) meter.spend_bytes(out.size());
}

class JsonWriter {
 public:
  JsonWriter(Meter& meter, const Arguments& arguments) : meter_(meter) {
    ArgumentReader reader(meter, "tojson", arguments);
    ensure_ascii_ = reader.boolean("ensure_ascii", false);
    if (const Value* indent = reader.next("indent"); indent != nullptr && !indent->is(Kind::kNone)) read_indent(*indent);
    if (const Value* separators = reader.next("separators"); separators != nullptr && !separators->is(Kind::kNone)) {
      read_separators(*separators);
    }
    sort_keys_ = reader.boolean("sort_keys", false);
    reader.done();
  }

  Text write(const Value& value) {
    append(value, 0);
    return std::move(out_);
  }

 private:
  void read_indent(const Value& indent) {
    pretty_ = true;
    item_ = ",";
    if (indent.is(Kind::kText)) {
      indent_ = indent.bytes();
    } else if (indent.is_integer() && indent.integer() <= 64) {
      indent_.assign(static_cast<size_t>(std::max<int64_t>(indent.integer(), 0)), ' ');
    } else {
      meter_.fail("tojson: this indent is not supported");
    }
  }

  void read_separators(const Value& separators) {
    const bool two = separators.is(Kind::kSequence) && separators.sequence()->items.size() == 2;
    if (!two || !separators.sequence()->items[0].is(Kind::kText) || !separators.sequence()->items[1].is(Kind::kText)) {
      meter_.fail("tojson: expected two texts as separators");
    }
    item_ = separators.sequence()->items[0].bytes();
    key_ = separators.sequence()->items[1].bytes();
  }

  void line(size_t level) {
    if (!pretty_) return;
    meter_.spend_bytes(1 + level * indent_.size());
    out_.append("\n");
    for (size_t i = 0; i < level; ++i) out_.append(indent_);
  }

  void append(const Value& value, size_t level) {
    meter_.spend(1);
    if (out_.size() > kMaxTextBytes) meter_.spend_bytes(out_.size());
    switch (value.kind()) {
      case Kind::kNone:
        return out_.append("null");
      case Kind::kBool:
        return out_.append(value.boolean() ? "true" : "false");
      case Kind::kInt:
        return out_.append(fmt::format("{}", value.integer()));
      case Kind::kFloat:
        return out_.append(json_float(value.real()));
      case Kind::kText:
        return string(value.text());
      case Kind::kMapping:
        return mapping(value.mapping(), level);
      case Kind::kSequence:
        if (value.sequence()->kind <= Sequence::Kind::kTuple) return sequence(*value.sequence(), level);
        [[fallthrough]];
      default:
        meter_.fail("tojson: a {} has no JSON", value.type_name());
    }
  }

  static std::string json_float(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_text(value);
  }

  void string(const Text& text) {
    const std::string& s = text.bytes();
    meter_.spend_bytes(s.size());
    if (ensure_ascii_ && !is_ascii(s)) meter_.fail("tojson: ensure_ascii with text beyond ASCII is not supported");
    constexpr std::string_view kSpecial = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    std::string out = "\"";
    for (const char c : s) {
      if (const size_t at = kSpecial.find(c); at != kSpecial.npos) {
        out += {'\\', kLetters[at]};
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      } else {
        out += c;
      }
    }
    out_.append(text.with_bytes(out + '"'));
  }

  void sequence(const Sequence& sequence, size_t level) {
    if (sequence.items.empty()) return out_.append("[]");
    out_.append("[");
    for (size_t i = 0; i < sequence.items.size(); ++i) {
      if (i != 0) out_.append(item_);
      line(level + 1);
      append(sequence.items[i], level + 1);
    }
    line(level);
    out_.append("]");
  }

  void mapping(const Mapping& mapping, size_t level) {
    if (mapping.items.empty()) return out_.append("{}");
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : mapping.items) items.push_back(&item);
    if (sort_keys_) {
      meter_.spend(items.size() * 8);
      std::stable_sort(items.begin(), items.end(),
                       [&](const auto* a, const auto* b) { return is_less(meter_, a->first, b->first); });
    }
    out_.append("{");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i != 0) out_.append(item_);
      line(level + 1);
      key(items[i]->first);
      out_.append(key_);
      append(items[i]->second, level + 1);
    }
    line(level);
    out_.append("}");
  }

  void key(const Value& key) {
    if (key.is(Kind::kText)) return string(key.text());
    out_.append("\"");
    append(key, 0);
    out_.append("\"");
  }

  Meter& meter_;
  Text out_;
  bool ensure_ascii_ = false, pretty_ = false, sort_keys_ = false;
  std::string indent_, item_ = ", ", key_ = ": ";
};

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string out = fmt::format("{}", value);
  return out.find_first_of(".e") == out.npos ? out + ".0" : out;
}

Text to_text(Meter& meter, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return Text();
    case Kind::kNone:
      return Text("None");
    case Kind::kBool:
      return Text(value.boolean() ? "True" : "False");
    case Kind::kInt:
      return Text(fmt::format("{}", value.integer()));
    case Kind::kFloat:
      return Text(float_text(value.real()));
    case Kind::kText:
      return value.text();
    case Kind::kSequence:
      if (value.sequence()->kind > Sequence::Kind::kTuple) break;
      [[fallthrough]];
    case Kind::kMapping: {
      Text out;
      append_repr(meter, value, out);
      meter.spend_bytes(out.size());
      return out;
    }
    default:
      break;
  }
  meter.fail("printing a {} is not supported", value.type_name());
}

Value to_json(Meter& meter, const Value& value, const Arguments& arguments) {
  Text out = JsonWriter(meter, arguments).write(value);
  meter.spend_bytes(out.size());
  return Value::text(std::move(out));
}

}  // namespace bitnet::jinja
