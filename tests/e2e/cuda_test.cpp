// e2e/cuda_test.cpp - the plugin for NVIDIA GPUs on a machine without one: it loads, says so when asked, and is silent else.
#include <gtest/gtest.h>

#include <filesystem>

#include "support/program.h"

namespace bitnet::test {
namespace {

class CudaWithoutADriver : public testing::Test {
 protected:
  void SetUp() override {
    if (std::filesystem::exists("/dev/nvidiactl")) GTEST_SKIP() << "this machine has an NVIDIA driver";
  }
};

TEST_F(CudaWithoutADriver, TheListSaysWhyItIsNotUsed) {
  const ProgramResult list = run_program({"backends", "list"});
  EXPECT_EQ(list.exit_code, 0) << list;
  EXPECT_NE(list.out.find("bn_cuda.so  refused: not supported on this machine: no device: no NVIDIA driver"), std::string::npos)
      << list;
}

TEST_F(CudaWithoutADriver, AStartThatDoesNotAskForItHearsNothing) {
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--strict"}, {"--backend", "auto"}}) {
    std::vector<std::string> args = {"-p", "Once", "-n", "3", "--greedy"};
    args.insert(args.end(), more.begin(), more.end());
    const ProgramResult result = run_program(args);
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(result.err.find("cuda"), std::string::npos) << result;
  }
}

TEST_F(CudaWithoutADriver, WhoAsksForItIsToldOnceAndServed) {
  const ProgramResult result = run_program({"-p", "Once", "-n", "3", "--greedy", "--backend", "cuda"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.err.find("backend cuda: not usable (not supported on this machine: no device: no NVIDIA driver"),
            std::string::npos)
      << result;
  const ProgramResult strict = run_program({"-p", "Once", "-n", "3", "--backend", "cuda", "--strict"});
  EXPECT_EQ(strict.exit_code, 4) << strict;
  EXPECT_NE(strict.err.find("no NVIDIA driver"), std::string::npos) << strict;
}

}  // namespace
}  // namespace bitnet::test
