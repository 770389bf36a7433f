// engine/prompt_lookup.cpp - tables of runs, one slot a hash.
#include "engine/prompt_lookup.h"

#include <algorithm>
#include <bit>

namespace bitnet::engine {

PromptLookup::PromptLookup(uint32_t n_most) : mask_(std::bit_ceil(2 * std::clamp(n_most, 32u, 1u << 24)) - 1) {
  for (std::vector<uint32_t>& table : tables_) table.assign(mask_ + 1, 0);
}

uint32_t& PromptLookup::slot(size_t run, const int32_t* end) {
  uint64_t hash = 0;
  for (const int32_t* token = end - kRuns[run]; token < end; ++token) {
    hash = (hash ^ static_cast<uint32_t>(*token)) * 0x9E3779B97F4A7C15ull;
    hash ^= hash >> 29;
  }
  return tables_[run][static_cast<uint32_t>(hash >> 20) & mask_];
}

PromptLookup::Match PromptLookup::find(std::span<const int32_t> text) {
  const uint32_t n = static_cast<uint32_t>(text.size());
  // Only runs that a token follows are remembered, so the end of the text does not find itself.
  for (; n_known_ + 1 < n; ++n_known_) {
    const uint32_t end = n_known_ + 1;
    for (size_t run = 0; run < kRuns.size(); ++run) {
      if (kRuns[run] <= end) slot(run, text.data() + end) = end;
    }
  }
  for (size_t run = 0; run < kRuns.size() && n > 0; ++run) {
    if (kRuns[run] > n) continue;
    const uint32_t next = slot(run, text.data() + n);
    if (next < kRuns[run] || next >= n) continue;  // none, or of a text that was forgotten
    Match match{next, 0};
    const uint32_t most = std::min(next, kLongest);
    while (match.length < most && text[next - 1 - match.length] == text[n - 1 - match.length]) ++match.length;
    if (match.length >= kRuns[run]) return match;
  }
  return {};
}

int32_t followed_by(std::span<const int32_t> text, uint32_t next, uint32_t i) {
  return text[next + i % (static_cast<uint32_t>(text.size()) - next)];
}

}  // namespace bitnet::engine
