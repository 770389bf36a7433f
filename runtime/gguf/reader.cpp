// gguf/reader.cpp - opens a file and answers typed lookups.
#include "gguf/reader.h"

#include <cstring>

#include "base/error.h"
#include "gguf/parse.h"

namespace bitnet::gguf {
namespace {

template <class T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// An integer of any stored type: its 64 bits and whether they are to be read as negative.
struct AnyInteger {
  uint64_t bits;
  bool negative;
};

AnyInteger from_signed(int64_t value) { return {static_cast<uint64_t>(value), value < 0}; }

std::optional<AnyInteger> load_integer(ValueType type, const uint8_t* at) {
  switch (type) {
    case ValueType::kU8:
      return AnyInteger{load<uint8_t>(at), false};
    case ValueType::kU16:
      return AnyInteger{load<uint16_t>(at), false};
    case ValueType::kU32:
      return AnyInteger{load<uint32_t>(at), false};
    case ValueType::kU64:
      return AnyInteger{load<uint64_t>(at), false};
    case ValueType::kI8:
      return from_signed(load<int8_t>(at));
    case ValueType::kI16:
      return from_signed(load<int16_t>(at));
    case ValueType::kI32:
      return from_signed(load<int32_t>(at));
    case ValueType::kI64:
      return from_signed(load<int64_t>(at));
    default:
      return std::nullopt;
  }
}

std::string describe_type(const KeyValue& entry) {
  if (entry.type != ValueType::kArray) return value_type_name(entry.type);
  return fmt::format("array of {}", value_type_name(entry.element_type));
}

// Converts values of one entry; every mismatch becomes one kind of message.
class ValueReader {
 public:
  ValueReader(const std::string& path, const KeyValue& entry, const char* expected, bool array)
      : path_(path), entry_(entry), expected_(expected) {
    if ((entry.type == ValueType::kArray) != array) mismatch();
  }

  [[noreturn]] void mismatch() const {
    fail(ErrorKind::kInvalidModel, "{}: key '{}': expected {}, found {}", printable(path_), printable(entry_.key), expected_,
         describe_type(entry_));
  }

  const uint8_t* element(uint64_t i) const { return entry_.data + i * value_type_bytes(entry_.element_type); }

  uint64_t as_uint(uint64_t i) const {
    const auto value = load_integer(entry_.element_type, element(i));
    if (!value) mismatch();
    if (value->negative) {
      fail(ErrorKind::kInvalidModel, "{}: key '{}': expected {}, found {}", printable(path_), printable(entry_.key), expected_,
           static_cast<int64_t>(value->bits));
    }
    return value->bits;
  }

  int64_t as_int(uint64_t i) const {
    const auto value = load_integer(entry_.element_type, element(i));
    if (!value) mismatch();
    if (!value->negative && value->bits > INT64_MAX) {
      fail(ErrorKind::kInvalidModel, "{}: key '{}': expected {}, found {}", printable(path_), printable(entry_.key), expected_,
           value->bits);
    }
    return static_cast<int64_t>(value->bits);
  }

  double as_float(uint64_t i) const {
    if (entry_.element_type == ValueType::kF32) return load<float>(element(i));
    if (entry_.element_type == ValueType::kF64) return load<double>(element(i));
    mismatch();
  }

  bool as_bool(uint64_t i) const {
    if (entry_.element_type != ValueType::kBool) mismatch();
    return *element(i) != 0;
  }

 private:
  const std::string& path_;
  const KeyValue& entry_;
  const char* expected_;
};

// All elements of an array, converted by one of the functions above.
template <class T, class Convert>
std::optional<std::vector<T>> find_array(const File& file, std::string_view key, const char* expected, Convert convert) {
  const KeyValue* entry = file.find(key);
  if (entry == nullptr) return std::nullopt;
  const ValueReader reader(file.path(), *entry, expected, true);
  std::vector<T> values(entry->count);
  for (uint64_t i = 0; i < entry->count; ++i) values[i] = static_cast<T>((reader.*convert)(i));
  return values;
}

template <class T, class Convert>
std::optional<T> find_value(const File& file, std::string_view key, const char* expected, Convert convert) {
  const KeyValue* entry = file.find(key);
  if (entry == nullptr) return std::nullopt;
  return (ValueReader(file.path(), *entry, expected, false).*convert)(0);
}

}  // namespace

File::File(const std::string& path, OpenOptions options) : path_(path) {
  maps_.push_back(std::make_unique<MappedFile>(path));
  size_ = maps_[0]->size();
  contents_ = parse(path_, {maps_[0]->data(), static_cast<size_t>(size_)}, options);
}

File::File(const std::string& label, std::span<const uint8_t> bytes, OpenOptions options)
    : path_(label), size_(bytes.size()), contents_(parse(path_, bytes, options)) {}

File::File(std::string path, Contents contents, std::vector<std::unique_ptr<const MappedFile>> maps,
           std::shared_ptr<const void> owned)
    : path_(std::move(path)), maps_(std::move(maps)), owned_(std::move(owned)), contents_(std::move(contents)) {
  for (const auto& map : maps_) size_ += map->size();
}

const MappedFile* File::map_of(const void* at) const {
  const auto* byte = static_cast<const uint8_t*>(at);
  for (const auto& map : maps_) {
    if (byte >= map->data() && byte < map->data() + map->size()) return map.get();
  }
  return nullptr;
}

const KeyValue* File::find(std::string_view key) const {
  const auto found = contents_.key_index.find(key);
  return found == contents_.key_index.end() ? nullptr : &contents_.keys[found->second];
}

const TensorInfo* File::find_tensor(std::string_view name) const {
  const auto found = contents_.tensor_index.find(name);
  return found == contents_.tensor_index.end() ? nullptr : &contents_.tensors[found->second];
}

std::optional<uint64_t> File::find_uint(std::string_view key) const {
  return find_value<uint64_t>(*this, key, "an unsigned integer", &ValueReader::as_uint);
}

std::optional<int64_t> File::find_int(std::string_view key) const {
  return find_value<int64_t>(*this, key, "an integer", &ValueReader::as_int);
}

std::optional<double> File::find_float(std::string_view key) const {
  return find_value<double>(*this, key, "a number in f32 or f64", &ValueReader::as_float);
}

std::optional<bool> File::find_bool(std::string_view key) const {
  return find_value<bool>(*this, key, "a bool", &ValueReader::as_bool);
}

std::optional<std::string_view> File::find_string(std::string_view key) const {
  const KeyValue* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  const ValueReader reader(path_, *entry, "a string", false);
  if (entry->type != ValueType::kString) reader.mismatch();
  return std::string_view(reinterpret_cast<const char*>(entry->data), entry->bytes);
}

std::optional<std::vector<std::string_view>> File::find_string_array(std::string_view key) const {
  const KeyValue* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  const ValueReader reader(path_, *entry, "an array of strings", true);
  // Converters write an empty list with whatever element type they find.
  if (entry->element_type != ValueType::kString && entry->count != 0) reader.mismatch();
  std::vector<std::string_view> values(entry->count);
  const uint8_t* at = entry->data;
  for (std::string_view& value : values) {
    const auto length = load<uint64_t>(at);  // all lengths were checked when the file was parsed
    value = {reinterpret_cast<const char*>(at + 8), length};
    at += 8 + length;
  }
  return values;
}

std::optional<std::vector<float>> File::find_float_array(std::string_view key) const {
  return find_array<float>(*this, key, "an array of f32 or f64", &ValueReader::as_float);
}

std::optional<std::vector<int64_t>> File::find_int_array(std::string_view key) const {
  return find_array<int64_t>(*this, key, "an array of integers", &ValueReader::as_int);
}

std::optional<std::vector<uint64_t>> File::find_uint_array(std::string_view key) const {
  return find_array<uint64_t>(*this, key, "an array of unsigned integers", &ValueReader::as_uint);
}

std::optional<std::vector<bool>> File::find_bool_array(std::string_view key) const {
  return find_array<bool>(*this, key, "an array of bools", &ValueReader::as_bool);
}

}  // namespace bitnet::gguf
