// conformance/guarded.cpp - see guarded.h.
#include "guarded.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>

#include "check.h"

namespace bitnet::conformance {
namespace {

constexpr uint8_t kSlack = 0xC3;

size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

void protect(void* at, size_t bytes, int protection) {
  if (mprotect(at, bytes, protection) != 0)
    fail("mprotect failed: too many mappings, or no memory", "the tool needs some memory");
}

// The living buffers. A fixed array, because a signal handler reads it.
struct Region {
  const char* name;
  const uint8_t *begin, *end;  // with both unmapped pages
  const uint8_t* data;
  size_t size;
};
Region regions[4096];
std::mutex regions_lock;

void add_region(const Region& region) {
  const std::lock_guard lock(regions_lock);
  for (Region& slot : regions) {
    if (slot.name != nullptr) continue;
    slot = region;
    return;
  }
}
void remove_region(const uint8_t* begin) {
  const std::lock_guard lock(regions_lock);
  for (Region& slot : regions) {
    if (slot.begin == begin) slot = Region{};
  }
}

}  // namespace

const char* name_of(Edge edge) {
  return edge == Edge::kEnd ? "unmapped page after each buffer" : "unmapped page before each buffer";
}

GuardedBytes::GuardedBytes(const char* name, size_t bytes, Edge edge, size_t align) : name_(name), size_(bytes) {
  const size_t page = page_bytes();
  const size_t footprint = (bytes + align - 1) / align * align;
  mapped_ = (footprint + page - 1) / page * page;
  if (mapped_ == 0) mapped_ = page;
  void* at = mmap(nullptr, mapped_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) fail("mmap failed: too many mappings, or no memory", "the tool needs some memory");
  mapping_ = static_cast<uint8_t*>(at);
  protect(mapping_ + page, mapped_, PROT_READ | PROT_WRITE);
  std::memset(mapping_ + page, kSlack, mapped_);
  data_ = mapping_ + page + (edge == Edge::kEnd ? mapped_ - footprint : 0);
  add_region({name, mapping_, mapping_ + mapped_ + 2 * page, data_, size_});
}

GuardedBytes::~GuardedBytes() {
  remove_region(mapping_);
  munmap(mapping_, mapped_ + 2 * page_bytes());
}

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

void GuardedBytes::expect_slack_intact() const {
  expect(slack_intact(), say("bytes just outside %s (%zu bytes) were written", name_, size_), rule::kRange);
}

void describe_address(const void* address, char* text, size_t bytes) {
  const auto* at = static_cast<const uint8_t*>(address);
  for (const Region& r : regions) {
    if (r.name == nullptr || at < r.begin || at >= r.end) continue;
    if (at < r.data) {
      std::snprintf(text, bytes, "%zu bytes before the start of %s (%zu bytes)", static_cast<size_t>(r.data - at), r.name,
                    r.size);
    } else if (at >= r.data + r.size) {
      std::snprintf(text, bytes, "%zu bytes past the end of %s (%zu bytes)", static_cast<size_t>(at - (r.data + r.size)),
                    r.name, r.size);
    } else {
      std::snprintf(text, bytes, "byte %zu of %s (%zu bytes), which may not be written, or not even be read",
                    static_cast<size_t>(at - r.data), r.name, r.size);
    }
    return;
  }
}

}  // namespace bitnet::conformance
