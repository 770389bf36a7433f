// jinja/value.cpp - making, comparing and walking through values.
#include "jinja/value.h"

#include <algorithm>
#include <cmath>

namespace bitnet::jinja {
namespace {

using Kind = Value::Kind;

size_t depth_of_item(Meter& meter, const Value& item) {
  if (item.is(Kind::kNamespace) || item.is(Kind::kCallable) || item.is(Kind::kLoop)) {
    meter.fail("a {} inside a list or dict is not supported", item.type_name());
  }
  return item.depth() + 1;
}

void check_depth(Meter& meter, size_t depth) {
  if (depth > kMaxDepth) meter.fail("lists are nested deeper than {}", kMaxDepth);
}

bool same_key(const Value& a, const Value& b) {
  if (a.is(Kind::kText)) return b.is(Kind::kText) && a.bytes() == b.bytes();
  if (a.is_number()) return b.is_number() && a.real() == b.real();
  return a.kind() == b.kind();
}

bool equal_items(Meter& meter, const Values& a, const Values& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equals(meter, a[i], b[i])) return false;
  }
  return true;
}

bool equal_mappings(Meter& meter, const Mapping& a, const Mapping& b) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    meter.spend(1 + b.items.size() / 16);
    const Value* other = b.find(key);
    if (other == nullptr || !equals(meter, value, *other)) return false;
  }
  return true;
}

bool equal_numbers(const Value& a, const Value& b) {
  return a.is_integer() && b.is_integer() ? a.integer() == b.integer() : a.real() == b.real();
}

}  // namespace

std::string_view Value::type_name() const {
  constexpr std::string_view kNames[] = {"undefined value", "none",     "bool", "int", "float", "str", "list", "dict",
                                         "namespace",       "function", "loop"};
  if (is(Kind::kSequence)) {
    constexpr std::string_view kKinds[] = {"list", "tuple", "view", "generator"};
    return kKinds[static_cast<size_t>(sequence()->kind)];
  }
  return kNames[static_cast<size_t>(kind())];
}

size_t Value::depth() const {
  if (is(Kind::kSequence)) return sequence()->depth;
  return is(Kind::kMapping) ? mapping().depth : 0;
}

const Value* Mapping::find(const Value& key) const {
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& item) { return same_key(item.first, key); });
  return found == items.end() ? nullptr : &found->second;
}

const Value* Mapping::find(std::string_view key) const {
  for (const auto& [name, value] : items) {
    if (name.is(Kind::kText) && name.bytes() == key) return &value;
  }
  return nullptr;
}

Value make_sequence(Meter& meter, Sequence::Kind kind, Values items) {
  meter.spend(1 + items.size());
  size_t depth = 0;
  for (const Value& item : items) depth = std::max(depth, depth_of_item(meter, item));
  check_depth(meter, depth);
  return Value(std::make_shared<Sequence>(Sequence{kind, std::move(items), depth}));
}

Value make_mapping(Meter& meter, std::vector<std::pair<Value, Value>> items) {
  auto out = std::make_shared<Mapping>();
  out->depth = 0;
  for (auto& item : items) {
    const Value& key = item.first;
    if (!key.is(Kind::kText) && !key.is_number() && !key.is(Kind::kNone)) {
      meter.fail("a {} as the key of a dict is not supported", key.type_name());
    }
    meter.spend(1 + out->items.size() / 16);
    out->depth = std::max(out->depth, depth_of_item(meter, item.second));
    const auto same =
        std::find_if(out->items.begin(), out->items.end(), [&](const auto& other) { return same_key(other.first, key); });
    if (same != out->items.end()) {
      same->second = std::move(item.second);
    } else {
      out->items.push_back(std::move(item));
    }
  }
  check_depth(meter, out->depth);
  return Value(std::shared_ptr<const Mapping>(std::move(out)));
}

bool is_true(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return v.boolean();
    case Kind::kInt:
      return v.integer() != 0;
    case Kind::kFloat:
      return v.real() != 0;
    case Kind::kText:
      return v.text().size() != 0;
    case Kind::kSequence:
      return v.sequence()->kind == Sequence::Kind::kGenerator || !v.sequence()->items.empty();
    case Kind::kMapping:
      return !v.mapping().items.empty();
    default:
      return true;
  }
}

void need_hashable(Meter& meter, const Value& value) {
  if (value.is(Kind::kSequence) && value.sequence()->kind == Sequence::Kind::kTuple) {
    for (const Value& item : value.sequence()->items) need_hashable(meter, item);
  } else if (value.is(Kind::kSequence) || value.is(Kind::kMapping)) {
    meter.fail("a {} cannot be looked up", value.type_name());
  }
}

bool equals(Meter& meter, const Value& a, const Value& b) {
  meter.spend(1);
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kText:
      meter.spend_bytes(std::min(a.text().size(), b.text().size()));
      return a.bytes() == b.bytes();
    case Kind::kSequence: {
      const Sequence &x = *a.sequence(), &y = *b.sequence();
      if (&x == &y) return true;
      if (x.kind != y.kind) return false;
      if (x.kind > Sequence::Kind::kTuple) meter.fail("comparing a {} is not supported", a.type_name());
      return equal_items(meter, x.items, y.items);
    }
    case Kind::kMapping:
      return equal_mappings(meter, a.mapping(), b.mapping());
    default:
      meter.fail("comparing a {} is not supported", a.type_name());
  }
}

bool is_less(Meter& meter, const Value& a, const Value& b) {
  meter.spend(1);
  for (const Value* v : {&a, &b}) {
    if (v->is(Kind::kUndefined)) meter.fail("{}", v->what());
  }
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer();
  if (a.is_number() && b.is_number()) return a.real() < b.real();
  if (a.is(Kind::kText) && b.is(Kind::kText)) {
    meter.spend_bytes(std::min(a.text().size(), b.text().size()));
    return a.bytes() < b.bytes();
  }
  meter.fail("a {} and a {} have no order", a.type_name(), b.type_name());
}

Values iterate(Meter& meter, const Value& value) {
  Values out;
  switch (value.kind()) {
    case Kind::kUndefined:
      break;
    case Kind::kSequence:
      if (value.sequence()->kind == Sequence::Kind::kGenerator) {
        out.swap(value.sequence()->items);
      } else {
        out = value.sequence()->items;
      }
      break;
    case Kind::kMapping:
      for (const auto& item : value.mapping().items) out.push_back(item.first);
      break;
    case Kind::kText: {
      const Text& text = value.text();
      meter.spend(text.size());
      for (size_t at = 0; at < text.size();) {
        const size_t n = code_point_bytes(std::string_view(text.bytes()).substr(at));
        out.push_back(Value::text(text.sub(at, n)));
        at += n;
      }
      return out;
    }
    default:
      meter.fail("a {} cannot be gone through", value.type_name());
  }
  meter.spend(out.size());
  return out;
}

}  // namespace bitnet::jinja
