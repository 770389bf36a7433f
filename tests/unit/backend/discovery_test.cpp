// unit/backend/discovery_test.cpp - the search order, its limits, and what the user leaves out.
#include "backend/discovery.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "plugin_files.h"

namespace bitnet::backend {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

class Discovery : public PluginTest {};

TEST_F(Discovery, OrderIsFilesDirsPathUserInstalled) {
  DiscoveryOptions options;
  options.files = {folder_ / "one.so"};
  options.dirs = {folder_.make_folder("dir")};
  options.path = {folder_.make_folder("path")};
  options.program_path = folder_ / "prefix/bin/bitnet-run";
  const std::string user = home_.make_folder("bitnet/plugins");
  const std::string installed = folder_.make_folder("prefix/lib/bitnet/plugins");
  for (const std::string& name : {std::string("dir/bn_b.so"), std::string("dir/bn_a.so"), std::string("path/bn_c.so"),
                                  std::string("prefix/lib/bitnet/plugins/bn_d.so")}) {
    folder_.write(name, {});
  }
  home_.write("bitnet/plugins/bn_e.so", {});
  const PluginSearch search = find_plugin_files(options);
  EXPECT_EQ(search.directories, (Strings{folder_ / "dir", folder_ / "path", user, installed}));
  EXPECT_EQ(search.files, (Strings{folder_ / "one.so", folder_ / "dir/bn_a.so", folder_ / "dir/bn_b.so",
                                   folder_ / "path/bn_c.so", user + "/bn_e.so", installed + "/bn_d.so"}));
  EXPECT_TRUE(search.warnings.empty());
}

TEST_F(Discovery, OnlyTheNamePatternCountsAndNoSubfolder) {
  for (const char* name : {"bn_.so", "bn_x.so.1", "xbn_x.so", "libbn_x.so", "bn_x.dll", "bn_x.SO", ".bn_x.so"}) {
    folder_.write(name, {});
  }
  folder_.make_folder("deeper");
  folder_.write("deeper/bn_x.so", {});
  folder_.make_folder("bn_folder.so");
  DiscoveryOptions options;
  options.dirs = {folder_.path()};
  EXPECT_EQ(find_plugin_files(options).files, (Strings{folder_ / "bn_folder.so"}));
}

TEST_F(Discovery, MissingFoldersNamedByTheUserAreWarnedOf) {
  DiscoveryOptions options;
  options.dirs = {folder_ / "no\nsuch", folder_.write("file", {})};
  options.path = {folder_ / "neither"};
  options.program_path = folder_ / "nowhere/bin/x";  // not named by the user: silent
  const PluginSearch search = find_plugin_files(options);
  EXPECT_EQ(search.warnings, (Strings{"plugin folder " + folder_.path() + "/no\\nsuch does not exist",
                                      "plugin folder " + folder_.path() + "/file does not exist",
                                      "plugin folder " + folder_.path() + "/neither does not exist"}));
  EXPECT_TRUE(search.directories.empty());
}

TEST_F(Discovery, RelativePathEntriesAreRefused) {
  folder_.write("bn_x.so", {});
  const std::string before = fs::current_path();
  fs::current_path(folder_.path());
  DiscoveryOptions options;
  options.path = {".", "", "lib"};
  const PluginSearch search = find_plugin_files(options);
  options.path.clear();
  options.dirs = {"."};  // an option typed now means the folder it says
  options.files = {"bn_x.so"};
  const PluginSearch typed = find_plugin_files(options);
  fs::current_path(before);
  EXPECT_EQ(search.warnings.size(), 3u);
  EXPECT_EQ(search.warnings[0], "plugin folder '.' is ignored, it must be absolute");
  EXPECT_TRUE(search.files.empty());
  ASSERT_EQ(typed.files.size(), 2u);
  EXPECT_EQ(typed.files[0], folder_ / "bn_x.so");
  EXPECT_TRUE(typed.files[1].starts_with('/'));
}

TEST_F(Discovery, UserFolderFollowsTheXdgRules) {
  const std::string user = home_.make_folder(".local/share/bitnet/plugins");
  ::setenv("HOME", home_.path().c_str(), 1);
  ::unsetenv("XDG_DATA_HOME");
  EXPECT_EQ(find_plugin_files({}).directories, (Strings{user}));
  ::setenv("XDG_DATA_HOME", "relative", 1);
  EXPECT_EQ(find_plugin_files({}).directories, (Strings{user}));
  ::setenv("XDG_DATA_HOME", folder_.path().c_str(), 1);
  EXPECT_TRUE(find_plugin_files({}).directories.empty());
}

TEST_F(Discovery, PrivilegedProcessUsesTheInstalledFolderOnly) {
  DiscoveryOptions options;
  options.files = {folder_.write("bn_x.so", {})};
  options.dirs = options.path = {folder_.path()};
  home_.make_folder("bitnet/plugins");
  const std::string installed = folder_.make_folder("prefix/lib/bitnet/plugins");
  options.program_path = folder_ / "prefix/bin/bitnet-run";
  options.privileged = true;
  const PluginSearch search = find_plugin_files(options);
  EXPECT_EQ(search.directories, (Strings{installed}));
  EXPECT_TRUE(search.files.empty());
  EXPECT_EQ(search.warnings.size(), 1u);
}

TEST_F(Discovery, P9_ThousandFilesAndAFolderNamedTwice) {
  for (int i = 0; i < 1000; ++i) folder_.write(fmt::format("bn_{:04}.so", i), {});
  DiscoveryOptions options;
  options.dirs = {folder_.path(), folder_.path() + "/../" + fs::path(folder_.path()).filename().string()};
  const PluginSearch search = find_plugin_files(options);
  EXPECT_EQ(search.directories.size(), 1u);
  ASSERT_EQ(search.files.size(), kMaxFilesPerFolder);
  EXPECT_EQ(search.files.back(), folder_ / "bn_0255.so");
  EXPECT_EQ(search.warnings.size(), 1u);
}

// --- what the user leaves out

TEST_F(Discovery, GlobsMatchFileAndShortNames) {
  DiscoveryOptions options;
  const Strings names = {"bn_acme_fast.so", "acme_fast", "fast"};
  EXPECT_EQ(left_out_by_globs(options, names), "");
  options.skip = {"other", "acme*"};
  EXPECT_EQ(left_out_by_globs(options, names), "BITNET_PLUGINS_SKIP leaves it out (acme*)");
  options.skip = {"bn_acme"};
  options.only = {"f?st"};
  EXPECT_EQ(left_out_by_globs(options, names), "");
  options.only = {"slow", "BN_*"};
  EXPECT_EQ(left_out_by_globs(options, names), "BITNET_PLUGINS_ONLY does not name it (slow,BN_*)");
}

TEST_F(Discovery, TheProbeBelongsToTheProgram) {
  DiscoveryOptions options;
  EXPECT_EQ(probe_program(options), "");
  options.program_path = "/opt/x/bin/bitnet-run";
  EXPECT_EQ(probe_program(options), "/opt/x/libexec/bitnet/bn_probe");
  options.probe_program = "/other";
  EXPECT_EQ(probe_program(options), "/other");
  EXPECT_EQ(prefix_of("bitnet-run"), "");
}

}  // namespace
}  // namespace bitnet::backend
