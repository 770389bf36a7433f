// unit/gguf/container_test.cpp - versions 2 and 3, every key type and tensors, against files of an independent writer.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gguf/float_formats.h"
#include "gguf/reader.h"
#include "unit/gguf/files.h"
#include "unit/gguf/model_image.h"

namespace bitnet::gguf {
namespace {

using nlohmann::json;
using test::error_of;

// 64-bit integers stand as strings in the JSON.
int64_t as_i64(const json& value) { return value.is_string() ? std::stoll(value.get<std::string>()) : value.get<int64_t>(); }
uint64_t as_u64(const json& value) { return value.is_string() ? std::stoull(value.get<std::string>()) : value.get<uint64_t>(); }

void expect_array(const File& file, const std::string& key, const json& expected) {
  const KeyValue& entry = *file.find(key);
  ASSERT_EQ(entry.count, expected.size()) << key;
  switch (entry.element_type) {
    case ValueType::kString: {
      const auto values = file.find_string_array(key).value();
      for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], expected[i].get<std::string>()) << key;
      return;
    }
    case ValueType::kBool: {
      const auto values = file.find_bool_array(key).value();
      for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], expected[i].get<bool>()) << key;
      return;
    }
    case ValueType::kF32:
    case ValueType::kF64: {
      const auto values = file.find_float_array(key).value();
      for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], expected[i].get<float>()) << key;
      return;
    }
    default: {
      const auto values = file.find_int_array(key).value();
      for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], as_i64(expected[i])) << key;
    }
  }
}

void expect_key(const File& file, const std::string& key, const json& expected) {
  ASSERT_NE(file.find(key), nullptr) << key;
  switch (file.find(key)->type) {
    case ValueType::kArray:
      return expect_array(file, key, expected);
    case ValueType::kString:
      EXPECT_EQ(file.find_string(key).value(), expected.get<std::string>()) << key;
      return;
    case ValueType::kBool:
      EXPECT_EQ(file.find_bool(key).value(), expected.get<bool>()) << key;
      return;
    case ValueType::kF32:
    case ValueType::kF64:
      EXPECT_EQ(file.find_float(key).value(), expected.get<double>()) << key;
      return;
    case ValueType::kU8:
    case ValueType::kU16:
    case ValueType::kU32:
    case ValueType::kU64:
      EXPECT_EQ(file.find_uint(key).value(), as_u64(expected)) << key;
      return;
    default:
      EXPECT_EQ(file.find_int(key).value(), as_i64(expected)) << key;
  }
}

void expect_tensor(const File& file, const std::string& name, const json& expected) {
  const TensorInfo* tensor = file.find_tensor(name);
  ASSERT_NE(tensor, nullptr) << name;
  EXPECT_EQ(tensor->name, name);
  EXPECT_EQ(tensor->type->name, expected["type"].get<std::string>());
  ASSERT_EQ(tensor->n_dims, expected["ne"].size());
  for (size_t d = 0; d < 4; ++d) EXPECT_EQ(tensor->extents[d], d < tensor->n_dims ? expected["ne"][d].get<uint64_t>() : 1u);
  const auto values = expected["values"].get<std::vector<float>>();
  ASSERT_EQ(tensor->rows() * tensor->columns(), values.size());
  std::vector<float> found(values.size());
  if (tensor->type->type == Type::kI32) {
    ASSERT_EQ(tensor->bytes, values.size() * 4);
    const auto* integers = reinterpret_cast<const int32_t*>(tensor->data);
    std::copy(integers, integers + values.size(), found.begin());
  } else {
    dequantize_rows(*tensor, 0, tensor->rows(), found.data());
  }
  EXPECT_EQ(found, values) << name;
}

class Container : public testing::TestWithParam<const char*> {};

TEST_P(Container, matches_an_independent_writer) {
  const json all = json::parse(std::ifstream(test::data_path("container/container.json")));
  const json& expected = all.at(GetParam());
  const File file(test::data_path(std::string("container/") + GetParam()));
  EXPECT_EQ(file.version(), expected["version"].get<uint32_t>());
  EXPECT_EQ(file.alignment(), expected["alignment"].get<uint32_t>());
  EXPECT_EQ(file.data_start() % file.alignment(), 0u);
  EXPECT_TRUE(file.warnings().empty()) << file.warnings().front();
  EXPECT_FALSE(file.is_cut());
  EXPECT_EQ(file.keys().size(), expected["keys"].size());
  EXPECT_EQ(file.tensors().size(), expected["tensors"].size());
  for (const auto& [key, value] : expected["keys"].items()) expect_key(file, key, value);
  for (const auto& [name, tensor] : expected["tensors"].items()) expect_tensor(file, name, tensor);
  EXPECT_EQ(file.tensors()[0].name, "a");  // file order
  EXPECT_EQ(file.keys().back().key, "test.str.empty");
}

INSTANTIATE_TEST_SUITE_P(Gguf, Container, testing::Values("keys.gguf", "keys_v2.gguf", "align64.gguf"),
                         [](const auto& test) { return std::string(test.param, std::strchr(test.param, '.')); });

TEST(GgufLookup, absent_keys_are_empty) {
  const File file(test::data_path("container/keys.gguf"));
  EXPECT_EQ(file.find("nothing"), nullptr);
  EXPECT_EQ(file.find_tensor("nothing"), nullptr);
  EXPECT_FALSE(file.find_uint("nothing"));
  EXPECT_FALSE(file.find_string("nothing"));
  EXPECT_FALSE(file.find_string_array("nothing"));
  EXPECT_FALSE(file.find_float_array("nothing"));
}

TEST(GgufLookup, integers_are_accepted_in_any_width) {
  const File file(test::data_path("container/keys.gguf"));
  EXPECT_EQ(file.find_uint("test.u8"), 255u);
  EXPECT_EQ(file.find_int("test.u8"), 255);
  EXPECT_EQ(file.find_int("test.i8"), -128);
  EXPECT_EQ(file.find_uint("test.u64"), 9223372036854775813u);
  EXPECT_EQ(file.find_uint_array("test.array.u8"), (std::vector<uint64_t>{0, 1, 255}));
}

TEST(GgufLookup, F18_wrong_types_name_key_expected_and_found) {
  const File file(test::data_path("container/keys.gguf"));
  const auto has = [](const std::string& message, std::initializer_list<const char*> parts) {
    for (const char* part : parts) EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' not in: " << message;
  };
  has(error_of([&] { file.find_uint("test.str"); }), {"keys.gguf", "'test.str'", "unsigned integer", "found string"});
  has(error_of([&] { file.find_uint("test.i8"); }), {"'test.i8'", "unsigned integer", "found -128"});
  has(error_of([&] { file.find_int("test.u64"); }), {"'test.u64'", "found 9223372036854775813"});
  has(error_of([&] { file.find_uint("test.f32"); }), {"found f32"});
  has(error_of([&] { file.find_uint("test.bool"); }), {"found bool"});
  has(error_of([&] { file.find_float("test.u8"); }), {"found u8"});
  has(error_of([&] { file.find_bool("test.u8"); }), {"expected a bool", "found u8"});
  has(error_of([&] { file.find_string("test.u8"); }), {"expected a string", "found u8"});
  has(error_of([&] { file.find_string("test.array.str"); }), {"expected a string", "found array of string"});
  has(error_of([&] { file.find_string_array("test.str"); }), {"expected an array of strings", "found string"});
  has(error_of([&] { file.find_string_array("test.array.u8"); }), {"found array of u8"});
  has(error_of([&] { file.find_float_array("test.array.str"); }), {"expected an array of f32", "found array of string"});
  has(error_of([&] { file.find_int_array("test.array.f32"); }), {"expected an array of integers", "found array of f32"});
}

TEST(GgufContainer, a_vocabulary_only_file_ends_after_the_last_key) {
  test::ModelImage image = test::valid_image();
  image.tensors.clear();
  const std::string bytes = image.build();
  const File file("vocabulary", test::as_bytes(bytes));
  EXPECT_TRUE(file.tensors().empty());
  EXPECT_TRUE(file.warnings().empty());
  EXPECT_EQ(file.find_string_array("tokenizer.ggml.tokens")->size(), 6u);
}

TEST(GgufContainer, views_point_into_the_mapping) {
  const std::string bytes = test::valid_image().build();
  const File file("image", test::as_bytes(bytes));
  const auto tokens = file.find_string_array("tokenizer.ggml.tokens").value();
  EXPECT_EQ(tokens[5],
            "\xC4\xA0"
            "ab");
  EXPECT_GE(tokens[5].data(), bytes.data());
  EXPECT_LT(tokens[5].data(), bytes.data() + bytes.size());
  for (const TensorInfo& tensor : file.tensors()) {
    EXPECT_EQ(static_cast<const void*>(tensor.data), static_cast<const void*>(bytes.data() + tensor.offset));
    EXPECT_EQ(file.find_tensor(tensor.name), &tensor);
  }
}

}  // namespace
}  // namespace bitnet::gguf
