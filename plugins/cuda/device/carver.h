// device/carver.h - how one block of memory is cut into arrays, by the host.
#pragma once

#include <cstdint>

namespace bn_cuda {

// Cuts a block into arrays that start at multiples of 256 bytes. From null it only counts: the same code that places arrays
// says how much they need.
class Carver {
 public:
  explicit Carver(uint8_t* base = nullptr) : base_(reinterpret_cast<uintptr_t>(base)) {}

  template <class T>
  T* take(uint64_t n) {
    T* const p = reinterpret_cast<T*>(base_ + used_);
    used_ += (n * sizeof(T) + 255) / 256 * 256;
    return p;
  }
  uint64_t used() const { return used_; }

 private:
  uintptr_t base_;
  uint64_t used_ = 0;
};

}  // namespace bn_cuda
