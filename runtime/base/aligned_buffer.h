// base/aligned_buffer.h - memory for weights and activations: aligned to a cache line, huge pages where they help.
//
// Errors  Error{kNoMemory} naming the bytes. Contents are undefined. Owner: the object; movable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace bitnet {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(uint64_t bytes);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }

  void* data() const { return data_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  uint64_t size() const { return size_; }

 private:
  void swap(AlignedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  void* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace bitnet
