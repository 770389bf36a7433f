// tokenizer/json_fields.cpp - typed access to JSON.
#include "tokenizer/json_fields.h"

#include <limits>

namespace bitnet {
namespace {

using nlohmann::json;

std::string found(const json* value) {
  if (value == nullptr) return "nothing";
  if (value->is_string()) return "the text \"" + printable(value->get_ref<const std::string&>()) + "\"";
  return value->type_name();
}

}  // namespace

JsonFields::JsonFields(const json& value, const std::string& label, std::string name)
    : value_(value), label_(label), name_(std::move(name)) {
  if (!value.is_object()) refuse("expected an object, found {}", found(&value));
}

const json* JsonFields::find(const char* key) const {
  const auto at = value_.find(key);
  return at == value_.end() || at->is_null() ? nullptr : &*at;
}

std::string JsonFields::name_of(const char* key) const { return name_.empty() || name_ == "file" ? key : name_ + "." + key; }

void JsonFields::wrong(const char* key, const char* expected) const {
  refuse("\"{}\" is to be {}, found {}", key, expected, found(find(key)));
}

const json& JsonFields::array(const char* key) const {
  const json* value = find(key);
  if (value == nullptr || !value->is_array()) wrong(key, "an array");
  return *value;
}

const json& JsonFields::object(const char* key) const {
  const json* value = find(key);
  if (value == nullptr || !value->is_object()) wrong(key, "an object");
  return *value;
}

std::string_view JsonFields::text(const char* key) const {
  const json* value = find(key);
  if (value == nullptr || !value->is_string()) wrong(key, "a text");
  return value->get_ref<const std::string&>();
}

int64_t JsonFields::integer(const char* key) const {
  const json* value = find(key);
  const auto number = value == nullptr ? std::nullopt : whole_number(*value);
  if (!number) wrong(key, "a whole number");
  return *number;
}

bool JsonFields::flag(const char* key, bool absent) const {
  const json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) wrong(key, "true or false");
  return value->get<bool>();
}

std::string_view JsonFields::text(const char* key, std::string_view absent) const {
  return find(key) == nullptr ? absent : text(key);
}

std::optional<int64_t> whole_number(const json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  return std::nullopt;
}

}  // namespace bitnet
