// abi/other_plugins_test.cpp - plugins of other versions on today's host: each writes the same story, bit for bit, or is
// refused with the reason.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/program.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

ProgramResult tell(const std::string& backend, const std::string& plugin) {
  std::vector<std::string> args = {"-p",     "Once upon a time", "-n",        "60",   "--greedy",
                                   "--json", "--no-fallback",    "--backend", backend};
  if (!plugin.empty()) args.insert(args.end(), {"--plugin", BITNET_ABI_PLUGINS "/" + plugin});
  return run_program(args);
}

class OtherPlugins : public testing::TestWithParam<const char*> {};

TEST_P(OtherPlugins, WriteTheSameStory) {
  const std::string name = GetParam();
  const ProgramResult theirs = tell(name, "bn_" + name + ".so"), ours = tell("cpu_portable", "");
  ASSERT_EQ(theirs.exit_code, 0) << theirs;
  ASSERT_EQ(ours.exit_code, 0) << ours;
  const json a = json::parse(theirs.out), b = json::parse(ours.out);
  EXPECT_EQ(a["backend"]["name"], name);
  EXPECT_GT(a["text"].get<std::string>().size(), 100u);
  EXPECT_EQ(a["text"], b["text"]);
  EXPECT_EQ(a["logits_hash"], b["logits_hash"]);
}

INSTANTIATE_TEST_SUITE_P(All, OtherPlugins, testing::Values("museum_0_1", "future", "acme_engine"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(OtherPlugin, ThatNeedsANewerHostIsRefusedWithTheReason) {
  const ProgramResult result = tell("needs_newer", "bn_needs_newer.so");
  EXPECT_EQ(result.exit_code, 4) << result;
  EXPECT_NE(result.err.find("needs a newer version of this program"), std::string::npos) << result;
}

}  // namespace
}  // namespace bitnet::test
