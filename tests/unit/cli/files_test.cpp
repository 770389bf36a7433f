// tests/unit/cli/files_test.cpp - configuration files: precedence, sections, special keys, refusals.
#include <filesystem>
#include <fstream>

#include "parse.h"

namespace bitnet::cli {
namespace {

constexpr size_t kMaxText = 65536;

class ConfigFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ("bitnet_config_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "bitnet");
    environment.system_config = (folder_ / "system.conf").string();
    environment.variables["XDG_CONFIG_HOME"] = folder_.string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::string write_user(const std::string& text) { return write("bitnet/bitnet.conf", text); }
  std::string write_system(const std::string& text) { return write("system.conf", text); }

  ParsedCommand parse_line(const std::vector<std::string>& arguments = {"-p", "x"}) { return parse_in(environment, arguments); }
  RunOptions run_line(const std::vector<std::string>& arguments = {"-p", "x"}) {
    return std::get<RunOptions>(parse_line(arguments).command);
  }
  std::string refused(const std::vector<std::string>& arguments = {"-p", "x"}) {
    return usage_error_of([&] { parse_line(arguments); });
  }

  Environment environment;
  std::filesystem::path folder_;
};

TEST_F(ConfigFiles, NoFilesAtAll) { EXPECT_EQ(run_line().sampling.top_k, 40); }

TEST_F(ConfigFiles, Precedence) {
  const std::string system = write_system("top-k = 1\n");
  EXPECT_EQ(run_line().sampling.top_k, 1);
  EXPECT_EQ(parse_line().setting("top-k").source, Source::kSystemFile);
  EXPECT_EQ(parse_line().setting("top-k").origin, system);
  const std::string user = write_user("top-k = 2\n");
  EXPECT_EQ(run_line().sampling.top_k, 2);
  EXPECT_EQ(parse_line().setting("top-k").source, Source::kUserFile);
  environment.variables["BITNET_ARG_TOP_K"] = "3";
  EXPECT_EQ(run_line().sampling.top_k, 3);
  EXPECT_EQ(run_line({"-p", "x", "--top-k", "4"}).sampling.top_k, 4);
}

TEST_F(ConfigFiles, OptionAndVariableNameTheUserFile) {
  write_user("top-k = 2\n");
  const std::string other = write("other.conf", "top-k = 7\n");
  EXPECT_EQ(run_line({"-p", "x", "--config", other}).sampling.top_k, 7);
  environment.variables["BITNET_CONFIG"] = other;
  EXPECT_EQ(run_line().sampling.top_k, 7);
  environment.variables["BITNET_CONFIG"] = (folder_ / "missing.conf").string();
  EXPECT_CONTAINS(refused(), "missing.conf: No such file or directory");
  EXPECT_EQ(refused({"-p", "x", "--config="}), "--config: expected FILE, found nothing");
}

TEST_F(ConfigFiles, HomeFolderWithoutXdg) {
  std::filesystem::create_directories(folder_ / ".config" / "bitnet");
  write(".config/bitnet/bitnet.conf", "top-k = 9\n");
  environment.variables = {{"HOME", folder_.string()}};
  EXPECT_EQ(run_line().sampling.top_k, 9);
  environment.variables["XDG_CONFIG_HOME"] = "relative";
  EXPECT_EQ(run_line().sampling.top_k, 9);
}

TEST_F(ConfigFiles, SectionsApplyToTheirCommand) {
  write_user("top-k = 2\njson = on\nstop = a\nstop = b\n[run]\ntop-k = 5\n[tokenize]\njson = off\n[serve]\nport = 1\n");
  const RunOptions run = run_line();
  EXPECT_EQ(run.sampling.top_k, 5);
  EXPECT_TRUE(run.output.json);
  EXPECT_EQ(run.sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(std::get<TokenizeOptions>(parse_line({"tokenize", "-p", "x"}).command).output.json);
  EXPECT_TRUE(std::get<VersionOptions>(parse_line({"version"}).command).output.json);
}

TEST_F(ConfigFiles, SpecialKeys) {
  write_user(
      "backends = cpu_avx2,cpu_portable\nfallback = off\nfallback_to_mock = on\nprefer_real = on\nauto_download = off\n");
  const RunOptions run = run_line();
  EXPECT_EQ(run.compute.priority, (std::vector<std::string>{"cpu_avx2", "cpu_portable"}));
  EXPECT_EQ(run.compute.backends, std::vector<std::string>{"auto"});
  EXPECT_TRUE(run.compute.no_fallback);
  EXPECT_TRUE(run.compute.allow_mock);
  EXPECT_FALSE(run_line({"-p", "x", "--real-model"}).compute.allow_mock);
  write_user("fallback = on\nfallback_to_mock = off\n");
  EXPECT_FALSE(run_line().compute.no_fallback || run_line().compute.allow_mock);
}

TEST_F(ConfigFiles, Refusals) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& one : std::vector<Case>{
           {"colour = 1\n", "colour: unknown key"},
           {"help = on\n", "help: unknown key"},
           {"grammar = g\n", "grammar: not supported in this version"},
           {"top-k = many\n", "top-k: expected a whole number"},
           {"json = maybe\n", "json: expected on or off, found 'maybe'"},
           {"top-k = 1\ntop-k = 2\n", "top-k: the key occurs twice"},
           {"[kitchen]\ntop-k = 1\n", "kitchen.top-k: unknown section"},
           {"prefer_real = off\n", "prefer_real: expected on, found 'off'"},
           {"auto_download = on\n", "auto_download: downloads are not supported"},
           {"just words\n", "configuration file "},
           {"backends = mock,\n", "backends: expected names"},
       }) {
    SCOPED_TRACE(one.text);
    const std::string path = write_user(one.text);
    const std::string message = refused();
    EXPECT_CONTAINS(message, one.message);
    EXPECT_CONTAINS(message, path);
  }
}

TEST_F(ConfigFiles, SizeAndKind) {
  write_user("top-k = 2\n" + std::string(kMaxText - 10, '#'));
  EXPECT_EQ(run_line().sampling.top_k, 2);
  write_user("top-k = 2\n" + std::string(kMaxText - 9, '#'));
  EXPECT_CONTAINS(refused(), "longer than 65536 bytes");
  EXPECT_CONTAINS(refused({"-p", "x", "--config", folder_.string()}), "not a regular file");
}

TEST_F(ConfigFiles, PrivilegedProcessesTakeNoPluginsFromTheUsersFile) {
  write_user("plugin = /x.so\ntop-k = 3\n");
  environment.privileged = true;
  const ParsedCommand parsed = parse_line();
  EXPECT_TRUE(std::get<RunOptions>(parsed.command).compute.plugins.files.empty());
  EXPECT_EQ(std::get<RunOptions>(parsed.command).sampling.top_k, 3);
  EXPECT_EQ(parsed.warnings.size(), 1U);
}

}  // namespace
}  // namespace bitnet::cli
