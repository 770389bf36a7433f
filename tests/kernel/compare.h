// kernel/compare.h - equality of bits over whole output buffers, gaps included: what lies outside the asked range must
// still hold the pattern that was there before the call.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::kernel_test {

// Content of an output before the call: no value that an op plausibly computes, no NaN.
template <class T>
std::vector<T> untouched(size_t n) {
  std::vector<T> v(n);
  for (size_t i = 0; i < n; ++i) {
    const uint32_t pattern = 0x7149F2CAu + static_cast<uint32_t>(i % 97) * 0x101u;
    std::memcpy(&v[i], &pattern, sizeof(T) < 4 ? sizeof(T) : 4);
  }
  return v;
}

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

template <class T, class Buffer>
testing::AssertionResult same_bits(const std::vector<T>& expected, const Buffer& actual) {
  if (expected.size() != actual.size()) return testing::AssertionFailure() << "sizes differ";
  if (testing::AssertionResult r = same_bits(expected.data(), actual.data(), expected.size()); !r) return r;
  if (!actual.slack_intact()) return testing::AssertionFailure() << "bytes outside the buffer were written";
  return testing::AssertionSuccess();
}

}  // namespace bitnet::kernel_test
