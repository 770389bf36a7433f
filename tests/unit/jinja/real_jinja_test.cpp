// tests/unit/jinja/real_jinja_test.cpp - the same templates by python3-jinja2 and by this program: the same text, or an error.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <sstream>

#include "base/error.h"
#include "json_values.h"
#include "support/program.h"

namespace bitnet::jinja::test {
namespace {

using bitnet::test::ProgramResult;
using nlohmann::ordered_json;

struct Tally {
  size_t same_text = 0, both_fail = 0, unsupported = 0;
};

void compare(const ordered_json& expected, Tally& tally) {
  const std::string source = expected["template"];
  std::string text, error;
  try {
    text = render(source, expected["variables"]);
  } catch (const Error& e) {
    error = e.what();
    ASSERT_EQ(e.kind(), ErrorKind::kUsage) << error;
    ASSERT_TRUE(error.starts_with("test: line ")) << error;
  }
  const std::string name = expected["name"];
  if (expected.contains("error")) {
    EXPECT_NE(error, "") << name << "\n" << source << "\nJinja: " << expected["error"] << "\nhere: '" << text << "'";
    ++tally.both_fail;
  } else if (error.empty()) {
    EXPECT_EQ(text, expected["text"].get<std::string>()) << name << "\n" << source;
    ++tally.same_text;
  } else {
    // No text is never a wrong text: at random that may happen, now and then; elsewhere only where it is meant.
    EXPECT_TRUE(name == "random" || name == "refused") << source << "\nJinja: '" << expected["text"] << "'\nhere: " << error;
    if (name == "refused") {
      EXPECT_NE(error.find("support"), std::string::npos) << source << "\nhere: " << error;
    }
    ++tally.unsupported;
  }
}

TEST(RealJinja, SameTextOrAnError) {
  constexpr const char* kCases = BITNET_SANITIZED ? "1000" : "3000";
  const char* seed = std::getenv("BITNET_JINJA_SEED");
  const char* number = std::getenv("BITNET_JINJA_CASES");
  const ProgramResult run =
      bitnet::test::run_program({BITNET_JINJA_SCRIPT, seed != nullptr ? seed : "1", number != nullptr ? number : kCases},
                                {.program = "/usr/bin/python3", .timeout = 300});
  ASSERT_EQ(run.exit_code, 0) << run << "needs Debian's python3-jinja2: ci/setup";
  Tally tally;
  std::istringstream lines(run.out);
  const auto& failures = *::testing::UnitTest::GetInstance()->current_test_info()->result();
  for (std::string line; std::getline(lines, line) && failures.total_part_count() < 20;)
    compare(ordered_json::parse(line), tally);
  std::cout << tally.same_text << " same texts, " << tally.both_fail << " errors on both sides, " << tally.unsupported
            << " not supported here\n";
  EXPECT_GT(tally.same_text, BITNET_SANITIZED ? 500u : 1500u);
  EXPECT_LT(tally.unsupported * 20, tally.same_text);
}

}  // namespace
}  // namespace bitnet::jinja::test
