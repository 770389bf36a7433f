// kernel/compare.h - equality of bits over buffers, for the tests of the mock.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::kernel_test {

// Two NaN are equal whatever their payload: no order of operations fixes it.
inline bool same(float a, float b) { return bn::kit::bits_of(a) == bn::kit::bits_of(b) || (a != a && b != b); }
template <class T>
bool same(T a, T b) {
  return a == b;
}

// Compares n elements; names the first that differs and how many do.
template <class T>
testing::AssertionResult same_bits(const T* expected, const T* actual, size_t n) {
  size_t differing = 0, first = 0;
  for (size_t i = 0; i < n; ++i) {
    if (same(expected[i], actual[i])) continue;
    if (differing++ == 0) first = i;
  }
  if (differing == 0) return testing::AssertionSuccess();
  uint32_t want = 0, got = 0;
  std::memcpy(&want, &expected[first], sizeof(T));
  std::memcpy(&got, &actual[first], sizeof(T));
  return testing::AssertionFailure() << differing << " of " << n << " elements differ, the first at index " << first
                                     << ": expected " << +expected[first] << " (0x" << std::hex << want << "), found "
                                     << std::dec << +actual[first] << " (0x" << std::hex << got << ")";
}

}  // namespace bitnet::kernel_test
