// unit/gguf/counted_allocation.cpp - replaces the global operator new of the test program by one that counts.
#include "unit/gguf/counted_allocation.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<uint64_t> allocated{0};
}

void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  allocated += bytes;
  return std::malloc(bytes != 0 ? bytes : 1);
}
void* operator new(size_t bytes) {
  if (void* memory = operator new(bytes, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace bitnet::gguf::test {

uint64_t allocated_bytes() { return allocated; }

}  // namespace bitnet::gguf::test
