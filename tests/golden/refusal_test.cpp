// golden/refusal_test.cpp - models that this version cannot run end with exit code 3 and one line that says why.
#include <gtest/gtest.h>

#include <algorithm>

#include "golden/reference.h"
#include "support/program.h"

namespace bitnet::golden_test {
namespace {

struct Refused {
  const char* name;
  const char* cause;      // what the file has
  const char* supported;  // one of the things that would do
};

class Refusal : public testing::TestWithParam<Refused> {};

TEST_P(Refusal, NamesFileCauseAndWhatIsSupported) {
  const std::string model = data_path(std::string("families/") + GetParam().name + "/model.gguf");
  const test::ProgramResult result = test::run_program({"-m", model, "--prompt-ids", "1,2,3", "-n", "4", "--greedy"});
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result;
  EXPECT_TRUE(result.err.starts_with("error: " + model + ": ")) << result;
  EXPECT_NE(result.err.find(GetParam().cause), std::string::npos) << result;
  EXPECT_NE(result.err.find(GetParam().supported), std::string::npos) << result;
}

INSTANTIATE_TEST_SUITE_P(Models, Refusal,
                         testing::Values(Refused{"bitnet_silu_hd100", "TL2", "--kernel-config"},
                                         Refused{"qwen3_embedding", "an embedding model (qwen3)", "bitnet-run embed"},
                                         Refused{"gemma3_embedding", "an embedding model (gemma3)", "bitnet-run embed"}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace bitnet::golden_test
