// jinja/filters_of_lists.cpp - first, last, join, map, select and their kin.
#include <algorithm>

#include "jinja/filters.h"
#include "jinja/operators.h"
#include "jinja/python_text.h"

namespace bitnet::jinja {
namespace {

using Kind = Value::Kind;

Value generator(Meter& meter, Values items) { return make_sequence(meter, Sequence::Kind::kGenerator, std::move(items)); }

// item.a.b as the attribute= of filters means it: keys of dicts, places of lists.
Value attribute_of(Meter& meter, Value item, const Value& path) {
  if (path.is_integer()) return item_of(meter, item, path);
  if (!path.is(Kind::kText)) meter.fail("expected the name of an attribute, found a {}", path.type_name());
  const std::string& names = path.bytes();
  for (size_t at = 0; at <= names.size();) {
    const size_t end = std::min(names.find('.', at), names.size());
    const std::string name = names.substr(at, end - at);
    const bool digits = !name.empty() && name.size() < 10 && name.find_first_not_of("0123456789") == name.npos;
    item = item_of(meter, item, digits ? Value(static_cast<int64_t>(std::stol(name))) : Value::text(name));
    at = end + 1;
  }
  return item;
}

Value filter_first(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader(meter, "first", arguments).done();
  if (value.is(Kind::kSequence) && value.sequence()->kind == Sequence::Kind::kGenerator) {
    Values& items = value.sequence()->items;
    if (items.empty()) return Value::undefined("first: the list is empty");
    meter.spend(items.size());
    const Value out = items.front();
    items.erase(items.begin());
    return out;
  }
  const Values items = iterate(meter, value);
  return items.empty() ? Value::undefined("first: the list is empty") : items.front();
}

Value filter_last(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader(meter, "last", arguments).done();
  if (value.is(Kind::kSequence) && value.sequence()->kind == Sequence::Kind::kGenerator) {
    meter.fail("last: a generator has no last item; turn it into a list first");
  }
  const Values items = iterate(meter, value);
  return items.empty() ? Value::undefined("last: the list is empty") : items.back();
}

Value filter_list(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader(meter, "list", arguments).done();
  return make_list(meter, iterate(meter, value));
}

Value filter_join(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "join", arguments);
  const Value* between = reader.next("d");
  const Value* attribute = reader.next("attribute");
  reader.done();
  const Text separator = between != nullptr ? to_text(meter, *between) : Text();
  Text out;
  bool first = true;
  for (Value& item : iterate(meter, value)) {
    if (!std::exchange(first, false)) out.append(separator);
    if (attribute != nullptr && !attribute->is(Kind::kNone)) item = attribute_of(meter, item, *attribute);
    out.append(to_text(meter, item));
    if (out.size() > kMaxTextBytes) meter.spend_bytes(out.size());
  }
  meter.spend_bytes(out.size());
  return Value::text(std::move(out));
}

Value filter_items(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader(meter, "items", arguments).done();
  Values out;
  if (value.is(Kind::kMapping)) {
    for (const auto& [key, item] : value.mapping().items) {
      out.push_back(make_sequence(meter, Sequence::Kind::kTuple, {key, item}));
    }
  } else if (!value.is(Kind::kUndefined)) {
    meter.fail("items: expected a dict, found a {}", value.type_name());
  }
  return generator(meter, std::move(out));
}

Value filter_reverse(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader(meter, "reverse", arguments).done();
  if (value.is(Kind::kText)) {
    const Value step(int64_t{-1});
    return slice_of(meter, value, nullptr, nullptr, &step);
  }
  Values items = iterate(meter, value);
  std::reverse(items.begin(), items.end());
  return generator(meter, std::move(items));
}

// What sort and unique compare: texts without case unless it counts.
Value sort_key(Meter& meter, Value item, bool case_sensitive) {
  if (case_sensitive || !item.is(Kind::kText)) return item;
  return apply_filter(meter, "lower", item, {});
}

Values sorted(Meter& meter, const Values& keys, Values items, bool reverse) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  // With "reverse" Python keeps the order of equal ones, too.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? is_less(meter, keys[b], keys[a]) : is_less(meter, keys[a], keys[b]);
  });
  Values out;
  for (const size_t i : order) out.push_back(items[i]);
  return out;
}

Value filter_sort(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "sort", arguments);
  const bool reverse = reader.boolean("reverse", false), case_sensitive = reader.boolean("case_sensitive", false);
  const Value* attribute = reader.next("attribute");
  reader.done();
  Values items = iterate(meter, value), keys;
  for (const Value& item : items) {
    const bool whole = attribute == nullptr || attribute->is(Kind::kNone);
    if (!whole && attribute->is(Kind::kText) && attribute->bytes().find(',') != std::string::npos) {
      meter.fail("sort: several attributes are not supported");
    }
    keys.push_back(sort_key(meter, whole ? item : attribute_of(meter, item, *attribute), case_sensitive));
  }
  return make_list(meter, sorted(meter, keys, std::move(items), reverse));
}

Value filter_dictsort(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "dictsort", arguments);
  const bool case_sensitive = reader.boolean("case_sensitive", false);
  const Text* by = reader.text("by");
  const bool reverse = reader.boolean("reverse", false);
  reader.done();
  const bool by_value = by != nullptr && by->bytes() == "value";
  if (by != nullptr && !by_value && by->bytes() != "key") meter.fail("dictsort: expected key or value");
  if (!value.is(Kind::kMapping)) meter.fail("dictsort: expected a dict, found a {}", value.type_name());
  Values items, keys;
  for (const auto& [key, item] : value.mapping().items) {
    items.push_back(make_sequence(meter, Sequence::Kind::kTuple, {key, item}));
    keys.push_back(sort_key(meter, by_value ? item : key, case_sensitive));
  }
  return make_list(meter, sorted(meter, keys, std::move(items), reverse));
}

Value filter_unique(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "unique", arguments);
  const bool case_sensitive = reader.boolean("case_sensitive", false);
  const Value* attribute = reader.next("attribute");
  reader.done();
  Values out, keys;
  for (const Value& item : iterate(meter, value)) {
    const bool whole = attribute == nullptr || attribute->is(Kind::kNone);
    const Value key = sort_key(meter, whole ? item : attribute_of(meter, item, *attribute), case_sensitive);
    need_hashable(meter, key);
    if (std::any_of(keys.begin(), keys.end(), [&](const Value& other) { return equals(meter, other, key); })) continue;
    keys.push_back(key);
    out.push_back(item);
  }
  return generator(meter, std::move(out));
}

template <bool kLargest>
Value filter_extreme(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, kLargest ? "max" : "min", arguments);
  const bool case_sensitive = reader.boolean("case_sensitive", false);
  const Value* attribute = reader.next("attribute");
  reader.done();
  if (attribute != nullptr) meter.fail("min and max with an attribute are not supported");
  Value best = Value::undefined("the list is empty"), best_key;
  bool any = false;
  for (const Value& item : iterate(meter, value)) {
    const Value key = sort_key(meter, item, case_sensitive);
    if (any && !(kLargest ? is_less(meter, best_key, key) : is_less(meter, key, best_key))) continue;
    any = true;
    best = item;
    best_key = key;
  }
  return best;
}

Value filter_sum(Meter& meter, const Value& value, const Arguments& arguments) {
  ArgumentReader reader(meter, "sum", arguments);
  const Value* attribute = reader.next("attribute");
  const Value* start = reader.next("start");
  reader.done();
  Value out = start != nullptr ? *start : Value(int64_t{0});
  for (const Value& item : iterate(meter, value)) {
    const bool whole = attribute == nullptr || attribute->is(Kind::kNone);
    out = calculate(meter, Operator::kAdd, out, whole ? item : attribute_of(meter, item, *attribute));
  }
  return out;
}

Value filter_map(Meter& meter, const Value& value, const Arguments& arguments) {
  Values out;
  if (!is_true(value)) return generator(meter, {});  // as Jinja: before it looks at anything else
  if (!arguments.positional.empty()) {
    const Value& name = arguments.positional.front();
    if (!name.is(Kind::kText)) meter.fail("map: expected the name of a filter, found a {}", name.type_name());
    if (name.bytes() == "map") meter.fail("map: a map of maps is not supported");
    Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.named};
    for (const Value& item : iterate(meter, value)) out.push_back(apply_filter(meter, name.bytes(), item, rest));
    return generator(meter, std::move(out));
  }
  const Value* attribute = nullptr;
  const Value* otherwise = nullptr;
  for (const auto& [name, given] : arguments.named) {
    if (name != "attribute" && name != "default") meter.fail("map: an argument '{}' is not known here", name);
    (name == "attribute" ? attribute : otherwise) = &given;
  }
  if (attribute == nullptr) meter.fail("map: expected the name of a filter or attribute=");
  for (const Value& item : iterate(meter, value)) {
    Value found = attribute_of(meter, item, *attribute);
    out.push_back(found.is(Kind::kUndefined) && otherwise != nullptr ? *otherwise : std::move(found));
  }
  return generator(meter, std::move(out));
}

// select, reject, selectattr, rejectattr.
Value filter_choose(Meter& meter, const Value& value, const Arguments& arguments, bool by_attribute, bool keep) {
  if (!is_true(value)) return generator(meter, {});
  const size_t names = by_attribute ? 1 : 0;
  if (arguments.positional.size() < names) meter.fail("expected the name of an attribute");
  const Value* test = arguments.positional.size() > names ? &arguments.positional[names] : nullptr;
  if (test != nullptr && !test->is(Kind::kText)) meter.fail("expected the name of a test, found a {}", test->type_name());
  Arguments rest;
  if (test != nullptr)
    rest.positional.assign(arguments.positional.begin() + static_cast<ptrdiff_t>(names) + 1, arguments.positional.end());
  rest.named = arguments.named;
  Values out;
  for (const Value& item : iterate(meter, value)) {
    const Value subject = by_attribute ? attribute_of(meter, item, arguments.positional[0]) : item;
    const bool holds = test != nullptr ? apply_test(meter, test->bytes(), subject, rest) : is_true(subject);
    if (holds == keep) out.push_back(item);
  }
  return generator(meter, std::move(out));
}

}  // namespace

bool apply_list_filter(Meter& meter, std::string_view name, const Value& value, const Arguments& arguments, Value& out) {
  struct Row {
    std::string_view name;
    Value (*apply)(Meter&, const Value&, const Arguments&);
  };
  constexpr Row kRows[] = {
      {"first", filter_first},   {"last", filter_last},          {"list", filter_list},         {"join", filter_join},
      {"items", filter_items},   {"reverse", filter_reverse},    {"sort", filter_sort},         {"dictsort", filter_dictsort},
      {"unique", filter_unique}, {"min", filter_extreme<false>}, {"max", filter_extreme<true>}, {"sum", filter_sum},
      {"map", filter_map}};
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    out = row.apply(meter, value, arguments);
    return true;
  }
  const bool select = name == "select" || name == "selectattr", reject = name == "reject" || name == "rejectattr";
  if (!select && !reject) return false;
  out = filter_choose(meter, value, arguments, name.ends_with("attr"), select);
  return true;
}

}  // namespace bitnet::jinja
