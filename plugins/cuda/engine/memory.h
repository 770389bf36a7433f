// engine/memory.h - who owns memory of the device and pinned memory, and how one block is cut into arrays.
//
// Blocks are given back when their owner goes; of a lost device nothing is touched, its memory ends with the process.
// Errors  DeviceError. Threads: those of Gpu.
#pragma once

#include <cstdint>
#include <utility>

#include "../gpu/gpu.h"

namespace bn_cuda {

class DeviceBlock {
 public:
  DeviceBlock() = default;
  DeviceBlock(Gpu& gpu, uint64_t bytes);
  DeviceBlock(DeviceBlock&& other) noexcept { *this = std::move(other); }
  DeviceBlock& operator=(DeviceBlock&& other) noexcept;
  ~DeviceBlock() { release(); }

  uint8_t* data() const { return static_cast<uint8_t*>(data_); }
  uint64_t bytes() const { return bytes_; }

 private:
  void release();
  Gpu* gpu_ = nullptr;
  void* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// Pinned memory of the host that kernels see, too.
class HostBlock {
 public:
  HostBlock() = default;
  HostBlock(Gpu& gpu, uint64_t bytes);
  HostBlock(HostBlock&& other) noexcept { *this = std::move(other); }
  HostBlock& operator=(HostBlock&& other) noexcept;
  ~HostBlock() { release(); }

  uint8_t* data() const { return static_cast<uint8_t*>(data_); }
  uint8_t* device_view() const { return static_cast<uint8_t*>(view_); }
  uint64_t bytes() const { return bytes_; }

 private:
  void release();
  Gpu* gpu_ = nullptr;
  void *data_ = nullptr, *view_ = nullptr;
  uint64_t bytes_ = 0;
};

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
