// conformance/sha256.h - SHA-256 (FIPS 180-4) of bytes in memory, for fingerprints of layouts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bitnet::conformance {

std::array<uint8_t, 32> sha256(const uint8_t* data, size_t bytes);

}  // namespace bitnet::conformance
