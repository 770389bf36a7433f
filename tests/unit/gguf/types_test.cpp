// unit/gguf/types_test.cpp - the type table and the one function that computes sizes.
#include "gguf/types.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gguf/checked.h"
#include "unit/gguf/files.h"

namespace bitnet::gguf {
namespace {

constexpr uint64_t kMax = UINT64_MAX;

TEST(GgufChecked, sums_and_products_report_overflow) {
  uint64_t out = 0;
  EXPECT_TRUE(checked_add(kMax - 1, 1, out));
  EXPECT_EQ(out, kMax);
  EXPECT_FALSE(checked_add(kMax, 1, out));
  EXPECT_TRUE(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1, out));
  EXPECT_EQ(out, kMax - (uint64_t{1} << 32) + 1);
  EXPECT_FALSE(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32, out));
  EXPECT_TRUE(checked_round_up(33, 32, out));
  EXPECT_EQ(out, 64u);
  EXPECT_TRUE(checked_round_up(64, 32, out));
  EXPECT_EQ(out, 64u);
  EXPECT_FALSE(checked_round_up(kMax - 3, 32, out));
}

TEST(GgufTypes, ids_are_listed_once_or_are_the_known_clashes) {
  for (const TypeInfo& row : all_types()) {
    const size_t expected = row.id == 36 || row.id == 38 || row.id == 39 || row.id == 42 ? 2 : 1;
    EXPECT_EQ(types_with_id(row.id).size(), expected) << row.name;
  }
  EXPECT_TRUE(types_with_id(43).empty());
  EXPECT_TRUE(types_with_id(UINT32_MAX).empty());
}

TEST(GgufTypes, sizes_of_the_reference_matrices) {
  const auto all = nlohmann::json::parse(std::ifstream(test::data_path("formats/formats.json")));
  std::map<std::string, std::pair<uint64_t, uint64_t>> shapes;
  for (const auto& matrix : all["trits"]) shapes[matrix["name"]] = {matrix["shape"][0], matrix["shape"][1]};
  int checked = 0;
  for (const auto& file : all["files"]) {
    for (const auto& tensor : file["tensors"]) {
      if (!tensor.contains("bytes")) continue;
      const auto [rows, columns] = shapes.at(tensor["trits"]);
      for (const TypeInfo& type : all_types()) {
        if (type.name != file["format"].get<std::string>()) continue;
        EXPECT_EQ(tensor_bytes(type, {columns, rows, 1, 1}), tensor["bytes"].get<uint64_t>())
            << type.name << ' ' << tensor["name"];
        ++checked;
      }
    }
  }
  EXPECT_GT(checked, 70);
}

struct SizeCase {
  Type type;
  Extents extents;
  std::optional<uint64_t> bytes;
};

TEST(GgufTypes, sizes_and_shapes_that_do_not_suit) {
  const SizeCase cases[] = {
      {Type::kF32, {7, 3, 2, 5}, 840},
      {Type::kQ6_K, {512, 3, 1, 1}, 1260},
      {Type::kQ6_K, {384, 2, 1, 1}, std::nullopt},   // columns no multiple of 256
      {Type::kI2_S, {320, 12, 1, 1}, 992},           // groups run across rows
      {Type::kI2_S, {320, 11, 1, 1}, std::nullopt},  // elements no multiple of 128
      {Type::kI2_S, {2560, 6912, 1, 1}, 4423712},
      {Type::kTL2, {256, 320, 1, 1}, std::nullopt},  // the formula needs more than 256 columns
      {Type::kTL2, {512, 48, 1, 1}, std::nullopt},   // rows no multiple of 32
      {Type::kIQ2_BN_R4, {64, 6, 1, 1}, std::nullopt},
      {Type::kIQ1_BN, {65, 4, 1, 1}, std::nullopt},
      {Type::kF32, {uint64_t{1} << 32, uint64_t{1} << 32, 1, 1}, std::nullopt},
      {Type::kF64, {uint64_t{1} << 62, 1, 1, 1}, std::nullopt},  // 2^65 bytes
      {Type::kF32, {uint64_t{1} << 62, 1, 1, 1}, std::nullopt},  // 2^64 bytes
      {Type::kF16, {uint64_t{1} << 62, 1, 1, 1}, uint64_t{1} << 63},
      {Type::kI8, {uint64_t{1} << 62, 2, 1, 1}, std::nullopt},  // 2^63 elements
      {Type::kI8, {(uint64_t{1} << 63) - 1, 1, 1, 1}, (uint64_t{1} << 63) - 1},
      {Type::kF32, {0, 4, 1, 1}, std::nullopt},
  };
  for (const SizeCase& c : cases) {
    std::string why;
    EXPECT_EQ(tensor_bytes(type_info(c.type), c.extents, &why), c.bytes) << type_info(c.type).name << ' ' << c.extents[0];
    EXPECT_EQ(why.empty(), c.bytes.has_value());
  }
}

TEST(GgufTypes, value_types_beyond_the_table_are_unknown) {
  EXPECT_STREQ(value_type_name(ValueType::kF64), "f64");
  EXPECT_STREQ(value_type_name(ValueType{13}), "unknown");
  EXPECT_EQ(value_type_bytes(ValueType::kU16), 2u);
  EXPECT_EQ(value_type_bytes(ValueType::kString), 0u);
  EXPECT_EQ(value_type_bytes(ValueType{UINT32_MAX}), 0u);
}

}  // namespace
}  // namespace bitnet::gguf
