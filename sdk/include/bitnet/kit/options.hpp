// bitnet/kit/options.hpp - reads one member of options_json, for plugins that want no JSON library for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bn::kit {

enum class Option { kAbsent, kString, kOther, kNotAnObject };

namespace detail {

inline const char* skip_space(const char* p) {
  while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') ++p;
  return p;
}
// Past the closing quote of the string whose opening quote is at p; nullptr where it does not end.
inline const char* skip_string(const char* p) {
  for (++p; *p != '\0'; ++p) {
    if (*p == '"') return p + 1;
    if (*p == '\\' && *++p == '\0') return nullptr;
  }
  return nullptr;
}
// To the comma or bracket behind the value at p; nullptr where there is none.
inline const char* skip_value(const char* p) {
  for (int depth = 0; *p != '\0';) {
    if (*p == '"') {
      p = skip_string(p);
      if (p == nullptr) return nullptr;
      continue;
    }
    if (depth == 0 && (*p == ',' || *p == '}')) return p;
    if (*p == '{' || *p == '[') ++depth;
    if (*p == '}' || *p == ']') --depth;
    ++p;
  }
  return nullptr;
}

}  // namespace detail

// Member `key` of the object `json` (null: no members), the first of that name. A string is copied to value, cut at size - 1
// bytes, escapes as they stand. Names with escapes are not recognised. This finds members; it does not prove that all is JSON.
inline Option read_option(const char* json, const char* key, char* value, size_t size) {
  if (json == nullptr) return Option::kAbsent;
  const size_t length = std::strlen(key);
  const char* p = detail::skip_space(json);
  if (*p++ != '{') return Option::kNotAnObject;
  for (p = detail::skip_space(p); *p != '}'; p = detail::skip_space(p)) {
    if (*p == ',') p = detail::skip_space(p + 1);
    const char* const name = p;
    p = *p == '"' ? detail::skip_string(p) : nullptr;
    if (p == nullptr) return Option::kNotAnObject;
    const bool found = static_cast<size_t>(p - name) == length + 2 && std::memcmp(name + 1, key, length) == 0;
    p = detail::skip_space(p);
    if (*p++ != ':') return Option::kNotAnObject;
    p = detail::skip_space(p);
    const char* const end = detail::skip_value(p);
    if (end == nullptr) return Option::kNotAnObject;
    if (found) {
      if (*p != '"') return Option::kOther;
      const size_t n = static_cast<size_t>(detail::skip_string(p) - p) - 2, copied = n < size ? n : size - 1;
      std::memcpy(value, p + 1, copied);
      value[copied] = '\0';
      return Option::kString;
    }
    p = end;
  }
  return Option::kAbsent;
}

}  // namespace bn::kit
