// tokenizer/json_fields.h - fields of a tokenizer's JSON files, with errors that name them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace bitnet {

// An object of a JSON file and its name there, for messages: "model", "added_tokens[3]". Refers to the document.
// A null counts as absent everywhere.
class JsonFields {
 public:
  // Error{kInvalidModel} when value is no object.
  JsonFields(const nlohmann::json& value, const std::string& label, std::string name);

  const nlohmann::json* find(const char* key) const;  // null pointer when absent
  // Error{kInvalidModel} when absent or of another type.
  const nlohmann::json& array(const char* key) const;
  const nlohmann::json& object(const char* key) const;
  std::string_view text(const char* key) const;
  int64_t integer(const char* key) const;
  // Of another type: Error{kInvalidModel}.
  bool flag(const char* key, bool absent) const;
  std::string_view text(const char* key, std::string_view absent) const;

  // The field's name for messages.
  std::string name_of(const char* key) const;
  const std::string& name() const { return name_; }

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(ErrorKind::kInvalidModel,
                printable(label_, 4096) + ": " + name_ + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  [[noreturn]] void wrong(const char* key, const char* expected) const;

  const nlohmann::json& value_;
  const std::string& label_;
  std::string name_;
};

// A whole number that fits 64 signed bits; empty for anything else.
std::optional<int64_t> whole_number(const nlohmann::json& value);

}  // namespace bitnet
