// jinja/limits.h - how much a template may be, and may do: a template is a program that comes with a model file.
//
// Source  user_interface.md, section 10.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitnet::jinja {

inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;
inline constexpr size_t kMaxDepth = 64;                   // of expressions and statements in each other; of lists in lists
inline constexpr size_t kMaxCallDepth = 16;               // of macros calling macros
inline constexpr uint64_t kMaxSteps = 1'000'000;          // an operation is one, and so are kBytesPerStep bytes of text
inline constexpr size_t kBytesPerStep = 64;               // of text made, searched or compared
inline constexpr size_t kMaxTextBytes = size_t{1} << 20;  // of the output, and of every text on the way
inline constexpr size_t kMaxRange = 100'000;              // numbers of a range, as Jinja's own sandbox

}  // namespace bitnet::jinja
