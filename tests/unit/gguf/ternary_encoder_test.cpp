// unit/gguf/ternary_encoder_test.cpp - the encoders against the bytes of an independent program: same trits and scales, same
// bytes.
#include "gguf/ternary_encoder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "unit/gguf/files.h"

namespace bitnet::gguf {
namespace {

using nlohmann::json;
using test::error_of;

const json& reference() {
  static const json all = json::parse(std::ifstream(test::data_path("formats/formats.json")));
  return all;
}

std::vector<int8_t> expected_trits(const std::string& name) {
  static const auto all = test::read_numbers<int8_t>(test::data_path("formats/trits.bin"));
  for (const auto& entry : reference()["trits"]) {
    if (entry["name"] != name) continue;
    const auto begin = all.begin() + entry["offset"].get<std::ptrdiff_t>();
    return {begin, begin + entry["shape"][0].get<std::ptrdiff_t>() * entry["shape"][1].get<std::ptrdiff_t>()};
  }
  ADD_FAILURE() << "no matrix " << name;
  return {};
}

// The tensor's bytes, encoded `rows_at_once` rows at a time (0: all).
std::vector<uint8_t> encoded(const TernaryEncoder& encoder, uint64_t columns, const std::vector<int8_t>& trits,
                             const std::vector<float>& scales, uint64_t rows_at_once) {
  const uint64_t rows = trits.size() / columns;
  if (rows_at_once == 0) rows_at_once = rows;
  std::vector<uint8_t> bytes(encoder.bytes(), 0xEE);
  for (uint64_t row = 0; row < rows; row += rows_at_once) {
    const uint64_t n = std::min(rows_at_once, rows - row);
    std::vector<uint8_t*> pieces;
    for (size_t i = 0; i < encoder.parts().size(); ++i) {
      pieces.push_back(bytes.data() + encoder.parts()[i].offset + encoder.piece_offset(i, row));
    }
    encoder.encode(trits.data() + row * columns, scales.data() + row, n, pieces.data());
  }
  const std::vector<uint8_t> tail = encoder.tail(scales[0]);
  std::copy(tail.begin(), tail.end(), bytes.begin() + static_cast<std::ptrdiff_t>(encoder.tail_offset()));
  return bytes;
}

class EncodedFile : public testing::TestWithParam<const char*> {};

TEST_P(EncodedFile, has_the_bytes_of_the_reference) {
  const std::string name = GetParam();
  const File file(test::data_path("formats/" + name));
  const bool lookup = name.starts_with("TL");
  const TileTable tiles =
      lookup ? read_kernel_config(test::data_path("formats/kernel_config." + name.substr(0, 3) + ".ini")) : TileTable{};
  int checked = 0;
  for (const auto& entry : reference()["files"]) {
    if (entry["file"] != name) continue;
    for (const auto& expected : entry["tensors"]) {
      SCOPED_TRACE(expected["name"].get<std::string>());
      const TensorInfo& tensor = *file.find_tensor(expected["name"].get<std::string>());
      const std::vector<int8_t> trits = expected_trits(expected["trits"]);
      auto scales = expected["scales"].get<std::vector<float>>();
      Extents shape = tensor.extents;
      if (expected["scale_per"] == "tensor") scales.assign(tensor.rows(), scales[0]);
      if (expected["scale_per"] == "block") {  // rows of one block each have the same bytes
        shape = {trits.size() / scales.size(), scales.size(), 1, 1};
      }
      const TernaryEncoder encoder(*tensor.type, tensor.name, shape, {.tiles = &tiles});
      ASSERT_EQ(encoder.bytes(), tensor.bytes);
      for (const uint64_t rows : {uint64_t{0}, encoder.granule(), 2 * encoder.granule()}) {
        const std::vector<uint8_t> bytes = encoded(encoder, shape[0], trits, scales, rows);
        const auto different = std::mismatch(bytes.begin(), bytes.end(), tensor.data).first - bytes.begin();
        EXPECT_EQ(different, static_cast<std::ptrdiff_t>(bytes.size())) << rows << " rows at once: byte " << different;
      }
      ++checked;
    }
  }
  EXPECT_GE(checked, 2);
}

INSTANTIATE_TEST_SUITE_P(Gguf, EncodedFile,
                         testing::Values("I2_S.gguf", "TQ1_0.gguf", "TQ2_0.gguf", "Q2_0.gguf", "IQ1_BN.gguf", "IQ2_BN.gguf",
                                         "IQ2_BN_R4.gguf", "TL1.gguf", "TL2.gguf", "TL2.id42.gguf"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

TEST(TernaryEncoder, refuses_types_and_shapes_with_the_reason) {
  const auto refused = [](Type type, Extents extents) {
    return error_of([&] { TernaryEncoder(type_info(type), "blk.0.w", extents); });
  };
  EXPECT_NE(refused(Type::kF16, {256, 4, 1, 1}).find("'blk.0.w' cannot be F16"), std::string::npos);
  EXPECT_NE(refused(Type::kQ1_0, {256, 4, 1, 1}).find("not written"), std::string::npos);
  EXPECT_NE(refused(Type::kTQ2_0, {300, 4, 1, 1}).find("no multiple of 256"), std::string::npos);
  EXPECT_NE(refused(Type::kIQ2_BN_R4, {256, 5, 1, 1}).find("no multiple of 4"), std::string::npos);
  EXPECT_NE(refused(Type::kTL1, {2560, 2560, 1, 1}).find("--kernel-config"), std::string::npos);
}

// A quantizer finds the scale of a block of zeros to be 0. 0x3800 is 0.5 in f16.
TEST(TernaryEncoder, blocks_of_zeros_have_the_scale_0) {
  const TernaryEncoder encoder(type_info(Type::kTQ2_0), "a", {512, 1, 1, 1});
  std::vector<int8_t> trits(512, 0);
  std::fill(trits.begin() + 256, trits.end(), int8_t{1});
  std::vector<uint8_t> expected(64, 0x55);
  expected.insert(expected.end(), {0, 0});
  expected.insert(expected.end(), 64, 0xAA);
  expected.insert(expected.end(), {0x00, 0x38});
  EXPECT_EQ(encoded(encoder, 512, trits, {0.5f}, 0), expected);
}

TEST(TernaryEncoder, knows_values_of_f16) {
  EXPECT_TRUE(is_f16(0.25f));
  EXPECT_TRUE(is_f16(0.0f));
  EXPECT_FALSE(is_f16(0.1f));
  EXPECT_FALSE(is_f16(1e-9f));
  EXPECT_FALSE(is_f16(70000.0f));
}

}  // namespace
}  // namespace bitnet::gguf
