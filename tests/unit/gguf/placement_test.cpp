// unit/gguf/placement_test.cpp - where tensors lie and what a clashing type id means.
#include <gtest/gtest.h>

#include "gguf/reader.h"
#include "unit/gguf/files.h"
#include "unit/gguf/model_image.h"

namespace bitnet::gguf {
namespace {

using test::error_of;
using test::ModelImage;

// A model of these tensors alone.
std::string image_of(std::vector<test::ImageTensor> tensors, uint64_t trailing = 0) {
  ModelImage image;
  image.keys = {{"general.architecture", 8, test::raw_string("bitnet")}};
  image.tensors = std::move(tensors);
  image.trailing = trailing;
  return image.build();
}

std::string type_of(const std::string& bytes, size_t index = 0) {
  return File("image", test::as_bytes(bytes)).tensors().at(index).type->name;
}

TEST(Placement, clashing_ids_are_told_apart_by_their_space) {
  EXPECT_EQ(type_of(image_of({{"t", {512, 256}, 42, 30080}})), "TL2");
  EXPECT_EQ(type_of(image_of({{"t", {512, 256}, 42, 36864}})), "Q2_0");
  EXPECT_EQ(type_of(image_of({{"t", {512, 256}, 39, 30080}})), "TL2");
  EXPECT_EQ(type_of(image_of({{"t", {512, 256}, 39, 69632}})), "MXFP4");
  EXPECT_EQ(type_of(image_of({{"t", {512, 256}, 38, 32800}, {"u", {16}, 0, 64}})), "TL1");
}

TEST(Placement, reference_files_of_lookup_formats_open) {
  for (const auto& [file, type, n] :
       {std::tuple{"TL1.gguf", "TL1", 5u}, {"TL2.gguf", "TL2", 5u}, {"TL2.id42.gguf", "TL2", 2u}}) {
    const File found(test::data_path(std::string("formats/") + file));
    EXPECT_TRUE(found.warnings().empty());
    ASSERT_EQ(found.tensors().size(), n);
    for (const TensorInfo& tensor : found.tensors()) EXPECT_STREQ(tensor.type->name, type);
  }
}

TEST(Placement, F11_i2_s_takes_a_quarter_of_its_elements_and_32_bytes) {
  const std::string bytes = image_of({{"t", {256, 8}, 36, 544}});
  const File file("image", test::as_bytes(bytes));
  EXPECT_STREQ(file.tensors()[0].type->name, "I2_S");
  EXPECT_EQ(file.tensors()[0].bytes, 544u);
  EXPECT_TRUE(file.warnings().empty());
}

TEST(Placement, F12_an_id_that_fits_only_its_retired_meaning_is_refused_by_name) {
  const std::string message = error_of([] { type_of(image_of({{"t", {256, 8}, 36, 1152}})); });
  EXPECT_NE(message.find("IQ4_NL_4_4"), std::string::npos) << message;
  EXPECT_NE(message.find("36"), std::string::npos) << message;
}

TEST(Placement, F13_a_gap_is_reported) {
  const std::string bytes = image_of({{"a", {16}, 0, 64}, {"b", {16}, 0, 64, 256}, {"c", {256, 8}, 36, 544, 320}}, 192);
  const File file("image", test::as_bytes(bytes));
  ASSERT_EQ(file.warnings().size(), 1u);
  EXPECT_NE(file.warnings()[0].find("1 gap(s) of together 192 bytes"), std::string::npos) << file.warnings()[0];
  EXPECT_NE(file.warnings()[0].find("'b'"), std::string::npos) << file.warnings()[0];
}

TEST(Placement, F13_unusual_order_is_reported) {
  const std::string bytes = image_of({{"a", {16}, 0, 64, 64}, {"b", {16}, 0, 64, 0}});
  const File file("image", test::as_bytes(bytes));
  ASSERT_EQ(file.warnings().size(), 1u);
  EXPECT_NE(file.warnings()[0].find("order"), std::string::npos);
  EXPECT_EQ(file.find_tensor("a")->offset, file.data_start() + 64);
}

TEST(Placement, F13_a_gap_that_makes_a_type_ambiguous_is_refused) {
  const std::string message = error_of([] { type_of(image_of({{"t", {512, 256}, 42, 40000}, {"u", {16}, 0, 64}})); });
  for (const char* part : {"'t'", "42", "TL2 takes 30080", "Q2_0 takes 36864", "found 40000 bytes"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " not in " << message;
  }
}

TEST(Placement, F13_another_tensor_of_the_same_id_decides_an_ambiguous_one) {
  const std::string bytes = image_of({{"a", {512, 256}, 42, 36864}, {"t", {512, 256}, 42, 40000}, {"u", {16}, 0, 64}});
  EXPECT_EQ(type_of(bytes, 1), "Q2_0");
  const std::string other = image_of({{"a", {512, 256}, 42, 30080}, {"t", {512, 256}, 42, 30080}}, 5000);
  EXPECT_EQ(type_of(other, 1), "TL2");
}

TEST(Placement, F13_a_gap_does_not_matter_where_the_shape_allows_one_type_only) {
  const std::string bytes = image_of({{"t", {64, 8}, 42, 144}}, 5000);  // TL2 needs more than 256 columns
  EXPECT_EQ(type_of(bytes), "Q2_0");
}

TEST(Placement, F15_bytes_behind_the_last_tensor_are_a_warning) {
  const std::string bytes = image_of({{"t", {256, 8}, 36, 544}}, 1000);
  const File file("image", test::as_bytes(bytes));
  ASSERT_EQ(file.warnings().size(), 1u);
  EXPECT_NE(file.warnings()[0].find("1000 bytes behind the last tensor"), std::string::npos) << file.warnings()[0];
}

TEST(Placement, the_padding_of_the_last_tensor_may_be_missing) {
  std::string bytes = image_of({{"a", {16}, 0, 64}, {"t", {9}, 0, 36}});
  bytes.resize(bytes.size() - 28);
  const File file("image", test::as_bytes(bytes));
  EXPECT_TRUE(file.warnings().empty());
  EXPECT_EQ(file.needed_bytes(), bytes.size());
  bytes.resize(bytes.size() - 1);
  EXPECT_NE(error_of([&] { File("image", test::as_bytes(bytes)); }).find("file is cut"), std::string::npos);
}

TEST(Placement, F14_a_report_may_open_a_file_with_cut_data) {
  std::string bytes = image_of({{"a", {16}, 0, 64}, {"b", {16}, 0, 64}});
  bytes.resize(bytes.size() - 1);
  const File file("image", test::as_bytes(bytes), {.allow_cut_data = true});
  EXPECT_TRUE(file.is_cut());
  ASSERT_EQ(file.warnings().size(), 1u);
  EXPECT_EQ(file.warnings()[0],
            "file is cut: " + std::to_string(bytes.size()) + " of " + std::to_string(bytes.size() + 1) + " bytes");
  EXPECT_NE(file.find_tensor("a")->data, nullptr);
  EXPECT_EQ(file.find_tensor("b")->data, nullptr);
}

}  // namespace
}  // namespace bitnet::gguf
