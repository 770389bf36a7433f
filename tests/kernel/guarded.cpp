// kernel/guarded.cpp - see guarded.h.
#include "kernel/guarded.h"

#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>

namespace bitnet::kernel_test {
namespace {

constexpr uint8_t kSlack = 0xC3;

size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

void protect(void* at, size_t bytes, int protection) {
  if (mprotect(at, bytes, protection) != 0) throw std::runtime_error("mprotect failed");
}

}  // namespace

GuardedBytes::GuardedBytes(size_t bytes, Edge edge, size_t align) : size_(bytes) {
  const size_t page = page_bytes();
  const size_t footprint = (bytes + align - 1) / align * align;
  mapped_ = (footprint + page - 1) / page * page;
  if (mapped_ == 0) mapped_ = page;
  void* at = mmap(nullptr, mapped_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::runtime_error("mmap failed");
  mapping_ = static_cast<uint8_t*>(at);
  protect(mapping_ + page, mapped_, PROT_READ | PROT_WRITE);
  std::memset(mapping_ + page, kSlack, mapped_);
  data_ = mapping_ + page + (edge == Edge::kEnd ? mapped_ - footprint : 0);
}

GuardedBytes::~GuardedBytes() { munmap(mapping_, mapped_ + 2 * page_bytes()); }

void GuardedBytes::freeze() { protect(mapping_ + page_bytes(), mapped_, PROT_READ); }
void GuardedBytes::make_absent() { protect(mapping_ + page_bytes(), mapped_, PROT_NONE); }

bool GuardedBytes::slack_intact() const {
  const uint8_t* begin = mapping_ + page_bytes();
  const uint8_t* end = begin + mapped_;
  for (const uint8_t* p = begin; p < data_; ++p) {
    if (*p != kSlack) return false;
  }
  for (const uint8_t* p = data_ + size_; p < end; ++p) {
    if (*p != kSlack) return false;
  }
  return true;
}

}  // namespace bitnet::kernel_test
