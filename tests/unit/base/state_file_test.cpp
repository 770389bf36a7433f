// unit/base/state_file_test.cpp - what was written is read back; everything else reads as empty; processes do not lose updates.
#include "base/state_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support/files.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

class StateFileTest : public testing::Test {
 protected:
  StateFileTest() { ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1); }
  ~StateFileTest() override { ::unsetenv("XDG_CACHE_HOME"); }
  std::string file(const std::string& name) const { return folder_ / ("cache/bitnet/" + name); }
  TempFolder folder_;
};

TEST_F(StateFileTest, IsReadBackAndOtherVersionsAreEmpty) {
  EXPECT_EQ(StateFile("a.json", 1).read(), json::object());
  EXPECT_TRUE(StateFile("a.json", 1).update([](json& j) { j["x"] = 5; }));
  EXPECT_TRUE(StateFile("a.json", 1).update([](json& j) { j["y"] = j["x"].get<int>() + 1; }));
  EXPECT_EQ(StateFile("a.json", 1).read(), (json{{"x", 5}, {"y", 6}}));
  EXPECT_EQ(StateFile("a.json", 2).read(), json::object());
}

TEST_F(StateFileTest, DamagedAndForeignFilesAreEmpty) {
  const StateFile state("a.json", 1);
  for (const std::string& text :
       {std::string(""), std::string("{"), std::string("[1]"), std::string("{\"version\":1}"), std::string("\x00\xFF", 2),
        "{\"version\":1,\"content\":" + std::string(100000, '[') + "}", std::string(StateFile::kMaxBytes + 1, ' ')}) {
    write_text(file("a.json"), text);
    EXPECT_EQ(state.read(), json::object());
  }
  EXPECT_TRUE(state.update([](json& j) { j["x"] = 1; }));
  EXPECT_EQ(state.read(), (json{{"x", 1}}));
}

TEST_F(StateFileTest, AFolderOthersCanChangeIsNotUsed) {
  ASSERT_FALSE(cache_folder().empty());
  ::chmod((folder_ / "cache/bitnet").c_str(), 0777);
  EXPECT_EQ(cache_folder(), "");
  EXPECT_FALSE(StateFile("a.json", 1).update([](json& j) { j["x"] = 1; }));
}

TEST_F(StateFileTest, WithoutAFolderNothingIsKept) {
  write_text(folder_ / "cache", "a file, not a folder");
  EXPECT_EQ(cache_folder(), "");
  EXPECT_FALSE(StateFile("a.json", 1).update([](json& j) { j["x"] = 1; }));
  EXPECT_EQ(StateFile("a.json", 1).read(), json::object());
}

TEST_F(StateFileTest, ProcessesAtOnceLoseNoUpdate) {
  constexpr int kProcesses = 4, kUpdates = 25;
  ASSERT_FALSE(cache_folder().empty());
  for (int i = 0; i < kProcesses; ++i) {
    if (::fork() == 0) {
      for (int n = 0; n < kUpdates; ++n) StateFile("n.json", 1).update([](json& j) { j["n"] = j.value("n", 0) + 1; });
      ::_exit(0);
    }
  }
  for (int i = 0; i < kProcesses; ++i) ::wait(nullptr);
  EXPECT_EQ(StateFile("n.json", 1).read(), (json{{"n", kProcesses * kUpdates}}));
}

}  // namespace
}  // namespace bitnet::test
