// unit/gguf/float_formats_test.cpp - embeddings' formats against values of an independent program, bit for bit.
#include "gguf/float_formats.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "unit/gguf/files.h"

namespace bitnet::gguf {
namespace {

using test::error_of;

TEST(FloatFormats, every_type_decodes_exactly) {
  const auto all = nlohmann::json::parse(std::ifstream(test::data_path("formats/formats.json")))["floats"];
  const auto values = test::read_numbers<float>(test::data_path("formats/floats.bin"));
  const File file(test::data_path("formats/floats.gguf"));
  ASSERT_EQ(all["tensors"].size(), 8u);
  for (const auto& expected : all["tensors"]) {
    const TensorInfo& tensor = *file.find_tensor(expected["name"].get<std::string>());
    SCOPED_TRACE(tensor.name);
    EXPECT_EQ(tensor.type->name, expected["format"].get<std::string>());
    EXPECT_TRUE(dense_dtype(*tensor.type).has_value());
    ASSERT_EQ(tensor.rows(), expected["shape"][0].get<uint64_t>());
    ASSERT_EQ(tensor.columns(), expected["shape"][1].get<uint64_t>());
    const uint64_t n = tensor.rows() * tensor.columns();
    const float* wanted = values.data() + expected["offset"].get<size_t>() / sizeof(float);
    std::vector<float> out(n);
    dequantize_rows(tensor, 0, tensor.rows(), out.data());
    EXPECT_EQ(std::memcmp(out.data(), wanted, n * sizeof(float)), 0);
    std::vector<float> row(tensor.columns() + 1, 7.0f);
    dequantize_rows(tensor, 1, 2, row.data());
    EXPECT_EQ(std::memcmp(row.data(), wanted + tensor.columns(), tensor.columns() * sizeof(float)), 0);
    EXPECT_EQ(row.back(), 7.0f) << "written past the row";
  }
}

TEST(FloatFormats, what_cannot_be_read_is_an_error) {
  const File file(test::data_path("formats/floats.gguf"));
  const File ternary(test::data_path("formats/I2_S.gguf"));
  float out[512];
  error_of([&] { dequantize_rows(file.tensors()[0], 3, 4, out); }, ErrorKind::kFailure);
  error_of([&] { dequantize_rows(file.tensors()[0], 2, 1, out); }, ErrorKind::kFailure);
  EXPECT_NE(error_of([&] { dequantize_rows(ternary.tensors()[0], 0, 1, out); }).find("(I2_S): expected F32"),
            std::string::npos);
  TensorInfo cut = file.tensors()[0];
  cut.data = nullptr;
  EXPECT_NE(error_of([&] { dequantize_rows(cut, 0, 1, out); }).find("beyond the end"), std::string::npos);
  EXPECT_EQ(dense_dtype(*ternary.tensors()[0].type), std::nullopt);
}

}  // namespace
}  // namespace bitnet::gguf
