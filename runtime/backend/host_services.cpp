// backend/host_services.cpp - the functions behind bn_host.
#include "backend/host_services.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace bitnet::backend {
namespace {

constexpr uint64_t kMaxLogBytes = 1000;
constexpr uint64_t kMaxBytes = uint64_t{1} << 47;  // more than any address space has

// A plugin's own level is kept as a word: whatever it finds important, to the user it is detail.
void write_log(void* ctx, int32_t level, const char* msg, uint64_t len) noexcept {
  static constexpr const char* kLevels[] = {"error", "warning", "info", "debug", "trace"};
  if (msg == nullptr || log_level() < LogLevel::kDebug) return;
  try {
    const std::string_view text(msg, static_cast<size_t>(std::min(len, kMaxLogBytes)));
    log(LogLevel::kDebug, "plugin {}: {}: {}", static_cast<const HostServices*>(ctx)->name(), kLevels[std::clamp(level, 0, 4)],
        printable(text, kMaxLogBytes));
  } catch (const std::exception&) {  // out of memory: the line is lost, nothing else
  }
}

void* allocate(void*, uint64_t bytes, uint64_t align) noexcept {
  align = std::max<uint64_t>(align, alignof(std::max_align_t));
  if (bytes > kMaxBytes || align > kMaxBytes || (align & (align - 1)) != 0) return nullptr;
  const uint64_t whole = (std::max<uint64_t>(bytes, 1) + align - 1) / align * align;
  return std::aligned_alloc(static_cast<size_t>(align), static_cast<size_t>(whole));
}

void release(void*, void* p) noexcept { std::free(p); }

void parallel_for(void*, uint32_t n, void (*fn)(void*, uint32_t), void* arg) noexcept {
  if (fn == nullptr) return;
  tbb::parallel_for(uint32_t{0}, n, [&](uint32_t i) { fn(arg, i); });
}

const void* get_interface(void*, const char*) noexcept { return nullptr; }

}  // namespace

HostServices::HostServices(std::string name, std::string path) : name_(std::move(name)), path_(std::move(path)) {
  table_.struct_size = sizeof table_;
  table_.abi_minor = BN_ABI_MINOR;
  table_.ctx = this;
  table_.log = write_log;
  table_.alloc = allocate;
  table_.release = release;
  table_.parallel_for = parallel_for;
  table_.get_interface = get_interface;
  table_.plugin_path = path_.c_str();
}

}  // namespace bitnet::backend
