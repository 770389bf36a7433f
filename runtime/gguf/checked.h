// gguf/checked.h - the one pair of overflow-checked operations from which every size in a GGUF file is computed.
//
// Each returns false when the result does not fit uint64 and leaves `out` undefined. All functions are pure.
#pragma once

#include <cstdint>

namespace bitnet::gguf {

[[nodiscard]] inline bool checked_add(uint64_t a, uint64_t b, uint64_t& out) { return !__builtin_add_overflow(a, b, &out); }
[[nodiscard]] inline bool checked_mul(uint64_t a, uint64_t b, uint64_t& out) { return !__builtin_mul_overflow(a, b, &out); }

// Rounds up to a multiple of `alignment`, a power of two.
[[nodiscard]] inline bool checked_round_up(uint64_t value, uint64_t alignment, uint64_t& out) {
  if (!checked_add(value, alignment - 1, out)) return false;
  out &= ~(alignment - 1);
  return true;
}

}  // namespace bitnet::gguf
