// unit/store/prepack_cache_test.cpp - what is kept is found again, nothing else is, and nothing is left behind.
#include "store/prepack_cache.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "support/files.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

namespace fs = std::filesystem;
using store::PieceShape;
using store::PrepackCache;
using store::PrepackFile;

const std::string kLayout(32, '1');
const std::vector<PieceShape> kShapes = {{3, 5, 100}, {7, 8, 5000}, {1, 1, 1}};

class PrepackCacheTest : public testing::Test {
 protected:
  PrepackCacheTest() {
    ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);
    write_text(folder_ / "model", "a model");
    for (size_t i = 0; i < kShapes.size(); ++i) bytes_.emplace_back(kShapes[i].bytes, static_cast<char>('a' + i));
  }
  ~PrepackCacheTest() override { ::unsetenv("XDG_CACHE_HOME"); }

  PrepackCache cache(const std::string& version = "1.0", store::PrepackLimits limits = {}) const {
    return {folder_ / "model", "org.example.acme", version, limits};
  }
  bool keep(PrepackCache cache, const std::string& layout = kLayout) const {
    std::vector<const void*> data;
    for (const std::string& b : bytes_) data.push_back(b.data());
    return cache.keep(layout, kShapes, data);
  }
  bool is_found(PrepackCache cache, const std::string& layout = kLayout) const {
    const std::unique_ptr<PrepackFile> file = cache.find(layout, kShapes);
    if (file == nullptr) return false;
    for (size_t i = 0; i < kShapes.size(); ++i) {
      EXPECT_EQ(file->piece(i).size(), kShapes[i].bytes);
      EXPECT_EQ(std::memcmp(file->piece(i).data(), bytes_[i].data(), kShapes[i].bytes), 0) << i;
    }
    return true;
  }
  std::string prepack_folder() const { return folder_ / "cache/bitnet/prepack"; }
  // Names in the folder, hidden ones too.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    if (!fs::exists(prepack_folder())) return names;
    for (const auto& entry : fs::directory_iterator(prepack_folder())) names.push_back(entry.path().filename().string());
    return names;
  }
  std::string only_file() const {
    EXPECT_EQ(files().size(), 1u);
    return prepack_folder() + "/" + files().at(0);
  }

  TempFolder folder_;
  std::vector<std::string> bytes_;
};

TEST_F(PrepackCacheTest, WhatIsKeptIsFound) {
  EXPECT_FALSE(is_found(cache()));
  EXPECT_TRUE(keep(cache()));
  EXPECT_TRUE(is_found(cache()));
  EXPECT_EQ(fs::status(only_file()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

// A file is written two megabytes at a time, wherever its pieces begin and end.
TEST_F(PrepackCacheTest, PiecesOfAnySizeComeBack) {
  constexpr uint64_t kWrite = 2u << 20;
  std::vector<PieceShape> shapes;
  std::vector<std::string> bytes;
  for (const uint64_t size : {uint64_t{1}, kWrite - 4096, kWrite, uint64_t{5}, 2 * kWrite + 4097, kWrite - 1}) {
    std::string piece(size, '\0');
    for (uint64_t i = 0; i < size; ++i) piece[i] = static_cast<char>(i * 2654435761u >> 13 ^ shapes.size());
    shapes.push_back({1, 1, size});
    bytes.push_back(std::move(piece));
  }
  std::vector<const void*> data;
  for (const std::string& b : bytes) data.push_back(b.data());
  PrepackCache kept = cache();
  ASSERT_TRUE(kept.keep(kLayout, shapes, data));
  const std::unique_ptr<PrepackFile> file = cache().find(kLayout, shapes);
  ASSERT_NE(file, nullptr);
  for (size_t i = 0; i < shapes.size(); ++i)
    EXPECT_TRUE(
        std::ranges::equal(file->piece(i), std::span(reinterpret_cast<const uint8_t*>(bytes[i].data()), bytes[i].size())))
        << i;
}

TEST_F(PrepackCacheTest, OtherModelsPluginsVersionsAndLayoutsAreOtherFiles) {
  EXPECT_TRUE(keep(cache()));
  EXPECT_FALSE(is_found(cache("1.1")));
  EXPECT_FALSE(is_found(cache(), std::string(32, '2')));
  EXPECT_FALSE(is_found({folder_ / "model", "org.example.other", "1.0"}));
  EXPECT_TRUE(keep(cache("1.1")));
  EXPECT_EQ(files().size(), 2u);
  EXPECT_TRUE(is_found(cache()));
  write_text(folder_ / "model", "b model");
  EXPECT_FALSE(is_found(cache()));
}

TEST_F(PrepackCacheTest, EveryByteOfHeaderAndTableCounts) {
  EXPECT_TRUE(keep(cache()));
  const std::string path = only_file(), good = read_text(path);
  const size_t header_and_table = 512 + 24 * kShapes.size();
  for (size_t i = 0; i < header_and_table; ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    write_text(path, bad);
    EXPECT_FALSE(is_found(cache())) << "byte " << i;
    EXPECT_TRUE(files().empty()) << "byte " << i << ": a damaged file is removed";
    ::chmod(path.c_str(), 0600);
  }
  for (const size_t size : {size_t{0}, size_t{100}, size_t{511}, size_t{4096}, good.size() - 1, good.size() + 1}) {
    std::string bad = good;
    bad.resize(size);
    write_text(path, bad);
    EXPECT_FALSE(is_found(cache())) << size;
  }
  write_text(path, good);
  EXPECT_TRUE(is_found(cache())) << "the test itself";
}

TEST_F(PrepackCacheTest, OtherPiecesAreNotFound) {
  EXPECT_TRUE(keep(cache()));
  const std::string good = read_text(only_file()), path = only_file();
  std::vector<PieceShape> shapes = kShapes;
  shapes[1].rows = 8;
  EXPECT_EQ(cache().find(kLayout, shapes), nullptr);
  write_text(path, good);
  shapes = kShapes;
  shapes.pop_back();
  EXPECT_EQ(cache().find(kLayout, shapes), nullptr);
}

TEST_F(PrepackCacheTest, FilesThatOthersCanChangeAreNotUsed) {
  EXPECT_TRUE(keep(cache()));
  ::chmod(only_file().c_str(), 0622);
  EXPECT_FALSE(is_found(cache()));
  EXPECT_TRUE(keep(cache()));
  fs::rename(only_file(), folder_ / "elsewhere");
  const std::string name = cache().find(kLayout, kShapes) == nullptr ? "gone" : "there";
  EXPECT_EQ(name, "gone");
}

TEST_F(PrepackCacheTest, ASymbolicLinkIsNotFollowed) {
  EXPECT_TRUE(keep(cache()));
  const std::string path = only_file();
  fs::rename(path, folder_ / "elsewhere");
  fs::create_symlink(folder_ / "elsewhere", path);
  EXPECT_FALSE(is_found(cache()));
  EXPECT_TRUE(fs::exists(folder_ / "elsewhere"));
}

TEST_F(PrepackCacheTest, WithoutAPrivateFolderThereIsNoCache) {
  fs::create_directories(folder_ / "cache/bitnet");
  fs::permissions(folder_ / "cache/bitnet", fs::perms::owner_all);
  write_text(prepack_folder(), "a file where the folder should be");
  EXPECT_FALSE(keep(cache()));
  EXPECT_FALSE(is_found(cache()));
  fs::remove(prepack_folder());
  EXPECT_TRUE(keep(cache()));
  fs::permissions(prepack_folder(), fs::perms::all);
  EXPECT_FALSE(is_found(cache()));
  ::setenv("XDG_CACHE_HOME", "not/absolute", 1);
  ::setenv("HOME", "", 1);
  EXPECT_FALSE(keep(cache()));
}

TEST_F(PrepackCacheTest, ReadOnlyFolderMeansNothingNew) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  EXPECT_TRUE(keep(cache()));
  fs::permissions(prepack_folder(), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_FALSE(keep(cache("1.1")));
  EXPECT_TRUE(is_found(cache())) << "what is there can be used";
  fs::permissions(prepack_folder(), fs::perms::owner_all);
}

TEST_F(PrepackCacheTest, TheLongestUnusedFilesMakeRoom) {
  const uint64_t one = store::prepack_file_bytes(kShapes);
  const store::PrepackLimits room_for_two = {2 * one};
  EXPECT_FALSE(keep(cache("0", {one - 1}))) << "larger than everything allowed";
  const auto later = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };  // the grain of file times
  EXPECT_TRUE(keep(cache("1", room_for_two)));
  later();
  EXPECT_TRUE(keep(cache("2", room_for_two)));
  later();
  EXPECT_TRUE(is_found(cache("1"))) << "used last";
  later();
  EXPECT_TRUE(keep(cache("3", room_for_two)));
  EXPECT_EQ(files().size(), 2u);
  EXPECT_FALSE(is_found(cache("2")));
  EXPECT_TRUE(is_found(cache("1")));
  EXPECT_TRUE(is_found(cache("3")));
  EXPECT_TRUE(keep(cache("3", room_for_two))) << "its own old file does not count twice";
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(PrepackCacheTest, AFullDiskOnlyMeansNoCache) {
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 6000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const bool kept = keep(cache());
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_FALSE(kept);
  EXPECT_TRUE(files().empty()) << files().at(0);
}

TEST_F(PrepackCacheTest, TwoWritersAtOnceLeaveOneGoodFile) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int n = 0; n < 20; ++n) keep(cache());
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(files().size(), 1u);
  EXPECT_TRUE(is_found(cache()));
}

// Killed at any moment: either the whole file is there or none, and the next writer removes what lies around.
TEST_F(PrepackCacheTest, AKilledWriterLeavesNothingThatIsUsed) {
  const std::vector<PieceShape> large = {{1, 1, uint64_t{96} << 20}};
  const std::string data(large[0].bytes, 'x');
  const void* const pointer = data.data();
  const pid_t child = ::fork();
  if (child == 0) {
    cache().keep(kLayout, large, std::span(&pointer, 1));
    ::_exit(0);
  }
  while (files().empty() && ::waitpid(child, nullptr, WNOHANG) == 0) std::this_thread::yield();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const std::vector<std::string> left = files();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_TRUE(!left[0].starts_with(".tmp-") || cache().find(kLayout, large) == nullptr);
  EXPECT_TRUE(keep(cache("2")));
  const std::vector<std::string> after = files();
  EXPECT_TRUE(std::none_of(after.begin(), after.end(), [](const std::string& n) { return n.starts_with("."); }));
}

}  // namespace
}  // namespace bitnet::test
