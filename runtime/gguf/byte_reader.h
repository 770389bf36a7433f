// gguf/byte_reader.h - the bounded reader through which every byte of a GGUF header passes.
//
// Errors  Error{kInvalidModel}: "file is cut: N of at least M bytes" when the bytes left do not hold what is asked for, or a
//         length over its limit. Both name what was being read and where.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "gguf/checked.h"
#include "gguf/format_error.h"
#include "gguf/limits.h"

namespace bitnet::gguf {

class ByteReader {
 public:
  ByteReader(std::string_view label, const uint8_t* data, uint64_t size) : label_(label), data_(data), size_(size) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return size_ - position_; }

  // What is being read, for messages: "key", 3, "general.name". The name's storage must outlive the next call.
  void enter(const char* kind, uint64_t index, std::string_view name = {}) {
    kind_ = kind;
    index_ = index;
    name_ = name;
  }

  const uint8_t* take(uint64_t bytes, const char* what) {
    if (bytes > left()) fail_cut(bytes, what);
    const uint8_t* at = data_ + position_;
    position_ += bytes;
    return at;
  }

  template <class T>
  T number(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what), sizeof(T));
    return value;
  }

  std::string_view string(uint64_t limit, const char* what) {
    const auto length = number<uint64_t>(what);
    if (length > limit) fail_here("{} has {} bytes, at most {} are allowed", what, length, limit);
    return {reinterpret_cast<const char*>(take(length, what)), length};
  }

  // Throws with the path, the place and the offset in front of and behind the message.
  template <class... Args>
  [[noreturn]] void fail_here(fmt::format_string<Args...> format, Args&&... args) const {
    fail_format(fault(), {std::string(name_), position_, {}, {}, {}}, "{}: {}{} (at offset {})", printable(label_), place(),
                fmt::format(format, std::forward<Args>(args)...), position_);
  }

  [[noreturn]] void fail_cut(uint64_t bytes, const char* what) const {
    uint64_t needed = 0;
    if (!checked_add(position_, bytes, needed)) fail_here("{} has an impossible length of {} bytes", what, bytes);
    fail_format(Fault::kTruncatedFile, {std::string(name_), position_, bytes, needed, size_},
                "{}: file is cut: {} of at least {} bytes: {}{} at offset {} needs {} bytes; fetch the file again",
                printable(label_), size_, needed, place(), what, position_, bytes);
  }

 private:
  // What is wrong when what is being read is.
  Fault fault() const {
    if (kind_ == nullptr) return Fault::kInvalidHeader;
    return kind_[0] == 'k' ? Fault::kInvalidMetadata : Fault::kDimensionMismatch;
  }
  std::string place() const {
    if (kind_ == nullptr) return {};
    if (name_.empty()) return fmt::format("{} {}: ", kind_, index_);
    return fmt::format("{} {} '{}': ", kind_, index_, printable(name_));
  }

  std::string_view label_;
  const uint8_t* data_;
  uint64_t size_;
  uint64_t position_ = 0;
  const char* kind_ = nullptr;
  uint64_t index_ = 0;
  std::string_view name_;
};

}  // namespace bitnet::gguf
