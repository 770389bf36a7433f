// base/mapped_file_test.cpp - what can be mapped, and what is refused without blocking.
#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/process_memory.h"
#include "support/files.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

std::string refusal(const std::string& path) {
  try {
    const MappedFile file(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(MappedFile, ShowsTheBytes) {
  const test::TempFolder folder;
  test::write_text(folder / "a", "hello");
  const MappedFile file(folder / "a");
  EXPECT_EQ(file.size(), 5u);
  EXPECT_EQ(std::string(file.data(), file.data() + file.size()), "hello");
}

TEST(MappedFile, EmptyFileHasNoData) {
  const test::TempFolder folder;
  test::write_text(folder / "a", "");
  const MappedFile file(folder / "a");
  EXPECT_EQ(file.size(), 0u);
  EXPECT_EQ(file.data(), nullptr);
}

TEST(MappedFile, ReleasedPagesComeBackWhenTheyAreRead) {
  const test::TempFolder folder;
  const std::string text = std::string(8'000'000, 'x') + "end";
  test::write_text(folder / "a", text);
  const MappedFile file(folder / "a");
  const auto content = [&] { return std::string(file.data(), file.data() + file.size()); };
  EXPECT_EQ(content(), text);
  const uint64_t before = process_memory().rss.value_or(0);
  file.release(file.data(), file.size());
  EXPECT_LE(process_memory().rss.value_or(0) + 4'000'000, before);
  file.release(file.data() + 5000, 100);  // no whole page
  EXPECT_EQ(content(), text);
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const test::TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_NE(refusal(folder / "fifo").find("not a regular file"), std::string::npos);
  EXPECT_NE(refusal(folder.path().string()).find("not a regular file"), std::string::npos);
  EXPECT_NE(refusal("/dev/null").find("not a regular file"), std::string::npos);
  EXPECT_NE(refusal(folder / "absent").find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace bitnet
