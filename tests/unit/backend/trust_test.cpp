// unit/backend/trust_test.cpp - whose files may run: owners, permissions, folders on the way, links.
#include "backend/trust.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "plugin_files.h"

namespace bitnet::backend {
namespace {

namespace fs = std::filesystem;

class Trust : public PluginTest {};

std::string distrust(const std::string& path, const std::string& beneath = {}) {
  try {
    check_trusted(path, beneath);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(Trust, FilesAndFoldersOthersCanChangeAreNotTrusted) {
  const std::string file = folder_.write("sub.so", {});
  EXPECT_EQ(distrust(file), "");
  ::chmod(file.c_str(), 0646);
  EXPECT_EQ(distrust(file), "the file can be changed by others (mode 646); chmod go-w it, or --allow-unsafe-plugins");
  ::chmod(file.c_str(), 0644);
  ::chmod(folder_.path().c_str(), 0777);
  EXPECT_EQ(distrust(file),
            "its folder " + folder_.path() + " can be changed by others (mode 777); chmod go-w it, or --allow-unsafe-plugins");
  ::chmod(folder_.path().c_str(), 01777);  // like /tmp: others cannot replace the file
  EXPECT_EQ(distrust(file), "");
}

TEST_F(Trust, EveryFolderOnTheWayCounts) {
  folder_.make_folder("a/b/c");
  const std::string file = folder_.write("a/b/c/bn_x.so", {});
  EXPECT_EQ(distrust(file), "");
  ::chmod((folder_ / "a").c_str(), 0777);
  EXPECT_NE(distrust(file).find("its folder " + (folder_ / "a") + " can be changed by others (mode 777)"), std::string::npos);
  EXPECT_EQ(distrust(file, folder_ / "a/b"), "") << "this program lies there too";
  ::chmod((folder_ / "a").c_str(), 0755);
  ::chmod((folder_ / "a/b/c").c_str(), 0777);
  EXPECT_NE(distrust(file, folder_ / "a/b"), "");
}

// The middle of a chain of links, which neither the path nor its end shows.
TEST_F(Trust, FoldersThatOnlyALinkPassesThroughCount) {
  folder_.make_folder("real");
  folder_.make_folder("middle");
  folder_.write("real/bn_x.so", {});
  fs::create_directory_symlink("../real", folder_ / "middle/to_real");
  fs::create_directory_symlink("middle/to_real", folder_ / "start");
  const std::string file = folder_ / "start/bn_x.so";
  EXPECT_EQ(distrust(file), "");
  ::chmod((folder_ / "middle").c_str(), 0777);
  EXPECT_NE(distrust(file).find("its folder " + (folder_ / "middle") + " can be changed"), std::string::npos);
}

TEST_F(Trust, LinksAreFollowedToTheRealFolder) {
  const std::string open_folder = folder_.make_folder("open");
  const std::string file = folder_.write("open/bn_x.so", {});
  const std::string link = folder_ / "bn_link.so";
  fs::create_symlink(file, link);
  EXPECT_EQ(distrust(link), "");
  ::chmod(open_folder.c_str(), 0777);
  EXPECT_NE(distrust(link).find("its folder " + open_folder), std::string::npos);
}

TEST_F(Trust, OwnersAndGroups) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const std::string file = folder_.write("bn_x.so", {});
  ASSERT_EQ(::chmod(file.c_str(), 0664), 0);
  EXPECT_EQ(distrust(file), "") << "a private group is the user";
  ASSERT_EQ(::chown(file.c_str(), 0, 12345), 0);
  EXPECT_NE(distrust(file).find("can be changed by others (mode 664)"), std::string::npos);
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  EXPECT_EQ(distrust(file), "");
  ASSERT_EQ(::chown(file.c_str(), 12345, 0), 0);
  EXPECT_NE(distrust(file).find("belongs to user 12345"), std::string::npos);
  ASSERT_EQ(::chown(file.c_str(), 0, 0), 0);
  ASSERT_EQ(::chown(folder_.path().c_str(), 12345, 0), 0);
  EXPECT_NE(distrust(file).find("its folder " + folder_.path() + " belongs to user 12345"), std::string::npos);
  // A link planted by somebody else in a shared folder.
  ASSERT_EQ(::chown(folder_.path().c_str(), 0, 0), 0);
  const std::string link = folder_ / "bn_link.so";
  fs::create_symlink(file, link);
  ASSERT_EQ(::lchown(link.c_str(), 12345, 12345), 0);
  EXPECT_NE(distrust(link).find("belongs to user 12345"), std::string::npos);
}

TEST_F(Trust, P1_OnlyRegularFilesResolve) {
  const auto reason = [](const std::string& path) -> std::string {
    try {
      resolve_plugin_file(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const std::string file = folder_.write("bn_x.so", {});
  fs::create_symlink(file, folder_ / "link");
  EXPECT_EQ(resolve_plugin_file(folder_ / "link"), file);
  fs::create_symlink("loop", folder_ / "loop");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(reason(folder_ / "absent"), "cannot open it: No such file or directory");
  EXPECT_EQ(reason(folder_ / "loop"), "cannot open it: Too many levels of symbolic links");
  EXPECT_EQ(reason(folder_.path()), "it is a folder, not a file");
  EXPECT_EQ(reason(folder_ / "pipe"), "it is not a regular file");
  EXPECT_EQ(reason("/dev/zero"), "it is not a regular file");
}

}  // namespace
}  // namespace bitnet::backend
