// gguf/parse.cpp - reads header, metadata keys and tensor descriptions, each through the bounded reader.
#include "gguf/parse.h"

#include <bit>
#include <utility>

#include "gguf/byte_reader.h"

namespace bitnet::gguf {
namespace {

constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;             // length, one character, type, the smallest value
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // length, one character, count, one extent, type, offset

// RFC 3629, without NUL: names are printed and compared as text.
bool valid_name(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    const auto lead = static_cast<uint8_t>(s[i]);
    if (lead == 0) return false;
    const size_t more = lead < 0x80 ? 0 : lead < 0xC2 ? 4 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF5 ? 3 : 4;
    if (more == 4 || s.size() - i <= more) return false;
    uint32_t code = more == 0 ? lead : lead & (0x3Fu >> more);
    for (size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<uint8_t>(s[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 0x3F);
    }
    if (more == 2 && (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF))) return false;
    if (more == 3 && (code < 0x10000 || code > 0x10FFFF)) return false;
    i += more + 1;
  }
  return true;
}

class Parser {
 public:
  Parser(std::string_view label, std::span<const uint8_t> bytes)
      : label_(label), bytes_(bytes), in_(label, bytes.data(), bytes.size()) {}

  Contents run() {
    read_header();
    for (uint64_t i = 0; i < n_keys_; ++i) read_key(i);
    read_alignment();
    for (uint64_t i = 0; i < n_tensors_; ++i) read_tensor(i);
    contents_.header_bytes = in_.position();
    return std::move(contents_);
  }

 private:
  void read_header() {
    const bool magic = bytes_.size() >= 4 && std::memcmp(bytes_.data(), "GGUF", 4) == 0;
    if (bytes_.size() < kMinFileBytes) {
      fail_format(Fault::kInvalidHeader, {{}, 0, {}, kMinFileBytes, bytes_.size()},
                  "{}: too short for a GGUF file: {} bytes, at least {} expected{}{}", printable(label_), bytes_.size(),
                  kMinFileBytes, magic || bytes_.empty() ? "" : "; ", magic || bytes_.empty() ? "" : describe_foreign(bytes_));
    }
    if (!magic) fail_format(Fault::kInvalidHeader, {{}, 0, {}, {}, {}}, "{}: {}", printable(label_), describe_foreign(bytes_));
    in_.take(4, "magic");
    contents_.version = in_.number<uint32_t>("version");
    if (contents_.version != 0 && (contents_.version & 0xFFFF) == 0) {
      in_.fail_here("version {:#010x}: this is a big-endian file, only little-endian files are supported", contents_.version);
    }
    if (contents_.version != 2 && contents_.version != 3) {
      in_.fail_here("GGUF version {} is not supported, expected 2 or 3", contents_.version);
    }
    n_tensors_ = read_count("tensor", kMaxTensors);
    n_keys_ = read_count("key", kMaxKeys);
    check_count("key", n_keys_, kMinKeyBytes);
    check_count("tensor", n_tensors_, kMinTensorBytes);
  }

  uint64_t read_count(const char* what, uint64_t limit) {
    const auto count = in_.number<int64_t>("count");
    if (count < 0 || static_cast<uint64_t>(count) > limit) in_.fail_here("{} count {}, expected 0 to {}", what, count, limit);
    return static_cast<uint64_t>(count);
  }

  void check_count(const char* what, uint64_t count, uint64_t min_bytes) {
    if (count * min_bytes > in_.left()) {
      fail_format(Fault::kTruncatedFile, {{}, in_.position(), {}, in_.position() + count * min_bytes, bytes_.size()},
                  "{}: file is cut: {} of at least {} bytes, which {} {}s take; fetch the file again", printable(label_),
                  bytes_.size(), in_.position() + count * min_bytes, count, what);
    }
  }

  void read_key(uint64_t index) {
    in_.enter("key", index);
    KeyValue entry{};
    entry.key = in_.string(kMaxKeyBytes, "the key");
    if (entry.key.empty()) in_.fail_here("the key is empty");
    if (!valid_name(entry.key)) in_.fail_here("the key '{}' holds NUL or invalid UTF-8", printable(entry.key));
    in_.enter("key", index, entry.key);
    if (!contents_.key_index.emplace(entry.key, index).second) in_.fail_here("the key occurs twice");
    entry.type = entry.element_type = ValueType{in_.number<uint32_t>("the value type")};
    entry.count = 1;
    if (entry.type == ValueType::kArray) {
      read_array(entry);
    } else {
      read_elements(entry);
    }
    contents_.keys.push_back(entry);
  }

  void read_array(KeyValue& entry) {
    entry.element_type = ValueType{in_.number<uint32_t>("the element type")};
    if (entry.element_type == ValueType::kArray) in_.fail_here("an array of arrays is not supported");
    entry.count = in_.number<uint64_t>("the element count");
    if (entry.count > kMaxArrayElements - n_elements_) {
      in_.fail_here("an array of {} elements; all arrays of a file together may have {}", entry.count, kMaxArrayElements);
    }
    n_elements_ += entry.count;
    read_elements(entry);
  }

  // The value, or the elements of the array; lengths of strings are walked, numbers are not touched.
  void read_elements(KeyValue& entry) {
    const bool is_array = entry.type == ValueType::kArray;
    entry.offset = in_.position();
    if (entry.element_type == ValueType::kString) {
      if (is_array) {
        if (entry.count > in_.left() / 8) in_.fail_cut(entry.count * 8, "the array of strings");
        for (uint64_t i = 0; i < entry.count; ++i) in_.string(kMaxStringBytes, "an array element");
        entry.bytes = in_.position() - entry.offset;
      } else {
        entry.bytes = in_.string(kMaxStringBytes, "the string").size();
        entry.offset += 8;
      }
    } else {
      const uint32_t element_bytes = value_type_bytes(entry.element_type);
      if (element_bytes == 0) {
        in_.fail_here("value type {} is unknown, expected 0 to 12", static_cast<uint32_t>(entry.element_type));
      }
      entry.bytes = entry.count * element_bytes;
      in_.take(entry.bytes, is_array ? "the array" : "the value");
    }
    entry.data = bytes_.data() + entry.offset;
    if (entry.element_type == ValueType::kBool) {
      for (uint64_t i = 0; i < entry.count; ++i) {
        if (entry.data[i] > 1) in_.fail_here("a bool holds {}, expected 0 or 1", entry.data[i]);
      }
    }
  }

  void read_alignment() {
    contents_.alignment = kDefaultAlignment;
    const auto found = contents_.key_index.find("general.alignment");
    if (found == contents_.key_index.end()) return;
    const KeyValue& entry = contents_.keys[found->second];
    if (entry.type != ValueType::kU32) {
      fail_format(Fault::kInvalidMetadata, {"general.alignment", entry.offset, {}, {}, {}},
                  "{}: key 'general.alignment': expected u32, found {}", printable(label_), value_type_name(entry.type));
    }
    std::memcpy(&contents_.alignment, entry.data, sizeof(uint32_t));
    if (!std::has_single_bit(contents_.alignment) || contents_.alignment < kMinAlignment) {
      fail_format(Fault::kInvalidMetadata, {"general.alignment", entry.offset, {}, {}, {}},
                  "{}: key 'general.alignment': {} is no power of two of at least {}", printable(label_), contents_.alignment,
                  kMinAlignment);
    }
  }

  void read_tensor(uint64_t index) {
    in_.enter("tensor", index);
    const std::string_view name = in_.string(kMaxTensorNameBytes, "the tensor name");
    if (name.empty()) in_.fail_here("the tensor name is empty");
    if (!valid_name(name)) in_.fail_here("the tensor name '{}' holds NUL or invalid UTF-8", printable(name));
    in_.enter("tensor", index, name);
    if (!contents_.tensor_index.emplace(name, index).second) in_.fail_here("the tensor name occurs twice");
    TensorInfo tensor;
    tensor.name = name;
    tensor.n_dims = in_.number<uint32_t>("the dimension count");
    if (tensor.n_dims == 0 || tensor.n_dims > kMaxDimensions) {
      in_.fail_here("{} dimensions, expected 1 to {}", tensor.n_dims, kMaxDimensions);
    }
    for (uint32_t d = 0; d < tensor.n_dims; ++d) {
      const auto extent = in_.number<int64_t>("a dimension");
      if (extent <= 0) in_.fail_here("dimension {} is {}, expected at least 1", d, extent);
      tensor.extents[d] = static_cast<uint64_t>(extent);
    }
    if (!element_count(tensor.extents)) in_.fail_here("the product of the dimensions does not fit 63 bits");
    tensor.type_id = in_.number<uint32_t>("the type");
    tensor.offset = in_.number<uint64_t>("the data offset");
    contents_.tensors.push_back(std::move(tensor));
  }

  std::string_view label_;
  std::span<const uint8_t> bytes_;
  ByteReader in_;
  Contents contents_;
  uint64_t n_tensors_ = 0;
  uint64_t n_keys_ = 0;
  uint64_t n_elements_ = 0;
};

}  // namespace

Contents parse_header(std::string_view label, std::span<const uint8_t> bytes) { return Parser(label, bytes).run(); }

Contents parse(std::string_view label, std::span<const uint8_t> bytes, OpenOptions options) {
  Contents contents = parse_header(label, bytes);
  place_tensors(label, bytes, options, contents);
  return contents;
}

}  // namespace bitnet::gguf
