// unit/gguf/file_faults_test.cpp - faults that need a real file: kinds of file, foreign content, sizes beyond memory.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "gguf/reader.h"
#include "unit/gguf/files.h"
#include "unit/gguf/model_image.h"

namespace bitnet::gguf {
namespace {

using test::error_of;
using test::TempFolder;

void expect_refused(const std::string& path, const std::string& part) {
  const std::string message = error_of([&] { File file(path); });
  EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_NE(message.find(path), std::string::npos) << message;
}

TEST(GgufFile, F01_files_of_other_kinds) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(folder / "directory");
  expect_refused(folder / "fifo", "not a regular file");
  expect_refused(folder / "directory", "not a regular file");
  expect_refused("/dev/zero", "not a regular file");
  expect_refused(folder / "absent", "No such file");
}

TEST(GgufFile, F01_files_of_0_to_23_bytes) {
  const TempFolder folder;
  const std::string whole = test::valid_image().build();
  for (size_t n = 0; n < 24; ++n) {
    test::write_file(folder / "short.gguf", whole.substr(0, n));
    expect_refused(folder / "short.gguf", "too short for a GGUF file: " + std::to_string(n) + " bytes, at least 24");
  }
}

TEST(GgufFile, F02_foreign_content_is_named) {
  const std::string tail(100, ' ');
  const std::string json_header = R"({"model.embed_tokens.weight":{"dtype":"BF16"}})";
  const struct {
    std::string content;
    const char* part;
  } cases[] = {
      {"<!DOCTYPE html>\n<html><body>Not found</body></html>",
       "looks like an HTML page: the download was not the model; fetch it with 'bitnet-run pull'"},
      {"\r\n  <HTML>" + tail, "looks like an HTML page"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n",
       "looks like a Git-LFS pointer: the download was not the model"},
      {"{\"error\":\"Entry not found\"}", "looks like a JSON error answer"},
      {"PK\x03\x04" + tail, "looks like a ZIP archive"},
      {test::raw<uint64_t>(json_header.size()) + json_header + tail, "looks like a safetensors file: a GGUF file is needed"},
      {"\x1f\x8b\x08" + tail, "looks like a gzip archive"},
      {"lmgg" + tail, "old GGML file"},
      {"some text that is no model at all", "no GGUF file: it begins with 'some', expected 'GGUF'"},
      {"Entry not found", "too short for a GGUF file: 15 bytes, at least 24 expected; no GGUF file: it begins with 'Entr'"},
      {std::string(64, '\0'), "begins with '\\x00\\x00\\x00\\x00'"},
  };
  const TempFolder folder;
  for (const auto& c : cases) {
    test::write_file(folder / "model.gguf", c.content);
    expect_refused(folder / "model.gguf", c.part);
  }
}

TEST(GgufFile, F07_a_string_of_900_mb_that_is_really_there) {
  const TempFolder folder;
  test::ModelImage image = test::valid_image();
  image.keys = {{"general.name", 8, test::raw<uint64_t>(900'000'000)}};
  image.tensors.clear();
  test::write_file(folder / "model.gguf", image.build());
  std::filesystem::resize_file(folder / "model.gguf", 901'000'000);
  const auto start = std::chrono::steady_clock::now();
  expect_refused(folder / "model.gguf", "900000000 bytes, at most 16777216");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(GgufFile, F09_a_billion_empty_strings_that_are_really_there) {
  const TempFolder folder;
  test::ModelImage image = test::valid_image();
  image.keys = {{"tokens", 9, test::raw_array(8, 1'000'000'000, "")}};
  image.tensors.clear();
  test::write_file(folder / "model.gguf", image.build());
  std::filesystem::resize_file(folder / "model.gguf", 8'100'000'000);
  const auto start = std::chrono::steady_clock::now();
  expect_refused(folder / "model.gguf", "an array of 1000000000 elements");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(GgufFile, F09_the_largest_array_of_strings_is_read_in_time) {
  const TempFolder folder;
  test::ModelImage image = test::valid_image();
  image.keys = {{"tokens", 9, test::raw_array(8, 1 << 24, "")}};
  image.tensors.clear();
  test::write_file(folder / "model.gguf", image.build());
  std::filesystem::resize_file(folder / "model.gguf", image.build().size() + (uint64_t{8} << 24));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(File(folder / "model.gguf").keys()[0].count, 1u << 24);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(GgufFile, F15_a_gigabyte_of_extra_bytes_is_a_warning) {
  const TempFolder folder;
  const std::string bytes = test::valid_image().build();
  test::write_file(folder / "model.gguf", bytes);
  std::filesystem::resize_file(folder / "model.gguf", bytes.size() + (uint64_t{1} << 30));
  const File file(folder / "model.gguf");
  EXPECT_EQ(file.tensors().size(), 8u);
  ASSERT_EQ(file.warnings().size(), 1u);
  EXPECT_NE(file.warnings()[0].find("1073741824 bytes behind the last tensor"), std::string::npos) << file.warnings()[0];
}

}  // namespace
}  // namespace bitnet::gguf
