// kit/options_test.cpp - read_option finds the members of options_json and nothing else.
#include "bitnet/kit/options.hpp"

#include <gtest/gtest.h>

#include <string>

namespace bn::kit {
namespace {

struct Found {
  Option kind;
  std::string text;
  bool operator==(const Found&) const = default;
};

Found find(const char* json) {
  char value[8] = "";
  const Option kind = read_option(json, "isa", value, sizeof value);
  return {kind, value};
}

TEST(Options, FindsAString) {
  const Found avx2 = {Option::kString, "avx2"};
  EXPECT_EQ(find(R"({"isa": "avx2"})"), avx2);
  EXPECT_EQ(find("\n{ \"isa\"\t:\n\"avx2\" } "), avx2);
  EXPECT_EQ(find(R"({"a": [1, {"isa": "x"}, "},"], "b": {"isa": "y\"}"}, "isa": "avx2", "c": 1})"), avx2);
  EXPECT_EQ(find(R"({"isa": "avx2", "isa": "x"})"), avx2);
  EXPECT_EQ(find(R"({"isa": ""})"), (Found{Option::kString, ""}));
  EXPECT_EQ(find(R"({"isa": "1234567"})"), (Found{Option::kString, "1234567"}));
  EXPECT_EQ(find(R"({"isa": "12345678"})"), (Found{Option::kString, "1234567"})) << "cut, with its end";
}

TEST(Options, SaysWhatItIsNot) {
  for (const char* json : {static_cast<const char*>(nullptr), "{}", " { } ", R"({"is": "avx2"})", R"({"isaa": "avx2"})",
                           R"({"a": "isa"})", R"({"a": {"isa": "avx2"}})"}) {
    EXPECT_EQ(find(json).kind, Option::kAbsent) << (json == nullptr ? "NULL" : json);
  }
  for (const char* json : {R"({"isa": 1})", R"({"isa": null})", R"({"isa": ["avx2"]})", R"({"isa": {"a": "avx2"}, "b": 1})"}) {
    EXPECT_EQ(find(json).kind, Option::kOther) << json;
  }
  for (const char* json :
       {"", "[]", "\"isa\"", "{", R"({"isa)", R"({"isa")", R"({"isa":)", R"({"isa": "avx2)", R"({"isa": "avx2")",
        R"({"isa": "avx2\)", R"({isa: "avx2"})", R"({"a": [1, "isa": "avx2")", R"({"a" "b"})", R"({"a": 1, })"}) {
    EXPECT_EQ(find(json).kind, Option::kNotAnObject) << json;
  }
}

}  // namespace
}  // namespace bn::kit
