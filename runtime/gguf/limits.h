// gguf/limits.h - how large the parts of a GGUF file may be. A file beyond a limit is refused before anything is allocated.
#pragma once

#include <cstdint>

namespace bitnet::gguf {

inline constexpr uint64_t kMinFileBytes = 24;            // magic, version, two counts
inline constexpr uint64_t kMaxKeys = 65536;              // metadata keys
inline constexpr uint64_t kMaxTensors = 65536;           // tensors
inline constexpr uint64_t kMaxKeyBytes = 65536;          // length of a key's name
inline constexpr uint64_t kMaxStringBytes = 16u << 20;   // a string value or an array's element
inline constexpr uint64_t kMaxArrayElements = 1u << 24;  // elements of one array
inline constexpr uint64_t kMaxTensorNameBytes = 63;      // length of a tensor's name
inline constexpr uint32_t kMaxDimensions = 4;            // extents of a tensor
inline constexpr uint32_t kDefaultAlignment = 32;        // bytes, when general.alignment is absent
inline constexpr uint32_t kMinAlignment = 8;             // bytes, so that every element type is aligned in the mapping

}  // namespace bitnet::gguf
