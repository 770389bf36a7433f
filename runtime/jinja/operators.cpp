// jinja/operators.cpp - arithmetic, comparison, items and slices as Python has them.
#include "jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "jinja/python_text.h"

namespace bitnet::jinja {
namespace {

using Kind = Value::Kind;

std::string_view name_of(Operator op) {
  constexpr std::string_view kNames[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kNames[static_cast<size_t>(op)];
}

[[noreturn]] void fail_overflow(Meter& meter) { meter.fail("whole numbers beyond 64 bits are not supported"); }

int64_t floor_divide(Meter& meter, int64_t a, int64_t b) {
  if (b == 0) meter.fail("division by zero");
  if (a == INT64_MIN && b == -1) fail_overflow(meter);
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

int64_t power(Meter& meter, int64_t base, int64_t exponent) {
  int64_t out = 1;
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(out, base, &out)) fail_overflow(meter);
  }
  return out;
}

Value integers(Meter& meter, Operator op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool overflow = false;
  switch (op) {
    case Operator::kAdd:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case Operator::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case Operator::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case Operator::kFloorDivide:
      out = floor_divide(meter, a, b);
      break;
    case Operator::kModulo:
      if (b == 0) meter.fail("division by zero");
      out = b == -1 ? 0 : a % b;
      if (out != 0 && (out < 0) != (b < 0)) out += b;
      break;
    default:
      out = power(meter, a, b);
  }
  if (overflow) fail_overflow(meter);
  return Value(out);
}

Value reals(Meter& meter, Operator op, double a, double b) {
  const bool divides = op == Operator::kDivide || op == Operator::kFloorDivide || op == Operator::kModulo;
  if (divides && b == 0) meter.fail("division by zero");
  switch (op) {
    case Operator::kAdd:
      return Value(a + b);
    case Operator::kSubtract:
      return Value(a - b);
    case Operator::kMultiply:
      return Value(a * b);
    case Operator::kDivide:
      return Value(a / b);
    case Operator::kFloorDivide:
    case Operator::kModulo: {
      double rest = std::fmod(a, b);
      if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
      if (op == Operator::kModulo) return Value(rest == 0 ? std::copysign(0.0, b) : rest);
      const double quotient = (a - rest) / b;
      const double floor = std::floor(quotient);
      return Value(quotient == 0 ? std::copysign(0.0, a / b) : quotient - floor > 0.5 ? floor + 1 : floor);
    }
    default:
      if ((a == 0 && b < 0) || (a < 0 && b != std::floor(b))) meter.fail("this power is not a real number");
      return Value(std::pow(a, b));
  }
}

Value numbers(Meter& meter, Operator op, const Value& a, const Value& b) {
  const bool whole = a.is_integer() && b.is_integer() && op != Operator::kDivide;
  if (whole && !(op == Operator::kPower && b.integer() < 0)) return integers(meter, op, a.integer(), b.integer());
  const Value out = reals(meter, op, a.real(), b.real());
  if (!std::isfinite(out.real()) && std::isfinite(a.real()) && std::isfinite(b.real()) && op == Operator::kPower) {
    meter.fail("the power is too large");
  }
  return out;
}

Value repeat(Meter& meter, const Value& what, int64_t times) {
  const auto n = static_cast<size_t>(std::clamp<int64_t>(times, 0, static_cast<int64_t>(kMaxTextBytes) + 1));
  if (what.is(Kind::kText)) {
    meter.spend_bytes(n * what.text().size());
    meter.spend(n / 8);
    Text out;
    for (size_t i = 0; i < n && what.text().size() != 0; ++i) out.append(what.text());
    return Value::text(std::move(out));
  }
  const Values& items = what.sequence()->items;
  meter.spend(n * items.size());
  Values out;
  for (size_t i = 0; i < n && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
  return make_sequence(meter, what.sequence()->kind, std::move(out));
}

bool is_repeatable(const Value& v) {
  return v.is(Kind::kText) || (v.is(Kind::kSequence) && v.sequence()->kind <= Sequence::Kind::kTuple);
}

bool is_substring(Meter& meter, const Value& text, const Value& part) {
  if (!part.is(Kind::kText)) meter.fail("'in' a text needs a text on its left, found a {}", part.type_name());
  meter.spend_bytes(text.text().size());
  return text.bytes().find(part.bytes()) != std::string::npos;
}

// Start, stop and step of a slice of n items, as Python's slice.indices().
struct Indices {
  int64_t start, stop, step;
};

int64_t part_of(Meter& meter, const Value* value, int64_t absent) {
  if (value == nullptr || value->is(Kind::kNone)) return absent;
  if (!value->is_integer()) meter.fail("a slice needs whole numbers, found a {}", value->type_name());
  return value->integer();
}

Indices indices(Meter& meter, int64_t n, const Value* start, const Value* stop, const Value* step) {
  Indices out{0, 0, part_of(meter, step, 1)};
  if (out.step == 0) meter.fail("the step of a slice cannot be 0");
  const int64_t least = out.step < 0 ? -1 : 0, most = out.step < 0 ? n - 1 : n;
  const auto place = [&](const Value* value, int64_t absent) {
    const int64_t given = part_of(meter, value, absent);
    if (value == nullptr || value->is(Kind::kNone)) return absent;
    return std::clamp(given < 0 ? (given < -n ? least : given + n) : given, least, most);
  };
  out.start = place(start, out.step < 0 ? n - 1 : 0);
  out.stop = place(stop, out.step < 0 ? -1 : n);
  return out;
}

// Where each code point of a text begins, and its end.
std::vector<size_t> code_points(Meter& meter, const std::string& text) {
  meter.spend_bytes(text.size());
  std::vector<size_t> out;
  for (size_t at = 0; at < text.size(); at += code_point_bytes(std::string_view(text).substr(at))) out.push_back(at);
  out.push_back(text.size());
  return out;
}

template <class Take>
void go(Meter& meter, Indices i, const Take& take) {
  size_t n = 0;
  for (int64_t at = i.start; i.step > 0 ? at < i.stop : at > i.stop;) {
    take(static_cast<size_t>(at));
    if (++n % 16 == 0) meter.spend(1);
    if (__builtin_add_overflow(at, i.step, &at)) break;
  }
}

Value item_at(Meter& meter, const Value& value, int64_t index) {
  const auto absent = [&] { return Value::undefined(fmt::format("the {} has no item {}", value.type_name(), index)); };
  if (value.is(Kind::kText)) {
    const std::vector<size_t> at = code_points(meter, value.bytes());
    const auto n = static_cast<int64_t>(at.size()) - 1;
    if (index < 0) index += n;
    if (index < 0 || index >= n) return absent();
    const size_t begin = at[static_cast<size_t>(index)];
    return Value::text(value.text().sub(begin, at[static_cast<size_t>(index) + 1] - begin));
  }
  const Values& items = value.sequence()->items;
  if (value.sequence()->kind == Sequence::Kind::kView)
    meter.fail("items of a view are not supported; turn it into a list first");
  if (value.sequence()->kind == Sequence::Kind::kGenerator) return absent();
  if (index < 0) index += static_cast<int64_t>(items.size());
  if (index < 0 || index >= static_cast<int64_t>(items.size())) return absent();
  return items[static_cast<size_t>(index)];
}

}  // namespace

Value calculate(Meter& meter, Operator op, const Value& a, const Value& b) {
  meter.spend(1);
  for (const Value* v : {&a, &b}) {
    if (v->is(Kind::kUndefined)) meter.fail("{}", v->what());
  }
  if (a.is_number() && b.is_number()) return numbers(meter, op, a, b);
  if (op == Operator::kAdd && a.is(Kind::kText) && b.is(Kind::kText)) {
    meter.spend_bytes(a.text().size() + b.text().size());
    Text out = a.text();
    out.append(b.text());
    return Value::text(std::move(out));
  }
  const bool lists = a.is(Kind::kSequence) && b.is(Kind::kSequence) && a.sequence()->kind == b.sequence()->kind;
  if (op == Operator::kAdd && lists && is_repeatable(a)) {
    Values out = a.sequence()->items;
    out.insert(out.end(), b.sequence()->items.begin(), b.sequence()->items.end());
    return make_sequence(meter, a.sequence()->kind, std::move(out));
  }
  if (op == Operator::kMultiply && is_repeatable(a) && b.is_integer()) return repeat(meter, a, b.integer());
  if (op == Operator::kMultiply && is_repeatable(b) && a.is_integer()) return repeat(meter, b, a.integer());
  if (op == Operator::kModulo && a.is(Kind::kText)) meter.fail("formatting a text with % is not supported");
  meter.fail("{} {} {} has no meaning", a.type_name(), name_of(op), b.type_name());
}

Value negate(Meter& meter, const Value& value, bool minus) {
  if (value.is(Kind::kUndefined)) meter.fail("{}", value.what());
  if (!value.is_number()) meter.fail("a {} has no sign", value.type_name());
  if (value.is(Kind::kFloat)) return Value(minus ? -value.real() : value.real());
  if (minus && value.integer() == INT64_MIN) fail_overflow(meter);
  return Value(minus ? -value.integer() : value.integer());
}

bool relate(Meter& meter, Relation relation, const Value& a, const Value& b) {
  switch (relation) {
    case Relation::kEqual:
      return equals(meter, a, b);
    case Relation::kNotEqual:
      return !equals(meter, a, b);
    case Relation::kLess:
      return is_less(meter, a, b);
    case Relation::kGreater:
      return is_less(meter, b, a);
    case Relation::kLessEqual:
      return is_less(meter, a, b) || equals(meter, a, b);
    case Relation::kGreaterEqual:
      return is_less(meter, b, a) || equals(meter, a, b);
    case Relation::kIn:
      return contains(meter, b, a);
    default:
      return !contains(meter, b, a);
  }
}

bool contains(Meter& meter, const Value& container, const Value& item) {
  meter.spend(1);
  switch (container.kind()) {
    case Kind::kUndefined:
      return false;
    case Kind::kText:
      return is_substring(meter, container, item);
    case Kind::kMapping:
      need_hashable(meter, item);
      meter.spend(container.mapping().items.size() / 16);
      return container.mapping().find(item) != nullptr;
    case Kind::kSequence: {
      if (container.sequence()->kind == Sequence::Kind::kGenerator) {
        meter.fail("'in' a generator is not supported; turn it into a list first");
      }
      const Values& items = container.sequence()->items;
      return std::any_of(items.begin(), items.end(), [&](const Value& other) { return equals(meter, other, item); });
    }
    default:
      meter.fail("a {} cannot hold anything", container.type_name());
  }
}

Value item_of(Meter& meter, const Value& value, const Value& key) {
  meter.spend(1);
  if (value.is(Kind::kUndefined)) meter.fail("{}", value.what());
  if ((value.is(Kind::kText) || value.is(Kind::kSequence)) && key.is_integer()) return item_at(meter, value, key.integer());
  if (value.is(Kind::kMapping)) {
    meter.spend(value.mapping().items.size() / 16);
    if (const Value* found = value.mapping().find(key)) return *found;
  }
  const Text name = to_text(meter, key);
  return Value::undefined(fmt::format("the {} has no item '{}'", value.type_name(), printable(name.bytes(), 60)));
}

Value slice_of(Meter& meter, const Value& value, const Value* start, const Value* stop, const Value* step) {
  meter.spend(1);
  if (value.is(Kind::kUndefined)) meter.fail("{}", value.what());
  if (value.is(Kind::kText)) {
    const std::vector<size_t> at = code_points(meter, value.bytes());
    Text out;
    go(meter, indices(meter, static_cast<int64_t>(at.size()) - 1, start, stop, step),
       [&](size_t i) { out.append(value.text(), at[i], at[i + 1] - at[i]); });
    return Value::text(std::move(out));
  }
  if (!is_repeatable(value)) meter.fail("slices of a {} are not supported", value.type_name());
  const Values& items = value.sequence()->items;
  Values out;
  go(meter, indices(meter, static_cast<int64_t>(items.size()), start, stop, step), [&](size_t i) { out.push_back(items[i]); });
  return make_sequence(meter, value.sequence()->kind, std::move(out));
}

size_t length_of(Meter& meter, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kText:
      meter.spend_bytes(value.text().size());
      return count_code_points(value.bytes());
    case Kind::kMapping:
      return value.mapping().items.size();
    case Kind::kSequence:
      if (value.sequence()->kind != Sequence::Kind::kGenerator) return value.sequence()->items.size();
      [[fallthrough]];
    default:
      meter.fail("a {} has no length", value.type_name());
  }
}

}  // namespace bitnet::jinja
