// engine/memory.cpp - blocks of memory and their end.
#include "memory.h"

#include "../gpu/errors.h"

namespace bn_cuda {

DeviceBlock::DeviceBlock(Gpu& gpu, uint64_t bytes) : gpu_(&gpu), bytes_(bytes) {
  check(gpu.allocate(&data_, bytes), "allocating device memory");
}

DeviceBlock& DeviceBlock::operator=(DeviceBlock&& other) noexcept {
  std::swap(gpu_, other.gpu_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void DeviceBlock::release() {
  if (data_ == nullptr || is_lost()) return;
  const int code = gpu_->release(data_);
  if (trouble_of(code) == Trouble::kLost) set_lost(code);
}

HostBlock::HostBlock(Gpu& gpu, uint64_t bytes) : gpu_(&gpu), bytes_(bytes) {
  check(gpu.allocate_host(&data_, &view_, bytes), "allocating pinned memory");
}

HostBlock& HostBlock::operator=(HostBlock&& other) noexcept {
  std::swap(gpu_, other.gpu_);
  std::swap(data_, other.data_);
  std::swap(view_, other.view_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void HostBlock::release() {
  if (data_ == nullptr || is_lost()) return;
  const int code = gpu_->release_host(data_);
  if (trouble_of(code) == Trouble::kLost) set_lost(code);
}

}  // namespace bn_cuda
