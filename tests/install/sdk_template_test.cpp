// install/sdk_template_test.cpp - each template, built from the moved package alone with each compiler, checked, and used by
// the installed program for a story whose every bit is known.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "install/package.h"
#include "support/files.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

struct Template {
  const char *folder, *plugin, *backend;
};
void PrintTo(const Template& what, std::ostream* out) { *out << what.folder; }  // for GoogleTest
constexpr Template kTemplates[] = {
    {"kernels-cpp", "bn_acme", "acme"}, {"kernels-c", "bn_acme_c", "acme_c"}, {"engine-cpp", "bn_acme_engine", "acme_engine"}};

class SdkTemplate : public testing::TestWithParam<std::tuple<Compiler, Template>> {
 protected:
  void SetUp() override {
    if (const std::string reason = compiler().missing(); !reason.empty()) GTEST_SKIP() << reason;
    folder_ = package_.new_folder("plugin");
    std::filesystem::copy(package_ / (std::string("share/bitnet-sdk/template/") + what().folder), folder_,
                          std::filesystem::copy_options::recursive);
  }
  static Compiler compiler() { return std::get<0>(GetParam()); }
  static Template what() { return std::get<1>(GetParam()); }

  void build() const {
    const ProgramResult configured =
        package_.run(BITNET_CMAKE,
                     {"-B", "build", std::string("-DCMAKE_C_COMPILER=") + compiler().c,
                      std::string("-DCMAKE_CXX_COMPILER=") + compiler().cxx, "--no-warn-unused-cli"},
                     folder_);
    ASSERT_EQ(configured.exit_code, 0) << configured;
    const ProgramResult built = package_.run(BITNET_CMAKE, {"--build", "build"}, folder_);
    ASSERT_EQ(built.exit_code, 0) << built;
    ASSERT_EQ(built.out.find("warning"), std::string::npos) << built;
    for (const char* file : {"/build/build.ninja", "/build/.ninja_deps"}) {
      EXPECT_EQ(read_text(folder_ + file).find(BITNET_SOURCE_DIR "/sdk"), std::string::npos)
          << file << " reaches into our sources";
    }
  }

  json story(const std::vector<std::string>& backend) const {
    std::vector<std::string> args = {"-p", "Once upon a time", "-n", "60", "--greedy", "--json", "--no-fallback"};
    args.insert(args.end(), backend.begin(), backend.end());
    const ProgramResult result = package_.run(package_ / "bin/bitnet-run", args, folder_);
    EXPECT_EQ(result.exit_code, 0) << result;
    return result.exit_code == 0 ? json::parse(result.out) : json();
  }

  Package package_;
  std::string folder_;
};

// The check takes seconds, so of clang's plugins only one is checked.
TEST_P(SdkTemplate, BuildsWritesTheSameStoryAndPassesItsCheck) {
  build();
  const json mine = story({"--plugin", folder_ + "/build/" + what().plugin + ".so", "--backend", what().backend});
  const json portable = story({"--backend", "cpu_portable"});
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(mine["backend"]["name"], what().backend);
  EXPECT_GT(mine["text"].get<std::string>().size(), 100u);
  EXPECT_EQ(mine["text"], portable["text"]);
  EXPECT_EQ(mine["logits_hash"], portable["logits_hash"]);

  if (compiler().name == std::string("clang") && what().backend != std::string("acme")) return;
  const ProgramResult checked = package_.run(BITNET_CTEST, {"--test-dir", "build", "--output-on-failure"}, folder_);
  EXPECT_EQ(checked.exit_code, 0) << checked;
  EXPECT_NE(checked.out.find(std::string("check.") + what().plugin), std::string::npos) << checked;
}

INSTANTIATE_TEST_SUITE_P(All, SdkTemplate, testing::Combine(testing::ValuesIn(kCompilers), testing::ValuesIn(kTemplates)),
                         [](const auto& tested) {
                           std::string name =
                               std::string(std::get<0>(tested.param).name) + "_" + std::get<1>(tested.param).folder;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace bitnet::test
