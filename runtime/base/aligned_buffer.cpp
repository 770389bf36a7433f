// base/aligned_buffer.cpp - 64-byte alignment; from 2 MiB on, 2 MiB alignment and a request for huge pages.
#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>

#include "base/error.h"

namespace bitnet {

AlignedBuffer::AlignedBuffer(uint64_t bytes) : size_(bytes) {
  constexpr uint64_t kHuge = 2u << 20;
  const uint64_t align = bytes >= kHuge ? kHuge : 64;
  if (bytes > UINT64_MAX - align) fail(ErrorKind::kNoMemory, "cannot allocate {} bytes", bytes);
  data_ = std::aligned_alloc(align, (bytes + align - 1) / align * align + (bytes == 0 ? align : 0));
  if (data_ == nullptr) fail(ErrorKind::kNoMemory, "cannot allocate {} bytes", bytes);
  if (bytes >= kHuge) ::madvise(data_, bytes, MADV_HUGEPAGE);
}

AlignedBuffer::~AlignedBuffer() { std::free(data_); }

}  // namespace bitnet
