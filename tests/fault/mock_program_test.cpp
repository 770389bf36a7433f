// fault/mock_program_test.cpp - the mock as other people use it: through the program, from a script, with random faults.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fault/second_mock.h"
#include "support/program.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

const std::vector<std::string> kText = {"run", "-p", "Once upon a time", "-n", "30", "--seed", "3", "-t", "1", "--json"};

json run(const std::vector<std::string>& more) {
  std::vector<std::string> args = kText;
  args.insert(args.end(), more.begin(), more.end());
  const ProgramResult result = run_program(args);
  EXPECT_EQ(result.exit_code, 0) << result;
  return json::parse(result.out, nullptr, false);
}

TEST(MockProgram, TheExampleForOtherPeoplesCiPasses) {
  const ProgramResult result = run_program({BITNET_EXAMPLE_CI, BITNET_RUN}, {.program = "sh"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.out.find("ok: token@7=lost in tier engine\n"), std::string::npos) << result;
}

// A program that fails must not be called good.
TEST(MockProgram, TheExampleNoticesAProgramThatFails) {
  EXPECT_NE(run_program({BITNET_EXAMPLE_CI, "/bin/false"}, {.program = "sh"}).exit_code, 0);
}

TEST(MockProgram, RandomFaultsNeverChangeTheText) {
  const TempFolder folder;
  const std::string second = make_other_mock(folder, "moc2");
  const json expected = run({"--backend", "cpu_portable"});
  constexpr int kSeeds = BITNET_SANITIZED ? 2 : 6;
  size_t changes = 0;
  for (const char* tier : {"kernels", "engine"}) {
    for (int seed = 1; seed <= kSeeds; ++seed) {
      const std::string s = std::to_string(seed);
      const json got = run({"--plugin", second, "--backend", "mock,moc2,cpu_portable", "--mock-mode", "faithful", "--mock-tier",
                            tier, "--mock-faults", "token@~0.08/" + s + "=lost;prefill@~0.2/" + s + "=oom"});
      EXPECT_EQ(got["tokens"], expected["tokens"]) << tier << " " << seed;
      EXPECT_EQ(got["logits_hash"], expected["logits_hash"]) << tier << " " << seed;
      changes += got["fallback"].size();
    }
  }
  EXPECT_GT(changes, BITNET_SANITIZED ? 2u : 8u) << "the faults must strike";
}

TEST(MockProgram, TierSaysWhatIsOffered) {
  const std::vector<std::string> faithful = {"--backend", "mock", "--no-fallback", "--mock-mode", "faithful"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), faithful.begin(), faithful.end());
    return more;
  };
  EXPECT_GT(run(faithful)["backend"]["matrices"]["native"], 0) << "the runtime's graph holds the matrices";
  EXPECT_EQ(run(with({"--mock-tier", "engine"}))["backend"]["matrices"]["native"], 0) << "the plugin does";
}

TEST(MockProgram, TierWithoutTheFaithfulModeIsRefused) {
  const ProgramResult result = run_program({"run", "-p", "x", "--backend", "mock", "--mock-tier", "engine"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.err.find("--mock-tier has no effect without --mock-mode faithful"), std::string::npos) << result;
}

TEST(MockProgram, PrintReachesTheOutputAsOfABadPlugin) {
  const ProgramResult result = run_program({"run", "-p", "x", "-n", "2", "--backend", "mock", "--mock-faults", "load=print"});
  EXPECT_NE(result.out.find("mock: fault 'load=print'"), std::string::npos) << result;
}

}  // namespace
}  // namespace bitnet::test
