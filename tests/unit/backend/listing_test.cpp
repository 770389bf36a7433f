// unit/backend/listing_test.cpp - what "backends list" shows.
#include "backend/listing.h"

#include <nlohmann/json.hpp>

#include "plugin_files.h"

namespace bitnet::backend {
namespace {

using Json = nlohmann::json;

class Listing : public PluginTest {
 protected:
  // portable, a file that is none, zoo.
  Registry discover() {
    folder_.write("bn_cpu_portable.so", portable_plugin());
    folder_.write("bn_junk.so", to_bytes("junk"));
    folder_.write("bn_zoo.so", zoo_plugin("none"));
    DiscoveryOptions options = PluginTest::options();
    options.dirs = {folder_.path()};
    options.path = {folder_ / "absent"};
    return Registry::discover(options);
  }
};

// The line of a text that contains a word.
std::string line_with(const std::string& text, const std::string& word) {
  const size_t at = text.find(word);
  if (at == std::string::npos) return "";
  const size_t start = text.rfind('\n', at) + 1;
  return text.substr(start, text.find('\n', at) - start);
}

TEST_F(Listing, ReportsWhatPluginsAnswer) {
  const Registry registry = discover();
  const std::vector<BackendReport> reports = describe_backends(registry);
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[0].formats.i2s128, "native");
  EXPECT_EQ(reports[0].formats.t2, "native");
  EXPECT_EQ(reports[0].formats.dense.size(), 9u);
  EXPECT_TRUE(reports[0].is_default);
  EXPECT_FALSE(reports[2].is_default);
  EXPECT_EQ(reports[2].formats.i2s128, "pack");
  EXPECT_TRUE(reports[2].formats.dense.empty());
  EXPECT_EQ(reports[1].formats.i2s128, "");
}

TEST_F(Listing, TextHasOneLinePerPlugin) {
  const Registry registry = discover();
  const std::string text = backends_text(registry, describe_backends(registry));
  const std::string portable = line_with(text, "* cpu_portable");
  for (const char* part :
       {"0.1.0", "cpu (CPU, portable C++)", "exact-1", "i2s128 native, t2 native, dense f32 f16 bf16 i8 q8_0"}) {
    EXPECT_NE(portable.find(part), std::string::npos) << portable;
  }
  EXPECT_NE(line_with(text, "  zoo ").find("zoo0 (Zoo) and 1 more"), std::string::npos) << text;
  EXPECT_NE(line_with(text, "  zoo ").find("i2s128 pack, t2 pack, dense -"), std::string::npos) << text;
  EXPECT_EQ(line_with(text, "bn_junk.so"), "  " + (folder_ / "bn_junk.so") + "  refused: not a shared library (no ELF header)");
  EXPECT_NE(text.find("folders searched:\n  " + folder_.path() + "\n"), std::string::npos);
  EXPECT_EQ(text.find("mock"), std::string::npos);
}

TEST_F(Listing, MockIsMarkedAndNeverTheDefault) {
  folder_.write("bn_mock.so", replaced(zoo_plugin("none"), "\"kind\": \"cpu\"", "\"kind\":\"test\""));
  DiscoveryOptions options = PluginTest::options();
  options.dirs = {folder_.path()};
  const Registry registry = Registry::discover(options);
  const std::vector<BackendReport> reports = describe_backends(registry);
  ASSERT_TRUE(registry.plugins().at(0).usable) << registry.plugins()[0].reason;
  EXPECT_TRUE(reports[0].is_mock);
  EXPECT_FALSE(reports[0].is_default);
  const std::string text = backends_text(registry, reports);
  EXPECT_NE(line_with(text, "  zoo").find("mock: test backend, never chosen by itself"), std::string::npos) << text;
  EXPECT_NE(text.find("* cpu_portable"), std::string::npos);
  EXPECT_EQ(text.find("* zoo"), std::string::npos);
  const Json json = Json::parse(backends_json(registry, reports));
  EXPECT_EQ(json["plugins"][0]["mock"], true);
  EXPECT_EQ(json["plugins"][0]["default"], false);
  EXPECT_EQ(json["default"], "cpu_portable");
}

TEST_F(Listing, JsonHoldsEverything) {
  const Registry registry = discover();
  const Json json = Json::parse(backends_json(registry, describe_backends(registry)));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["default"], "cpu_portable");
  EXPECT_EQ(json["directories"], Json::array({folder_.path()}));
  EXPECT_EQ(json["warnings"].size(), 1u);
  ASSERT_EQ(json["plugins"].size(), 3u);
  const Json& portable = json["plugins"][0];
  EXPECT_EQ(portable["path"], folder_ / "bn_cpu_portable.so");
  EXPECT_EQ(portable["usable"], true);
  EXPECT_TRUE(portable["reason"].is_null());
  EXPECT_EQ(portable["formats"]["bn.i2s128"], "native");
  EXPECT_EQ(portable["formats"]["dense"].size(), 9u);
  EXPECT_EQ(portable["devices"][0]["kind"], "cpu");
  EXPECT_EQ(portable["mock"], false);
  const Json& junk = json["plugins"][1];
  EXPECT_EQ(junk["usable"], false);
  EXPECT_EQ(junk["verdict"], "refused");
  EXPECT_EQ(portable["verdict"], "usable");
  EXPECT_TRUE(portable["verdict_age_seconds"].is_null());
  EXPECT_TRUE(portable["quarantined"].empty());
  EXPECT_EQ(junk["reason"], "not a shared library (no ELF header)");
  EXPECT_TRUE(junk["id"].is_null());
  EXPECT_TRUE(junk["formats"].is_null());
}

TEST_F(Listing, PathsThatAreNoTextDoNotBreakTheJson) {
  DiscoveryOptions options = PluginTest::options();
  options.files = {folder_.write("bn_\xff\xfe\n.so", to_bytes("junk"))};
  const Registry registry = Registry::discover(options);
  const auto reports = describe_backends(registry);
  EXPECT_FALSE(Json::parse(backends_json(registry, reports))["plugins"][0]["usable"]);
  EXPECT_NE(backends_text(registry, reports).find("bn_\\xff\\xfe\\n.so"), std::string::npos);
}

TEST_F(Listing, DeviceThatCannotBeOpenedIsAProblemNotACrash) {
  DiscoveryOptions options = PluginTest::options();
  options.files = {folder_.write("bn_a.so", zoo_plugin("open_fails"))};
  const Registry registry = Registry::discover(options);
  const auto reports = describe_backends(registry);
  EXPECT_EQ(reports[0].formats.problem, "plugin zoo: device zoo0 cannot be opened: the zoo0 is asleep");
  EXPECT_NE(backends_text(registry, reports).find("the zoo0 is asleep"), std::string::npos);
}

TEST_F(Listing, Devices) {
  const Registry registry = discover();
  const std::string text = devices_text(registry);
  EXPECT_NE(line_with(text, "zoo1").find("64 MiB"), std::string::npos) << text;
  EXPECT_NE(line_with(text, "cpu_portable").find("host"), std::string::npos) << text;
  const Json json = Json::parse(devices_json(registry));
  ASSERT_EQ(json["devices"].size(), 3u);
  EXPECT_EQ(json["devices"][0]["backend"], "cpu_portable");
  EXPECT_EQ(devices_text(Registry()), "no device was found\n");
}

TEST_F(Listing, NothingFound) {
  const Registry registry;
  const std::string text = backends_text(registry, describe_backends(registry));
  EXPECT_EQ(text, "no usable backend plugin was found\nno plugin folder exists\n");
}

}  // namespace
}  // namespace bitnet::backend
