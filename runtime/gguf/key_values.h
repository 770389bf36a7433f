// gguf/key_values.h - metadata keys made in memory, in the bytes a GGUF file would hold: what another container has to say.
//
// Memory  the KeyValues point into the object, which must outlive them; moving it leaves them valid.
// Errors  none but Error{kFailure} for a key added twice.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "gguf/reader.h"
#include "gguf/writer.h"

namespace bitnet::gguf {

class KeyValues {
 public:
  template <class T>
  void add(std::string_view key, std::type_identity_t<T> value) {
    add_raw(key, value_type_of<T>(), value_type_of<T>(), 1, &value, sizeof value);
  }
  template <class T>
  void add_array(std::string_view key, std::type_identity_t<std::span<const T>> values) {
    add_raw(key, ValueType::kArray, value_type_of<T>(), values.size(), values.data(), values.size_bytes());
  }
  void add_string(std::string_view key, std::string_view value);
  void add_string_array(std::string_view key, std::span<const std::string_view> values);

  const std::vector<KeyValue>& entries() const { return entries_; }

 private:
  void add_raw(std::string_view key, ValueType type, ValueType element_type, uint64_t count, const void* data, uint64_t bytes);

  std::deque<std::string> memory_;  // names and values
  std::vector<KeyValue> entries_;
};

}  // namespace bitnet::gguf
