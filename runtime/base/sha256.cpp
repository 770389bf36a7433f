// base/sha256.cpp - OpenSSL's implementation, which uses the CPU's SHA instructions.
#include "base/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/error.h"

namespace bitnet {

namespace {

void check(int result) {
  if (result != 1) fail(ErrorKind::kFailure, "cannot compute a SHA-256");
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) { check(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr)); }

Sha256::~Sha256() = default;

void Sha256::add(std::span<const uint8_t> bytes) { check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size())); }

std::string Sha256::hex() {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  check(EVP_DigestFinal_ex(state_->context, digest, &length));
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::string sha256_hex(std::span<const uint8_t> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.hex();
}

}  // namespace bitnet
