// unit/gguf/ternary_formats_test.cpp - every ternary format against trits and scales of an independent program, and refusals.
#include "gguf/ternary_formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "unit/gguf/files.h"

namespace bitnet::gguf {
namespace {

using nlohmann::json;
using test::error_of;

const json& reference() {
  static const json all = json::parse(std::ifstream(test::data_path("formats/formats.json")));
  return all;
}

struct Matrix {
  uint64_t rows;
  uint64_t columns;
  std::vector<int8_t> trits;
};

Matrix expected_matrix(const std::string& name) {
  static const auto all = test::read_numbers<int8_t>(test::data_path("formats/trits.bin"));
  for (const auto& entry : reference()["trits"]) {
    if (entry["name"] != name) continue;
    const uint64_t rows = entry["shape"][0];
    const uint64_t columns = entry["shape"][1];
    const auto begin = all.begin() + entry["offset"].get<std::ptrdiff_t>();
    return {rows, columns, {begin, begin + static_cast<std::ptrdiff_t>(rows * columns)}};
  }
  ADD_FAILURE() << "no matrix " << name;
  return {};
}

// Scale of every (row, block) as the reference gives it; a scale per tensor or row is one block that spans the row.
struct ExpectedScales {
  uint64_t blocks_per_row;
  std::vector<float> values;
};

ExpectedScales expected_scales(const json& tensor, const Matrix& matrix) {
  auto values = tensor["scales"].get<std::vector<float>>();
  if (tensor["scale_per"] == "tensor") values.assign(matrix.rows, values.at(0));
  return {values.size() / matrix.rows, values};
}

void check_tensor(const TensorInfo& tensor, const json& expected, const TernaryOptions& options) {
  SCOPED_TRACE(std::string(tensor.type->name) + " " + tensor.name);
  Matrix matrix = expected_matrix(expected["trits"]);
  ASSERT_EQ(tensor.rows(), matrix.rows);
  ASSERT_EQ(tensor.columns(), matrix.columns);
  const ExpectedScales scales = expected_scales(expected, matrix);
  const uint64_t block = matrix.columns / scales.blocks_per_row;

  std::set<uint64_t> rows_that_differ;
  std::vector<float> row_scale(matrix.rows, 0.0f);
  for (uint64_t row = 0; row < matrix.rows; ++row) {
    for (uint64_t b = 0; b < scales.blocks_per_row; ++b) {
      int8_t* trits = matrix.trits.data() + row * matrix.columns + b * block;
      const float scale = scales.values[row * scales.blocks_per_row + b];
      if (scale == 0) std::fill(trits, trits + block, int8_t{0});  // the promise of ternary_formats.h
      const bool zero = std::all_of(trits, trits + block, [](int8_t t) { return t == 0; });
      if (expected["scale_per"] == "block" && zero) continue;
      if (row_scale[row] != 0 && row_scale[row] != scale) rows_that_differ.insert(row);
      row_scale[row] = scale;
    }
  }

  std::vector<int8_t> trits(matrix.trits.size(), 99);
  decode_rows(tensor, 0, matrix.rows, trits.data(), options);
  EXPECT_EQ(trits, matrix.trits);
  for (uint64_t row = 0; row < matrix.rows; ++row) {  // any range gives the same
    std::vector<int8_t> one(matrix.columns + 1, 99);
    decode_rows(tensor, row, row + 1, one.data(), options);
    EXPECT_TRUE(
        std::equal(one.begin(), one.end() - 1, matrix.trits.begin() + static_cast<std::ptrdiff_t>(row * matrix.columns)));
    EXPECT_EQ(one.back(), 99) << "written past the row";
    float scale = -1;
    if (rows_that_differ.count(row) != 0) {
      EXPECT_NE(error_of([&] { row_scales(tensor, row, row + 1, &scale, options); }).find("differ"), std::string::npos);
    } else {
      row_scales(tensor, row, row + 1, &scale, options);
      EXPECT_EQ(scale, row_scale[row]) << row;
    }
  }
}

struct FormatFile {
  const char* file;
  int tensors;
  I2sLayout layout = I2sLayout::kX86;
  const char* tiles = nullptr;  // kernel configuration
};

class TernaryFile : public testing::TestWithParam<FormatFile> {};

TEST_P(TernaryFile, decodes_exactly) {
  const File file(test::data_path(std::string("formats/") + GetParam().file));
  TileTable tiles;
  if (GetParam().tiles != nullptr) tiles = read_kernel_config(test::data_path(std::string("formats/") + GetParam().tiles));
  const TernaryOptions options{.i2s_layout = GetParam().layout, .tiles = &tiles};
  int checked = 0;
  for (const auto& entry : reference()["files"]) {
    if (entry["file"] != GetParam().file) continue;
    for (const auto& expected : entry["tensors"]) {
      const TensorInfo* tensor = file.find_tensor(expected["name"].get<std::string>());
      ASSERT_NE(tensor, nullptr);
      EXPECT_EQ(tensor->type->name, entry["format"].get<std::string>());
      EXPECT_EQ(tensor->bytes, expected["bytes"].get<uint64_t>());
      check_tensor(*tensor, expected, options);
      ++checked;
    }
  }
  EXPECT_EQ(checked, GetParam().tensors);
}

INSTANTIATE_TEST_SUITE_P(Gguf, TernaryFile,
                         testing::Values(FormatFile{"I2_S.gguf", 8}, FormatFile{"I2_S.arm-64.gguf", 8, I2sLayout::kArm64},
                                         FormatFile{"I2_S.x86-4row.gguf", 6, I2sLayout::kX86FourRow},
                                         FormatFile{"I2_S.sequential.gguf", 8, I2sLayout::kSequential},
                                         FormatFile{"TQ1_0.gguf", 4}, FormatFile{"TQ2_0.gguf", 4}, FormatFile{"Q2_0.gguf", 8},
                                         FormatFile{"IQ1_BN.gguf", 9}, FormatFile{"IQ2_BN.gguf", 9},
                                         FormatFile{"IQ2_BN_R4.gguf", 7},
                                         FormatFile{"TL1.gguf", 5, I2sLayout::kX86, "kernel_config.TL1.ini"},
                                         FormatFile{"TL2.gguf", 5, I2sLayout::kX86, "kernel_config.TL2.ini"},
                                         FormatFile{"TL2.id42.gguf", 2, I2sLayout::kX86, "kernel_config.TL2.ini"}),
                         [](const auto& test) {
                           std::string name = test.param.file;
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

TEST(TernaryFormats, layouts_have_the_names_of_the_option) {
  EXPECT_EQ(parse_i2s_layout("x86"), I2sLayout::kX86);
  EXPECT_EQ(parse_i2s_layout("arm64"), I2sLayout::kArm64);
  EXPECT_EQ(parse_i2s_layout("x86-4row"), I2sLayout::kX86FourRow);
  EXPECT_EQ(parse_i2s_layout("seq"), I2sLayout::kSequential);
  EXPECT_EQ(parse_i2s_layout("X86"), std::nullopt);
}

// A tensor over bytes of the test's own.
struct Made {
  std::vector<uint8_t> bytes;
  TensorInfo tensor;
  Made(Type type, uint64_t columns, uint64_t rows) {
    tensor.name = "made";
    tensor.n_dims = 2;
    tensor.extents = {columns, rows, 1, 1};
    tensor.type = &type_info(type);
    tensor.type_id = tensor.type->id;
    tensor.bytes = tensor_bytes(*tensor.type, tensor.extents).value();
    bytes.assign(tensor.bytes, 0);
    tensor.data = bytes.data();
  }
  void put_f32(uint64_t at, float value) { std::memcpy(bytes.data() + at, &value, 4); }
  void put_f16(uint64_t at, uint16_t bits) { std::memcpy(bytes.data() + at, &bits, 2); }
  std::vector<int8_t> decode(I2sLayout layout = I2sLayout::kX86) const {
    std::vector<int8_t> trits(tensor.rows() * tensor.columns());
    decode_rows(tensor, 0, tensor.rows(), trits.data(), {layout});
    return trits;
  }
  std::vector<float> scales() const {
    std::vector<float> values(tensor.rows());
    row_scales(tensor, 0, tensor.rows(), values.data());
    return values;
  }
};

struct IllegalCode {
  Type type;
  uint64_t byte;  // offset of the byte set to hold one code 3
  uint8_t value;
  const char* place;
  I2sLayout layout = I2sLayout::kX86;
};

TEST(TernaryFormats, F21_code_3_is_refused_with_its_place) {
  const IllegalCode cases[] = {
      {Type::kI2_S, 64 + 5, 0x0C, "index 325 (row 1, column 69)"},  // second row of 256: group 2, bits 3-2
      {Type::kI2_S, 64 + 5, 0x0C, "index 293 (row 1, column 37)", I2sLayout::kArm64},
      {Type::kI2_S, 64 + 5, 0x0C, "index 277 (row 1, column 21)", I2sLayout::kSequential},
      {Type::kI2_S, 9, 0x30, "index 265 (row 1, column 9)", I2sLayout::kX86FourRow},
      {Type::kTQ2_0, 66 + 33, 0x30, "index 449 (row 1, column 193)"},
      {Type::kQ2_0, 3, 0xC0, "index 7 (row 0, column 7)"},
      {Type::kIQ2_BN, 4 + 16 + 2, 0xC0, "index 114 (row 0, column 114)"},
      {Type::kIQ2_BN_R4, 16 + 64 + 4 + 2, 0x0C, "index 326 (row 1, column 70)"},
  };
  for (const IllegalCode& c : cases) {
    Made made(c.type, 256, 4);
    for (uint64_t i = 0; i < made.bytes.size(); ++i) made.bytes[i] = 0;
    made.bytes[c.byte] = c.value;
    const std::string message = error_of([&] { made.decode(c.layout); });
    EXPECT_NE(message.find("'made'"), std::string::npos) << message;
    EXPECT_NE(message.find(made.tensor.type->name), std::string::npos) << message;
    EXPECT_NE(message.find("code 3"), std::string::npos) << message;
    EXPECT_NE(message.find(c.place), std::string::npos) << message << " expected " << c.place;
  }
}

TEST(TernaryFormats, F21_every_byte_with_a_code_3_is_refused) {
  for (const Type type : {Type::kI2_S, Type::kTQ2_0, Type::kQ2_0, Type::kIQ2_BN, Type::kIQ2_BN_R4}) {
    for (int value = 0; value < 256; ++value) {
      Made made(type, 256, 4);
      made.bytes[20] = static_cast<uint8_t>(value);  // a byte of codes in all of them
      const bool legal = (value & 3) != 3 && (value >> 2 & 3) != 3 && (value >> 4 & 3) != 3 && value >> 6 != 3;
      bool accepted = true;
      try {
        made.decode();
      } catch (const Error&) {
        accepted = false;
      }
      EXPECT_EQ(accepted, legal) << made.tensor.type->name << ' ' << value;
    }
  }
}

TEST(TernaryFormats, F21_plus_two_in_q2_0_is_refused) {
  const File file(test::data_path("formats/Q2_0.plus_two.gguf"));
  const TensorInfo& tensor = file.tensors().at(0);
  const auto values = reference()["files"];
  std::vector<int8_t> expected;
  for (const auto& entry : values) {
    if (entry["file"] == "Q2_0.plus_two.gguf") expected = entry["tensors"][0]["values"].get<std::vector<int8_t>>();
  }
  const auto at = std::find(expected.begin(), expected.end(), 2) - expected.begin();
  std::vector<int8_t> trits(expected.size());
  const std::string message = error_of([&] { decode_rows(tensor, 0, tensor.rows(), trits.data()); });
  EXPECT_NE(message.find("index " + std::to_string(at) + " "), std::string::npos) << message;
}

TEST(TernaryFormats, F21_scales_that_are_not_finite_are_refused) {
  constexpr uint16_t kHalfInfinity = 0x7C00;
  constexpr uint16_t kHalfNan = 0x7E00;
  Made i2s(Type::kI2_S, 256, 4);
  i2s.put_f32(256, std::numeric_limits<float>::infinity());
  error_of([&] { i2s.scales(); });
  Made iq1(Type::kIQ1_BN, 64, 2);
  iq1.put_f16(15, kHalfNan);
  EXPECT_NE(error_of([&] { iq1.scales(); }).find("row 1"), std::string::npos);
  error_of([&] { iq1.decode(); });
  Made iq2(Type::kIQ2_BN, 64, 2);
  iq2.put_f32(20, std::nanf(""));
  error_of([&] { iq2.scales(); });
  Made r4(Type::kIQ2_BN_R4, 64, 4);
  r4.put_f32(12, -std::numeric_limits<float>::infinity());
  EXPECT_NE(error_of([&] { r4.scales(); }).find("row 3"), std::string::npos);
  for (const auto& [type, at] : {std::pair{Type::kTQ1_0, 52u}, {Type::kTQ2_0, 64u}, {Type::kQ2_0, 0u}}) {
    Made made(type, 256, 1);
    made.put_f16(at, kHalfInfinity);
    error_of([&] { made.scales(); });
    error_of([&] { made.decode(); });
  }
}

TEST(TernaryFormats, block_scales_must_agree_except_where_all_is_zero) {
  constexpr uint16_t kOne = 0x3C00;
  constexpr uint16_t kTwo = 0x4000;
  Made made(Type::kTQ2_0, 768, 1);
  for (uint64_t b = 0; b < 3; ++b) {
    std::fill_n(made.bytes.begin() + static_cast<std::ptrdiff_t>(66 * b), 64, uint8_t{0xAA});  // all +1
    made.put_f16(66 * b + 64, kOne);
  }
  EXPECT_EQ(made.scales(), std::vector<float>{1.0f});
  made.put_f16(66 + 64, kTwo);
  const std::string message = error_of([&] { made.scales(); });
  EXPECT_NE(message.find("row 0"), std::string::npos) << message;
  EXPECT_NE(message.find("column 256"), std::string::npos) << message;
  std::fill_n(made.bytes.begin() + 66, 64, uint8_t{0x55});  // a block of zeros may have any scale
  EXPECT_EQ(made.scales(), std::vector<float>{1.0f});
  std::fill_n(made.bytes.begin() + 66, 64, uint8_t{0xAA});
  made.put_f16(66 + 64, 0);  // and a block of scale 0 any code: its weights are 0
  EXPECT_EQ(made.scales(), std::vector<float>{1.0f});
  const auto trits = made.decode();
  EXPECT_EQ(trits[255], 1);
  EXPECT_EQ(trits[256], 0);
  EXPECT_EQ(trits[511], 0);
  EXPECT_EQ(trits[512], 1);
}

TEST(TernaryFormats, ranges_and_types_that_do_not_exist_are_errors) {
  Made made(Type::kI2_S, 128, 4);
  int8_t trits[512];
  float scale = 0;
  error_of([&] { decode_rows(made.tensor, 0, 5, trits); }, ErrorKind::kFailure);
  error_of([&] { row_scales(made.tensor, 3, 2, &scale); }, ErrorKind::kFailure);
  made.tensor.data = nullptr;
  EXPECT_NE(error_of([&] { decode_rows(made.tensor, 0, 1, trits); }).find("beyond the end"), std::string::npos);
  Made floats(Type::kF16, 128, 1);
  EXPECT_NE(error_of([&] { decode_rows(floats.tensor, 0, 1, trits); }).find("not a ternary type"), std::string::npos);
  EXPECT_EQ(ternary_scale_kind(type_info(Type::kTL2)), ScaleKind::kTensor);
  EXPECT_EQ(ternary_scale_kind(type_info(Type::kQ4_0)), std::nullopt);
  EXPECT_EQ(ternary_scale_kind(type_info(Type::kTQ1_0)), ScaleKind::kBlock);
  EXPECT_EQ(ternary_scale_kind(type_info(Type::kIQ2_BN_R4)), ScaleKind::kRow);
  EXPECT_EQ(ternary_scale_kind(type_info(Type::kI2_S)), ScaleKind::kTensor);
}

}  // namespace
}  // namespace bitnet::gguf
