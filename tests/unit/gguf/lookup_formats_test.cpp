// unit/gguf/lookup_formats_test.cpp - damaged TL1 and TL2 tensors: refused with place and reason, never a crash or a wild read.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "gguf/ternary_encoder.h"
#include "unit/gguf/files.h"

namespace bitnet::gguf {
namespace {

using test::error_of;

// A reference file whose bytes a test may change.
struct Damaged {
  explicit Damaged(const std::string& format)
      : bytes(test::read_numbers<uint8_t>(test::data_path("formats/" + format + ".gguf"))),
        tiles(read_kernel_config(test::data_path("formats/kernel_config." + format + ".ini"))),
        file(format, bytes) {}

  std::vector<uint8_t> bytes;
  TileTable tiles;
  File file;

  const TensorInfo& tensor(size_t i = 0) const { return file.tensors().at(i); }
  uint8_t& byte(uint64_t at) { return bytes.at(tensor().offset + at); }
  void put_scale(float scale) { std::memcpy(&byte(tensor().bytes - 32), &scale, 4); }
  std::string decode_error() const {
    std::vector<int8_t> trits(tensor().rows() * tensor().columns());
    return error_of([&] { decode_rows(tensor(), 0, tensor().rows(), trits.data(), {.tiles = &tiles}); });
  }
  float scale(bool unit_is_right = false) const {
    float value = 0;
    row_scales(tensor(), 0, 1, &value, {.tiles = &tiles, .unit_scale_is_right = unit_is_right});
    return value;
  }
  std::string scale_error() const {
    return error_of([&] { scale(); });
  }
};

TEST(LookupFormats, F21_illegal_nibbles_are_refused_with_row_and_column) {
  Damaged tl1("TL1");            // 320 x 384, tile 160 x 64, 32 rows inside: 256 / 32 = 8 columns of 32 rows are 64 bytes
  tl1.byte(64 + 16 + 5) = 0x09;  // columns 8..15, rows 0..15 first: bytes 16..31 are columns 12..15; low nibble: columns 14, 15
  EXPECT_NE(tl1.decode_error().find("row 5, column 14"), std::string::npos) << tl1.decode_error();
  Damaged tl2("TL2");       // 320 x 384, tile 160 x 96: no pairs
  tl2.byte(32 + 9) = 0xE0;  // the second unit: columns 6..11; position 9 is row 17, as the second eight lies third
  EXPECT_NE(tl2.decode_error().find("row 17, column 6"), std::string::npos) << tl2.decode_error();
}

TEST(LookupFormats, F21_every_byte_value_is_legal_or_refused) {
  // With sanitizers the first, the last legal ones, the first illegal ones and the last of both halves.
  const auto skipped = [](int nibble) { return BITNET_SANITIZED && nibble != 0 && nibble != 8 && nibble != 9 && nibble < 13; };
  for (int value = 0; value < 256; ++value) {
    if (skipped(value >> 4) || skipped(value & 15)) continue;
    for (const char* format : {"TL1", "TL2"}) {
      Damaged damaged(format);
      damaged.byte(100) = static_cast<uint8_t>(value);
      const int most = format[2] == '1' ? 8 : 13;
      const bool legal = (value >> 4) <= most && (value & 15) <= most;
      bool accepted = true;
      std::vector<int8_t> trits(damaged.tensor().rows() * damaged.tensor().columns());
      try {
        decode_rows(damaged.tensor(), 0, damaged.tensor().rows(), trits.data(), {.tiles = &damaged.tiles});
      } catch (const Error&) {
        accepted = false;
      }
      EXPECT_EQ(accepted, legal) << format << ' ' << value;
      if (accepted) {
        for (const int8_t t : trits) ASSERT_LE(std::abs(t), 1);
      }
    }
  }
}

TEST(LookupFormats, F21_scales_that_cannot_be_are_refused) {
  for (const char* format : {"TL1", "TL2"}) {
    Damaged damaged(format);
    for (const float scale : {0.0f, -0.5f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
      damaged.put_scale(scale);
      EXPECT_NE(damaged.scale_error().find("expected a number above 0"), std::string::npos) << scale;
    }
    damaged.put_scale(1.0f);
    EXPECT_NE(damaged.scale_error().find("exactly 1"), std::string::npos);
    EXPECT_NE(damaged.scale_error().find("from its source"), std::string::npos);
    EXPECT_EQ(damaged.scale(true), 1.0f) << "beside a tensor .scale it is right";
  }
}

TEST(LookupFormats, filling_that_is_not_zero_is_refused) {
  Damaged damaged("TL2");
  damaged.scale();
  // Magnitudes, signs and pairs; what is behind them up to the scale is filling.
  const uint64_t rows = damaged.tensor().rows(), columns = damaged.tensor().columns();
  const uint64_t pairs = columns % damaged.tiles[0].tile.columns, triples = columns - pairs;
  const uint64_t end = rows * triples / 6 + rows * triples / 24 + rows * pairs / 4;
  ASSERT_LT(end, damaged.tensor().bytes - 33);
  for (const uint64_t at : {end, damaged.tensor().bytes - 33}) {
    damaged.byte(at) = 7;
    EXPECT_NE(damaged.scale_error().find("filling is 7"), std::string::npos) << at << ' ' << damaged.scale_error();
    damaged.byte(at) = 0;
  }
  EXPECT_GT(damaged.scale(), 0);
}

TEST(LookupFormats, another_tile_is_noticed_where_it_can_be) {
  // 512 columns with tiles of 192 leave 128 as pairs, with tiles of 96 only 32: then data lies where zeros should.
  Damaged damaged("TL2");
  const TensorInfo& tensor = damaged.tensor(3);
  ASSERT_EQ(tensor.columns(), 512u);
  TileTable written = damaged.tiles;
  written[3].tile.columns = 192;
  const TernaryEncoder encoder(*tensor.type, tensor.name, tensor.extents, {.tiles = &written});
  const std::vector<int8_t> trits(tensor.rows() * tensor.columns(), 1);
  std::vector<uint8_t*> pieces;
  for (const auto& part : encoder.parts()) pieces.push_back(damaged.bytes.data() + tensor.offset + part.offset);
  encoder.encode(trits.data(), nullptr, tensor.rows(), pieces.data());
  float scale = 0;
  const auto read = [&](const TileTable& tiles) { row_scales(tensor, 0, 1, &scale, {.tiles = &tiles}); };
  read(written);
  EXPECT_NE(error_of([&] { read(damaged.tiles); }).find("other tile parameters"), std::string::npos);
}

// Every file made by cutting, or by changing some bytes, is read or refused by Error; under the sanitizers also without a wild
// read. Deterministic: the same mutants every time.
TEST(LookupFormats, mutants_of_files_are_read_or_refused) {
  std::minstd_rand random(20261126);
  for (const char* format : {"TL1", "TL2"}) {
    const auto whole = test::read_numbers<uint8_t>(test::data_path("formats/" + std::string(format) + ".gguf"));
    const TileTable tiles = read_kernel_config(test::data_path("formats/kernel_config." + std::string(format) + ".ini"));
    int refused = 0, read = 0;
    for (int round = 0; round < 300; ++round) {
      std::vector<uint8_t> bytes = whole;
      if (round % 3 == 0) bytes.resize(random() % bytes.size());
      const uint64_t reach = round % 2 == 0 ? 600 : bytes.size();  // the header is small: aim at it every other time
      for (uint32_t n = random() % 8; n-- > 0 && !bytes.empty();) {
        bytes[random() % std::min<uint64_t>(reach, bytes.size())] ^= static_cast<uint8_t>(1u << random() % 8);
      }
      try {
        const File file("mutant", bytes, {.allow_cut_data = round % 2 == 0});
        for (const TensorInfo& tensor : file.tensors()) {
          if (tensor.type->cls != TypeClass::kTernary || tensor.rows() * tensor.columns() > 1 << 20) continue;
          std::vector<int8_t> trits(tensor.rows() * tensor.columns());
          std::vector<float> scales(tensor.rows());
          decode_rows(tensor, 0, tensor.rows(), trits.data(), {.tiles = &tiles});
          row_scales(tensor, 0, tensor.rows(), scales.data(), {.tiles = &tiles});
        }
        ++read;
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::kInvalidModel) << e.what();
        ++refused;
      }
    }
    EXPECT_GT(refused, 50) << format;
    EXPECT_GT(read, 10) << format;
  }
}

}  // namespace
}  // namespace bitnet::gguf
