// base/sha256.h - SHA-256 as lower-case hex: the identity of model files and of logits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace bitnet {

std::string sha256_hex(std::span<const uint8_t> bytes);

// The same of bytes that come in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(std::span<const uint8_t> bytes);
  std::string hex();  // once, at the end

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitnet
