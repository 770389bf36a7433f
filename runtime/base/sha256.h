// base/sha256.h - SHA-256 as lower-case hex: the identity of model files and of logits.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace bitnet {

std::string sha256_hex(std::span<const uint8_t> bytes);

}  // namespace bitnet
