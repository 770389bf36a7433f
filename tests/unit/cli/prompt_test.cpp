// tests/unit/cli/prompt_test.cpp - prompt files: any bytes pass, what cannot be a prompt is refused (bad input T6).
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "parse.h"

namespace bitnet::cli {
namespace {

class PromptFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = (std::filesystem::path(::testing::TempDir()) /
             ("bitnet_prompt_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name())))
                .string();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void write(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }
  std::string read() const { return read_prompt({PromptFrom::kFile, path_, {}}); }
  std::string refused() const {
    return usage_error_of([&] { read(); });
  }
  std::string path_;
};

TEST(PromptText, IsTheTextItself) { EXPECT_EQ(read_prompt({PromptFrom::kText, "Hi", {}}), "Hi"); }

TEST(PromptText, IdsHaveNone) { EXPECT_THROW(read_prompt({PromptFrom::kIds, {}, {1}}), std::logic_error); }

TEST_F(PromptFile, EveryByteValuePasses) {
  std::string bytes = "x";
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  for (int i = 0; i < 12; ++i) bytes += bytes;
  write(bytes);
  EXPECT_EQ(read(), bytes);
  write("");
  EXPECT_EQ(read(), "");
}

TEST_F(PromptFile, Missing) { EXPECT_EQ(refused(), "prompt from " + path_ + ": No such file or directory"); }

TEST_F(PromptFile, Folder) {
  std::filesystem::create_directory(path_);
  EXPECT_EQ(refused(), "prompt from " + path_ + ": expected a file, found a folder");
}

TEST_F(PromptFile, Utf16) {
  for (const std::string mark : {"\xFF\xFE", "\xFE\xFF"}) {
    write(mark + "h");
    EXPECT_CONTAINS(refused(), "expected UTF-8, found the byte order mark of UTF-16 at byte 0");
  }
}

TEST_F(PromptFile, FiveGigabytes) {
  write("");
  std::filesystem::resize_file(path_, uint64_t{5} << 30);  // sparse
  EXPECT_EQ(refused(), "prompt from " + path_ + ": expected at most 67108864 bytes, found 5368709120");
}

TEST_F(PromptFile, LimitAndLimitPlusOne) {
  write("");
  std::filesystem::resize_file(path_, kMaxPromptBytes);
  EXPECT_EQ(read().size(), kMaxPromptBytes);
  std::filesystem::resize_file(path_, kMaxPromptBytes + 1);
  EXPECT_CONTAINS(refused(), "found 67108865");
}

TEST(PromptDevice, WithoutEnd) {
  const std::string message = usage_error_of([] { read_prompt({PromptFrom::kFile, "/dev/zero", {}}); });
  EXPECT_EQ(message, "prompt from /dev/zero: expected at most 67108864 bytes, found more");
}

TEST(PromptStdin, ReadsToItsEnd) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int saved = ::dup(STDIN_FILENO);
  ASSERT_EQ(::dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
  ASSERT_EQ(::write(ends[1], "from a pipe", 11), 11);
  ::close(ends[1]);
  EXPECT_EQ(read_prompt({PromptFrom::kStdin, {}, {}}), "from a pipe");
  ::close(ends[0]);
  if (saved >= 0) {
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
  }
}

}  // namespace
}  // namespace bitnet::cli
