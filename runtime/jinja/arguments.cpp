// jinja/arguments.cpp - by place first, then by name.
#include "jinja/arguments.h"

namespace bitnet::jinja {

using Kind = Value::Kind;

const Value* ArgumentReader::next(std::string_view name) {
  const Value* by_place = place_ < arguments_.positional.size() ? &arguments_.positional[place_] : nullptr;
  ++place_;
  for (const auto& [given, value] : arguments_.named) {
    if (given != name) continue;
    if (by_place != nullptr) meter_.fail("{}: the argument '{}' is given twice", function_, name);
    --named_left_;
    return &value;
  }
  return by_place;
}

const Value& ArgumentReader::need(std::string_view name) {
  const Value* value = next(name);
  if (value == nullptr) meter_.fail("{}: the argument '{}' is missing", function_, name);
  return *value;
}

int64_t ArgumentReader::integer(std::string_view name, int64_t otherwise) {
  const Value* value = next(name);
  if (value == nullptr) return otherwise;
  if (!value->is_integer()) meter_.fail("{}: expected a number for '{}', found a {}", function_, name, value->type_name());
  return value->integer();
}

bool ArgumentReader::boolean(std::string_view name, bool otherwise) {
  const Value* value = next(name);
  return value == nullptr ? otherwise : is_true(*value);
}

const Text* ArgumentReader::text(std::string_view name) {
  const Value* value = next(name);
  if (value == nullptr || value->is(Kind::kNone)) return nullptr;
  if (!value->is(Kind::kText)) meter_.fail("{}: expected a text for '{}', found a {}", function_, name, value->type_name());
  return &value->text();
}

void ArgumentReader::done() const {
  if (place_ < arguments_.positional.size()) {
    meter_.fail("{}: {} arguments at most, found {}", function_, place_, arguments_.positional.size());
  }
  if (named_left_ != 0) {
    meter_.fail("{}: an argument '{}' is not known here", function_, arguments_.named.back().first);
  }
}

}  // namespace bitnet::jinja
