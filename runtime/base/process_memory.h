// base/process_memory.h - how much memory this process uses, as the kernel counts it (mapped file pages included).
#pragma once

#include <cstdint>
#include <optional>

namespace bitnet {

struct ProcessMemory {
  std::optional<uint64_t> rss, peak_rss;  // bytes; empty when the kernel does not tell
};

ProcessMemory process_memory();

}  // namespace bitnet
