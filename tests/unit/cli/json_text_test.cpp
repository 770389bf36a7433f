// tests/unit/cli/json_text_test.cpp - strict JSON from any data.
#include "cli/json_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bitnet::cli {
namespace {

TEST(JsonText, InvalidUtf8IsReplaced) {
  const std::string text = json_text({{"text", "a\xff\x80z"}});
  EXPECT_EQ(nlohmann::json::parse(text)["text"], "a\xEF\xBF\xBD\xEF\xBF\xBDz");
}

TEST(JsonText, OneLine) { EXPECT_EQ(json_text({{"a", "x\ny"}, {"b", {1, 2}}}), R"({"a":"x\ny","b":[1,2]})"); }

TEST(JsonText, NumbersThatAreNoneBecomeNull) {
  EXPECT_EQ(json_text(json_number(0.5)), "0.5");
  EXPECT_EQ(json_text(json_number(std::nan(""))), "null");
  EXPECT_EQ(json_text(json_number(std::numeric_limits<double>::infinity())), "null");
  EXPECT_EQ(json_text(json_number(std::nullopt)), "null");
  EXPECT_EQ(json_text(json_number(std::optional<double>(2.0))), "2.0");
}

}  // namespace
}  // namespace bitnet::cli
