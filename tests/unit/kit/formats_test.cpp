// unit/kit/formats_test.cpp - fingerprints and bit layouts of formats.h against a second writing of their sentences.
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <cstring>
#include <vector>

#include "bitnet/kit/ternary.hpp"
#include "kernel/random.h"

namespace bitnet::kit_test {
namespace {

using bn::kit::Layout;
using Bytes = std::vector<uint8_t>;

// Sets the two-bit field at bit `shift` of byte b.
void put(Bytes& bytes, size_t b, unsigned shift, unsigned code) {
  bytes[b] = static_cast<uint8_t>((bytes[b] & ~(3u << shift)) | code << shift);
}

// bn.t2: code(r,c) in bits 2(c mod 4) of byte c/4 of row r; unused bits of the last byte hold code 1.
Bytes t2(uint32_t rows, uint32_t cols, const std::vector<int8_t>& trits) {
  const size_t row = (cols + 3) / 4;
  Bytes bytes(rows * row, 0x55);
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t c = 0; c < cols; ++c)
      put(bytes, r * row + c / 4, 2 * (c % 4), static_cast<unsigned>(trits[r * cols + c] + 1));
  }
  return bytes;
}

// bn.i2s128: column j of a group of 128 in byte j mod 32 of its 32 bytes, bits 6-2(j/32) and 7-2(j/32).
Bytes i2s128(uint32_t rows, uint32_t cols, const std::vector<int8_t>& trits) {
  Bytes bytes(rows * cols / 4);
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t c = 0; c < cols; ++c) {
      const uint32_t group = c / 128, j = c % 128;
      put(bytes, r * (cols / 4) + group * 32 + j % 32, 6 - 2 * (j / 32), static_cast<unsigned>(trits[r * cols + c] + 1));
    }
  }
  return bytes;
}

std::vector<int8_t> canonical_matrix() {
  std::vector<int8_t> trits;
  for (uint64_t r = 0; r < 256; ++r) {
    for (uint64_t c = 0; c < 1024; ++c) {
      const uint64_t hash = ((r * 1024 + c) * 2654435761ull) % 4294967296ull;
      trits.push_back(static_cast<int8_t>(static_cast<int>((hash / 65536) % 3) - 1));
    }
  }
  return trits;
}

Bytes fingerprint(const Bytes& packed) {
  Bytes digest(SHA256_DIGEST_LENGTH);
  SHA256(packed.data(), packed.size(), digest.data());
  digest.resize(16);
  return digest;
}

TEST(Formats, CanonicalTritsAreThoseOfTheSentence) {
  const std::vector<int8_t> trits = canonical_matrix();
  for (uint32_t r = 0; r < 256; ++r) {
    for (uint32_t c = 0; c < 1024; ++c) ASSERT_EQ(bn::kit::canonical_trit(r, c), trits[r * 1024 + c]) << r << "," << c;
  }
}

TEST(Formats, FingerprintsAreThoseOfTheBytes) {
  const std::vector<int8_t> trits = canonical_matrix();
  const uint8_t of_t2[] = BN_FINGERPRINT_T2, of_i2s128[] = BN_FINGERPRINT_I2S128;
  EXPECT_EQ(fingerprint(t2(256, 1024, trits)), Bytes(of_t2, of_t2 + 16));
  EXPECT_EQ(fingerprint(i2s128(256, 1024, trits)), Bytes(of_i2s128, of_i2s128 + 16));
}

TEST(Formats, LayoutIsKnownByItsFingerprintAlone) {
  bn_format format = {};
  format.struct_size = sizeof format;
  const uint8_t of_t2[] = BN_FINGERPRINT_T2, of_i2s128[] = BN_FINGERPRINT_I2S128;
  std::strcpy(format.id, "anything");
  std::memcpy(format.fingerprint, of_t2, 16);
  EXPECT_EQ(bn::kit::layout_of(&format), Layout::kT2);
  std::memcpy(format.fingerprint, of_i2s128, 16);
  EXPECT_EQ(bn::kit::layout_of(&format), Layout::kI2s128);
  format.fingerprint[15] ^= 1;
  EXPECT_EQ(bn::kit::layout_of(&format), Layout::kUnknown);
  EXPECT_EQ(bn::kit::layout_of(nullptr), Layout::kUnknown);
}

TEST(Formats, T2OfAnyWidth) {
  kernel_test::Random random(1);
  for (const uint32_t cols : {1u, 2u, 3u, 4u, 5u, 7u, 100u, 128u, 255u, 320u}) {
    std::vector<int8_t> trits(cols), back(cols, 9);
    for (int8_t& w : trits) w = random.trit();
    Bytes row(bn::kit::row_bytes(Layout::kT2, cols), 0xFF);
    bn::kit::write_row_t2(trits.data(), cols, row.data());
    EXPECT_EQ(row, t2(1, cols, trits)) << cols;
    bn::kit::read_row(Layout::kT2, row.data(), cols, back.data());
    EXPECT_EQ(back, trits) << cols;
  }
}

TEST(Formats, I2s128OfWholeGroups) {
  kernel_test::Random random(2);
  for (const uint32_t cols : {128u, 256u, 640u, 6912u}) {
    std::vector<int8_t> trits(cols), back(cols, 9);
    for (int8_t& w : trits) w = random.trit();
    Bytes row(bn::kit::row_bytes(Layout::kI2s128, cols), 0xFF);
    bn::kit::write_row_i2s128(trits.data(), cols, row.data());
    EXPECT_EQ(row, i2s128(1, cols, trits)) << cols;
    bn::kit::read_row(Layout::kI2s128, row.data(), cols, back.data());
    EXPECT_EQ(back, trits) << cols;
  }
}

TEST(Formats, ScaleOfARow) {
  const float scales[] = {2.0f, 3.0f};
  bn_tensor w = {};
  w.rows = 2;
  w.n_scales = 2;
  w.scales = scales;
  EXPECT_EQ(bn::kit::row_scale(w, 1), 3.0f);
  w.n_scales = 1;
  EXPECT_EQ(bn::kit::row_scale(w, 1), 2.0f);
}

}  // namespace
}  // namespace bitnet::kit_test
