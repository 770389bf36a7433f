// engine/memory.h - who owns memory of the device and pinned memory.
//
// Blocks are given back when their owner goes; of a lost device nothing is touched, its memory ends with the process.
// Errors  DeviceError. Threads: those of Gpu.
#pragma once

#include <cstdint>
#include <utility>

#include "../device/carver.h"
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

}  // namespace bn_cuda
