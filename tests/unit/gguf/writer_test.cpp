// unit/gguf/writer_test.cpp - what the writer writes is read back; files above 4 GB; nothing partial stays behind.
#include "gguf/writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <numeric>

#include "gguf/reader.h"
#include "unit/gguf/files.h"

namespace bitnet::gguf {
namespace {

using test::error_of;
using test::TempFolder;

TEST(GgufWriter, what_is_written_is_read_back) {
  const TempFolder folder;
  const std::string path = folder / "model.gguf";
  const std::vector<std::string> tokens{"", "a", "\xE2\x98\x83"};
  const std::vector<float> scores{0.5f, -1.0f, 0.0f};
  std::vector<uint8_t> ternary(96);
  std::iota(ternary.begin(), ternary.end(), uint8_t{0});
  const std::vector<float> norm{1, 2, 3, 4, 5};
  {
    Writer writer(path, 64);
    writer.add_string("general.architecture", "llama");
    writer.add_key<uint8_t>("u8", 255);
    writer.add_key<int64_t>("i64", -5);
    writer.add_key<bool>("bool", true);
    writer.add_key<float>("f32", 0.1f);
    writer.add_key<double>("f64", 0.1);
    writer.add_string_array("tokens", tokens);
    writer.add_array<float>("scores", scores);
    writer.add_array<int32_t>("empty", std::vector<int32_t>{});
    EXPECT_EQ(writer.add_tensor("norm", Type::kF32, {5}), 20u);
    EXPECT_EQ(writer.add_tensor("matrix", Type::kI2_S, {128, 2}), 96u);
    writer.write(norm.data(), 8);
    writer.write(norm.data() + 2, 12);
    writer.write(ternary.data(), 96);
    EXPECT_FALSE(std::filesystem::exists(path));
    const uint64_t size = writer.finish();
    EXPECT_EQ(size, std::filesystem::file_size(path));
  }
  const File file(path);
  EXPECT_TRUE(file.warnings().empty());
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.alignment(), 64u);
  EXPECT_EQ(file.size() % 64, 0u);
  EXPECT_EQ(file.keys().size(), 10u);
  EXPECT_EQ(file.find_string("general.architecture"), "llama");
  EXPECT_EQ(file.find_uint("u8"), 255u);
  EXPECT_EQ(file.find_int("i64"), -5);
  EXPECT_EQ(file.find_bool("bool"), true);
  EXPECT_EQ(file.find_float("f32"), 0.1f);
  EXPECT_EQ(file.find_float("f64"), 0.1);
  EXPECT_EQ(file.find_string_array("tokens"), (std::vector<std::string_view>(tokens.begin(), tokens.end())));
  EXPECT_EQ(file.find_float_array("scores"), scores);
  EXPECT_EQ(file.find_int_array("empty"), std::vector<int64_t>{});
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(std::memcmp(file.find_tensor("norm")->data, norm.data(), 20), 0);
  EXPECT_EQ(file.find_tensor("matrix")->extents, (Extents{128, 2, 1, 1}));
  EXPECT_EQ(std::memcmp(file.find_tensor("matrix")->data, ternary.data(), 96), 0);
}

TEST(GgufWriter, a_sparse_file_above_4_gb_opens_and_its_last_tensor_is_readable) {
  const TempFolder folder;
  const std::string path = folder / "large.gguf";
  const float last[] = {1.5f, -2.5f, 3.5f, -4.5f};
  {
    Writer writer(path);
    writer.add_string("general.architecture", "llama");
    for (int i = 0; i < 3; ++i) writer.add_tensor("large." + std::to_string(i), Type::kF16, {uint64_t{1} << 20, 1024});
    writer.add_tensor("last", Type::kF32, {4});
    for (int i = 0; i < 3; ++i) writer.skip(uint64_t{2} << 30);
    writer.write(last, sizeof(last));
    writer.finish();
  }
  const File file(path);
  EXPECT_TRUE(file.warnings().empty());
  const TensorInfo& tensor = *file.find_tensor("last");
  EXPECT_GT(tensor.offset, uint64_t{6} << 30);
  EXPECT_EQ(std::memcmp(tensor.data, last, sizeof(last)), 0);
  EXPECT_EQ(file.find_tensor("large.2")->data[(uint64_t{2} << 30) - 1], 0);
  EXPECT_EQ(file.size(), tensor.offset + 32);
}

TEST(GgufWriter, a_gap_between_tensors_is_a_hole_that_the_reader_reports) {
  const TempFolder folder;
  const float values[] = {1, 2, 3, 4, 5, 6, 7, 8};
  {
    Writer writer(folder / "model.gguf");
    writer.add_tensor("a", Type::kF32, {8});
    writer.add_gap(100);
    writer.add_tensor("b", Type::kF32, {8});
    writer.write(values, 32);
    writer.write(values, 32);
    writer.finish();
  }
  const File file(folder / "model.gguf");
  EXPECT_EQ(file.find_tensor("b")->offset, file.data_start() + 32 + 128);
  EXPECT_EQ(std::memcmp(file.find_tensor("b")->data, values, 32), 0);
  ASSERT_EQ(file.warnings().size(), 1u);
  EXPECT_NE(file.warnings()[0].find("1 gap(s) of together 128 bytes"), std::string::npos) << file.warnings()[0];
}

TEST(GgufWriter, a_file_without_tensors_ends_after_its_keys) {
  const TempFolder folder;
  Writer writer(folder / "vocabulary.gguf");
  writer.add_string("general.architecture", "llama");
  EXPECT_EQ(writer.finish(), 24u + 8 + 20 + 4 + 8 + 5);
  EXPECT_TRUE(File(folder / "vocabulary.gguf").tensors().empty());
}

TEST(GgufWriter, nothing_stays_behind_without_finish) {
  const TempFolder folder;
  {
    Writer writer(folder / "model.gguf");
    writer.add_tensor("t", Type::kF32, {4});
    writer.skip(8);
    EXPECT_NE(error_of([&] { writer.finish(); }, ErrorKind::kFailure).find("'t' has 8 of 16 bytes"), std::string::npos);
  }
  EXPECT_TRUE(folder.empty());
}

TEST(GgufWriter, wrong_use_is_an_error) {
  const TempFolder folder;
  const auto expect_error = [&](auto&& use, const char* part) {
    Writer writer(folder / "model.gguf");
    writer.add_key<uint32_t>("key", 1);
    writer.add_tensor("t", Type::kF32, {4});
    const std::string message = error_of([&] { use(writer); }, ErrorKind::kFailure);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  const float four[8] = {};
  expect_error([](Writer& w) { w.add_key<uint32_t>("key", 2); }, "'key'");
  expect_error([](Writer& w) { w.add_string("", "x"); }, "empty");
  expect_error([](Writer& w) { w.add_tensor("t", Type::kF32, {4}); }, "twice");
  expect_error([](Writer& w) { w.add_tensor(std::string(64, 'x'), Type::kF32, {4}); }, "too long");
  expect_error([](Writer& w) { w.add_tensor("q", Type::kQ6_K, {100}); }, "100 columns are no multiple of 256");
  expect_error([](Writer& w) { w.add_tensor("d", Type::kF32, {1, 1, 1, 1, 1}); }, "dimensions");
  expect_error([&](Writer& w) { w.write(four, 17); }, "more bytes than tensor 't'");
  expect_error([&](Writer& w) { w.skip(17); }, "more bytes");
  expect_error([&](Writer& w) { w.write(four, 16), w.write(four, 1); }, "past the last");
  expect_error([&](Writer& w) { w.write(four, 4), w.add_key<uint32_t>("late", 1); }, "after the first data");
  expect_error([&](Writer& w) { w.write(four, 4), w.add_tensor("late", Type::kF32, {1}); }, "after the first data");
  error_of([&] { Writer(folder / "x.gguf", 48); }, ErrorKind::kFailure);
  EXPECT_NE(error_of([&] { Writer(folder / "no/such/folder.gguf"); }, ErrorKind::kFailure).find("No such file"),
            std::string::npos);
  EXPECT_TRUE(folder.empty());
}

TEST(GgufWriter, a_full_disk_is_reported) {
  const TempFolder folder;
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{4096, before.rlim_max};
  ::signal(SIGXFSZ, SIG_IGN);  // the write fails instead
  ::setrlimit(RLIMIT_FSIZE, &small);
  {
    Writer writer(folder / "model.gguf");
    writer.add_tensor("t", Type::kF32, {4096});
    const std::vector<float> values(4096);
    const auto write_all = [&] {
      writer.write(values.data(), 4 * values.size());
      writer.finish();
    };
    EXPECT_NE(error_of(write_all, ErrorKind::kFailure).find("File too large"), std::string::npos);
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, SIG_DFL);
  EXPECT_TRUE(folder.empty());
}

TEST(GgufWriter, bytes_may_come_in_any_order) {
  const TempFolder folder;
  const float values[] = {1, 2, 3, 4, 5, 6, 7, 8};
  {
    Writer writer(folder / "model.gguf");
    writer.add_tensor("a", Type::kF32, {8});
    writer.add_tensor("b", Type::kF32, {4});
    writer.write_at(16, values + 4, 16);
    EXPECT_NE(error_of([&] { writer.write_at(30, values, 4); }, ErrorKind::kFailure).find("not in tensor 'a'"),
              std::string::npos);
    writer.write_at(0, values, 16);
    writer.write(values, 16);
    writer.complete();
    EXPECT_FALSE(std::filesystem::exists(folder / "model.gguf"));
    EXPECT_EQ(File(writer.partial_path()).tensors().size(), 2u) << "it can be read before it has its name";
    writer.publish();
  }
  const File file(folder / "model.gguf");
  EXPECT_EQ(std::memcmp(file.find_tensor("a")->data, values, 32), 0);
  EXPECT_EQ(std::memcmp(file.find_tensor("b")->data, values, 16), 0);
}

TEST(GgufWriter, copied_keys_are_the_same_bytes) {
  const TempFolder folder;
  const File from(test::data_path("container/keys.gguf"));
  {
    Writer writer(folder / "copy.gguf", from.alignment());
    for (const KeyValue& entry : from.keys()) writer.add_copy(entry);
    writer.finish();
  }
  const File copy(folder / "copy.gguf");
  ASSERT_EQ(copy.keys().size(), from.keys().size());
  for (size_t i = 0; i < copy.keys().size(); ++i) {
    const KeyValue &a = from.keys()[i], &b = copy.keys()[i];
    EXPECT_EQ(a.key, b.key);
    EXPECT_EQ(a.type, b.type);
    EXPECT_EQ(a.element_type, b.element_type);
    EXPECT_EQ(std::string(a.data, a.data + a.bytes), std::string(b.data, b.data + b.bytes)) << a.key;
  }
}

}  // namespace
}  // namespace bitnet::gguf
