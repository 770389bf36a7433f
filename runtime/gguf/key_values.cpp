// gguf/key_values.cpp - appends names and values to memory that does not move.
#include "gguf/key_values.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace bitnet::gguf {

void KeyValues::add_string(std::string_view key, std::string_view value) {
  add_raw(key, ValueType::kString, ValueType::kString, 1, value.data(), value.size());
}

void KeyValues::add_string_array(std::string_view key, std::span<const std::string_view> values) {
  std::string bytes;  // u64 length and text of each
  for (const std::string_view value : values) {
    const uint64_t length = value.size();
    bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
    bytes.append(value);
  }
  add_raw(key, ValueType::kArray, ValueType::kString, values.size(), bytes.data(), bytes.size());
}

void KeyValues::add_raw(std::string_view key, ValueType type, ValueType element_type, uint64_t count, const void* data,
                        uint64_t bytes) {
  if (std::any_of(entries_.begin(), entries_.end(), [&](const KeyValue& e) { return e.key == key; })) {
    fail(ErrorKind::kFailure, "key {} added twice", printable(key));
  }
  const std::string& name = memory_.emplace_back(key);
  const std::string& value = memory_.emplace_back(static_cast<const char*>(data), bytes);
  entries_.push_back({name, type, element_type, count, reinterpret_cast<const uint8_t*>(value.data()), bytes, 0});
}

}  // namespace bitnet::gguf
