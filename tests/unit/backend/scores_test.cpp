// unit/backend/scores_test.cpp - measured speeds: there for whoever computes, kept under what they depend on, never a reason to
// fail.
#include "backend/scores.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/state_file.h"
#include "bitnet/kernels.h"
#include "plugin_files.h"

namespace bitnet::backend {
namespace {

using nlohmann::json;

const bn_format& t2() {
  static const bn_format format = [] {
    bn_format f{};
    f.struct_size = sizeof f;
    const uint8_t fingerprint[16] = BN_FINGERPRINT_T2;
    std::copy(fingerprint, fingerprint + 16, f.fingerprint);
    std::copy_n("bn.t2", 6, f.id);
    return f;
  }();
  return format;
}

class ScoresTest : public PluginTest {
 protected:
  ScoresTest() { ::setenv("XDG_CACHE_HOME", cache_.path().c_str(), 1); }
  ~ScoresTest() override { ::unsetenv("XDG_CACHE_HOME"); }

  // The plugin's first device, measured.
  Measured measured(const std::string& path, uint32_t threads = 2,
                    std::vector<MatrixShape> shapes = {{300, 256, 4, &t2()}, {70, 130, 1, &t2()}}) {
    DiscoveryOptions options;
    options.files = {path};
    options.probe_program = BITNET_PROBE;
    const Registry registry = Registry::discover(options);
    const Plugin& plugin = registry.plugins().at(0);
    EXPECT_TRUE(plugin.usable) << plugin.reason;
    return measure(registry, {{0, plugin.name, plugin.devices.at(0).id}}, shapes, threads);
  }
  json kept() const { return StateFile("scores.json", 1).read(); }
  static std::string portable() { return std::string(BITNET_PLUGIN_DIR) + "/bn_cpu_portable.so"; }
  static std::string zoo(const std::string& fault) { return std::string(BITNET_BROKEN_DIR) + "/zoo_" + fault + ".so"; }

  TempFolder cache_;
};

TEST_F(ScoresTest, AreMeasuredOnceAndKept) {
  const Measured first = measured(portable());
  ASSERT_EQ(first.scores.size(), 1u);
  EXPECT_GT(first.scores[0].gb_per_second, 0);
  EXPECT_TRUE(first.refusals.empty());
  ASSERT_EQ(kept().size(), 1u) << kept();
  // The second time the number comes from the file.
  StateFile("scores.json", 1).update([](json& entries) { entries.begin().value()["gb_per_second"] = 123.5; });
  EXPECT_EQ(measured(portable()).scores.at(0).gb_per_second, 123.5);
}

TEST_F(ScoresTest, DependOnThreadsShapesAndFile) {
  measured(portable());
  measured(portable(), 1);
  EXPECT_EQ(kept().size(), 2u);
  measured(portable(), 1, {{300, 256, 5, &t2()}});
  EXPECT_EQ(kept().size(), 3u);
  const std::string copy = folder_.write("bn_cpu_portable.so", portable_plugin());
  measured(copy, 1);
  EXPECT_EQ(kept().size(), 4u);
  ::unlink(copy.c_str());
  folder_.write("bn_cpu_portable.so", portable_plugin());  // the same bytes in another file
  measured(copy, 1);
  EXPECT_EQ(kept().size(), 5u);
}

TEST_F(ScoresTest, DamagedEntriesAreMeasuredAgain) {
  measured(portable());
  for (const json& entry : {json(1), json::array(), json{{"at", "x"}}, json{{"at", 1}, {"gb_per_second", -1}}, json()}) {
    StateFile("scores.json", 1).update([&](json& entries) { entries.begin().value() = entry; });
    EXPECT_GT(measured(portable()).scores.at(0).gb_per_second, 0) << entry;
  }
}

TEST_F(ScoresTest, AMeasurementThatDidNotEndIsRememberedForADay) {
  measured(portable());
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ::waitpid(gone, nullptr, 0);
  const auto mark = [&](int64_t pid, int64_t at) {
    StateFile("scores.json", 1).update([&](json& entries) { entries.begin().value() = {{"pid", pid}, {"at", at}}; });
  };
  const int64_t now = std::time(nullptr);
  mark(gone, now);
  EXPECT_TRUE(measured(portable()).scores.at(0).crashed);
  mark(::getppid(), now);  // somebody else measures at the moment
  EXPECT_FALSE(measured(portable()).scores.at(0).crashed);
  mark(gone, now - 25 * 3600);
  EXPECT_FALSE(measured(portable()).scores.at(0).crashed);
}

TEST_F(ScoresTest, WithoutAFolderTheyAreMeasuredEachTime) {
  ::setenv("XDG_CACHE_HOME", "not/absolute", 1);
  ::setenv("HOME", "", 1);
  EXPECT_GT(measured(portable()).scores.at(0).gb_per_second, 0);
}

TEST_F(ScoresTest, WhoeverRefusesIsQuoted) {
  const Measured closed = measured(zoo("open_fails"));
  EXPECT_TRUE(closed.scores.empty());
  ASSERT_EQ(closed.refusals.size(), 1u);
  EXPECT_NE(closed.refusals[0].sentence.find("the zoo0 is asleep"), std::string::npos) << closed.refusals[0].sentence;
  EXPECT_TRUE(kept().empty()) << "an answer is not remembered: " << kept();
  const Measured wide = measured(portable(), 1, {{4, BN_K_MAX + 4, 1, &t2()}});
  ASSERT_EQ(wide.refusals.size(), 1u);
  EXPECT_EQ(wide.refusals[0].sentence, "does not take matrices of 4x131076");
}

TEST(ScoreText, SaysHowOldItIs) {
  const int64_t now = std::time(nullptr);
  EXPECT_EQ(age_text(now), "measured now");
  EXPECT_EQ(age_text(now - 61), "measured 1 minute ago");
  EXPECT_EQ(age_text(now - 3 * 3600), "measured 3 hours ago");
  EXPECT_EQ(age_text(now - 73 * 3600), "measured 3 days ago");
  EXPECT_EQ(score_text({0, "cpu", 14.23, now, false}), "14.2 GB/s");
  EXPECT_EQ(score_text({0, "cpu", 0, 0, false}), "not measured");
}

}  // namespace
}  // namespace bitnet::backend
