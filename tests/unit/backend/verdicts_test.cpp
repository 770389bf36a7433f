// unit/backend/verdicts_test.cpp - how long a verdict is believed, and what ends it.
#include "backend/verdicts.h"

#include <sys/stat.h>

#include <cstdlib>

#include "plugin_files.h"

namespace bitnet::backend {
namespace {

using Kind = ProbeOutcome::Kind;

constexpr int64_t kNow = 2000000000, kHour = 3600;

class VerdictTest : public PluginTest {
 protected:
  VerdictTest() {
    ::setenv("XDG_CACHE_HOME", home_.path().c_str(), 1);
    path_ = folder_.write("bn_x.so", to_bytes("x"));
    library_ = folder_.write("liby.so", to_bytes("y"));
  }
  ~VerdictTest() override { ::unsetenv("CUDA_VISIBLE_DEVICES"); }

  ProbeOutcome outcome(Kind kind) const {
    ProbeOutcome out;
    out.kind = kind;
    if (kind == Kind::kUsable) {
      out.devices = {{BN_DEV_CPU, "cpu", "CPU", 0, 0}};
      out.libraries = {library_};
      out.vendor = "V";
    } else {
      out.reason = "crashed with \\x1b";
    }
    return out;
  }
  void note(Kind kind, int64_t now = kNow) const {
    VerdictCache cache(BITNET_PROBE, now);
    cache.find(path_);
    cache.note(path_, outcome(kind));
    cache.save();
  }
  std::optional<RememberedVerdict> found(int64_t now = kNow, const std::string& probe = BITNET_PROBE) const {
    VerdictCache cache(probe, now);
    auto verdict = cache.find(path_);
    cache.save();
    return verdict;
  }

  std::string path_, library_;
};

TEST_F(VerdictTest, AreRememberedWhole) {
  EXPECT_FALSE(found().has_value());
  note(Kind::kUsable);
  const auto usable = found(kNow + 500);
  ASSERT_TRUE(usable.has_value());
  EXPECT_EQ(usable->outcome.kind, Kind::kUsable);
  EXPECT_EQ(usable->age, 500);
  EXPECT_EQ(usable->outcome.vendor, "V");
  ASSERT_EQ(usable->outcome.devices.size(), 1u);
  EXPECT_EQ(usable->outcome.devices[0].id, "cpu");
  note(Kind::kCrashed);
  EXPECT_EQ(found()->outcome.reason, "crashed with \\x1b");
}

TEST_F(VerdictTest, AnotherFileEndsIt) {
  note(Kind::kUsable);
  folder_.write("bn_x.so", to_bytes("z"));
  EXPECT_FALSE(found().has_value());
}

// Copied over with the same bytes, or chmod: its SHA-256 says that it is the same.
TEST_F(VerdictTest, ATouchedFileIsTheSame) {
  note(Kind::kUsable);
  ::chmod(path_.c_str(), 0600);
  EXPECT_TRUE(found().has_value());
  folder_.write("bn_x.so", to_bytes("x"));
  EXPECT_TRUE(found().has_value());
}

TEST_F(VerdictTest, AnotherLibraryEndsIt) {
  note(Kind::kUsable);
  folder_.write("liby.so", to_bytes("repaired"));
  EXPECT_FALSE(found().has_value());
}

TEST_F(VerdictTest, AnotherProbeOrEnvironmentEndsIt) {
  note(Kind::kUsable);
  EXPECT_FALSE(found(kNow, folder_.write("bn_probe", to_bytes("p"))).has_value());
  EXPECT_TRUE(found().has_value());
  ::setenv("CUDA_VISIBLE_DEVICES", "1", 1);
  EXPECT_FALSE(found().has_value());
}

TEST_F(VerdictTest, ExpiryDependsOnTheKind) {
  note(Kind::kUsable);
  EXPECT_TRUE(found(kNow + 10000 * kHour).has_value());
  EXPECT_FALSE(found(kNow - 10).has_value()) << "a clock that was set back";
  note(Kind::kRefused);
  EXPECT_TRUE(found(kNow + kHour / 2).has_value());
  EXPECT_FALSE(found(kNow + 2 * kHour).has_value());
  for (const Kind kind : {Kind::kCrashed, Kind::kHung}) {
    VerdictCache::clear();
    note(kind);
    EXPECT_TRUE(found(kNow + 23 * kHour).has_value());
    EXPECT_FALSE(found(kNow + 25 * kHour).has_value());
  }
}

TEST_F(VerdictTest, ThreeCrashesInARowStayUntilTheFileChangesOrARescan) {
  for (int i = 0; i < 3; ++i) note(i == 1 ? Kind::kHung : Kind::kCrashed, kNow + i * 30 * kHour);
  const auto last = found(kNow + 10000 * kHour);
  ASSERT_TRUE(last.has_value());
  EXPECT_TRUE(last->final);
  folder_.write("bn_x.so", to_bytes("repaired"));
  EXPECT_FALSE(found().has_value());
  note(Kind::kCrashed);
  EXPECT_FALSE(found()->final) << "another file begins anew";
  VerdictCache::clear();
  EXPECT_FALSE(found().has_value());
}

TEST_F(VerdictTest, ASuccessEndsTheRow) {
  for (const Kind kind : {Kind::kCrashed, Kind::kCrashed, Kind::kUsable, Kind::kCrashed}) note(kind);
  EXPECT_FALSE(found(kNow + 25 * kHour).has_value());
}

TEST_F(VerdictTest, WhatWasNotProbedOrIsForgottenIsNotRemembered) {
  note(Kind::kNotProbed);
  EXPECT_FALSE(found().has_value());
  note(Kind::kUsable);
  VerdictCache cache(BITNET_PROBE, kNow);
  cache.forget(path_);
  cache.save();
  EXPECT_FALSE(found().has_value());
}

TEST_F(VerdictTest, WithoutACacheFolderNothingIs) {
  ::setenv("XDG_CACHE_HOME", "/dev/null", 1);
  note(Kind::kUsable);
  EXPECT_FALSE(found().has_value());
}

}  // namespace
}  // namespace bitnet::backend
