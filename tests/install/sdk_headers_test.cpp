// install/sdk_headers_test.cpp - every installed header compiles alone, without a warning, in every language it promises.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "install/package.h"
#include "support/files.h"

namespace bitnet::test {
namespace {

class SdkHeaders : public testing::TestWithParam<Compiler> {
 protected:
  void SetUp() override {
    if (const std::string reason = GetParam().missing(); !reason.empty()) GTEST_SKIP() << reason;
  }

  // One source per header that includes nothing else; extension: of the headers.
  std::vector<std::string> sources(const std::string& extension, const std::string& language) const {
    std::vector<std::string> files;
    const std::string folder = package_.new_folder("sources" + extension + language);
    const std::filesystem::path include = package_ / "include";
    for (const auto& entry : std::filesystem::recursive_directory_iterator(include)) {
      if (entry.path().extension() != extension) continue;
      const std::string header = entry.path().lexically_relative(include).string();
      std::string name = header;
      std::replace(name.begin(), name.end(), '/', '_');
      files.push_back(folder + "/" + name + language);
      write_text(files.back(), "#include \"" + header + "\"\nextern int unused;\n");
    }
    return files;
  }

  void compile(const char* compiler, const char* standard, const std::vector<std::string>& files) const {
    ASSERT_FALSE(files.empty());
    std::vector<std::string> args = {standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "-I", package_ / "include"};
    args.insert(args.end(), files.begin(), files.end());
    const ProgramResult result = package_.run(compiler, args, std::filesystem::path(files[0]).parent_path());
    EXPECT_EQ(result.exit_code, 0) << compiler << " " << standard << ": " << result;
  }

  Package package_;
};

TEST_P(SdkHeaders, OfCCompileAsCAndCpp) {
  for (const char* standard : {"-std=c99", "-std=c11"}) compile(GetParam().c, standard, sources(".h", ".c"));
  for (const char* standard : {"-std=c++17", "-std=c++20"}) compile(GetParam().cxx, standard, sources(".h", ".cpp"));
}

TEST_P(SdkHeaders, OfTheKitCompileAsCpp20) { compile(GetParam().cxx, "-std=c++20", sources(".hpp", ".cpp")); }

INSTANTIATE_TEST_SUITE_P(Compilers, SdkHeaders, testing::ValuesIn(kCompilers),
                         [](const auto& tested) { return std::string(tested.param.name); });

// A path of the machine that built the package would make it useless elsewhere.
TEST(SdkPackage, KnowsNeitherOurSourcesNorWhereItWasInstalled) {
  const Package package;
  size_t files = 0;
  for (const char* folder : {"include", "lib/cmake", "share/bitnet-sdk"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(package / folder)) {
      if (!entry.is_regular_file()) continue;
      const std::string text = read_text(entry.path());
      ++files;
      for (const std::string& path : {std::string(BITNET_SOURCE_DIR), package.former_prefix()}) {
        EXPECT_EQ(text.find(path), std::string::npos) << entry.path() << " contains " << path;
      }
    }
  }
  EXPECT_GT(files, 20u);
}

}  // namespace
}  // namespace bitnet::test
