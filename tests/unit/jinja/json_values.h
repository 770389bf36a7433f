// unit/jinja/json_values.h - JSON as values of a template.
#pragma once

#include <nlohmann/json.hpp>

#include "jinja/template.h"
#include "jinja/value.h"

namespace bitnet::jinja::test {

inline Value value_of(Meter& meter, const nlohmann::ordered_json& j) {
  if (j.is_null()) return Value();
  if (j.is_boolean()) return Value(j.get<bool>());
  if (j.is_number_integer()) return Value(j.get<int64_t>());
  if (j.is_number()) return Value(j.get<double>());
  if (j.is_string()) return Value::text(j.get<std::string>());
  if (j.is_array()) {
    Values items;
    for (const auto& item : j) items.push_back(value_of(meter, item));
    return make_list(meter, std::move(items));
  }
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [key, item] : j.items()) items.emplace_back(Value::text(key), value_of(meter, item));
  return make_mapping(meter, std::move(items));
}

// An object's members as variables.
inline std::string render(const std::string& source, const nlohmann::ordered_json& variables) {
  const auto make = [&](Meter& meter) {
    Template::Variables out;
    for (const auto& [name, value] : variables.items()) out.emplace_back(name, value_of(meter, value));
    return out;
  };
  return Template("test", source).render(make, 1700000000).bytes();
}

}  // namespace bitnet::jinja::test
