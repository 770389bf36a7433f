// unit/backend/quarantine_test.cpp - devices that failed: once for the process, three times in a day for all processes.
#include "backend/quarantine.h"

#include <cstdlib>

#include "plugin_files.h"

namespace bitnet::backend {
namespace {

constexpr int64_t kHour = 3600;

class QuarantineTest : public PluginTest {
 protected:
  QuarantineTest() {
    ::setenv("XDG_CACHE_HOME", home_.path().c_str(), 1);
    path_ = folder_.write("bn_x.so", to_bytes("x"));
  }
  // Failures of as many processes, each a hour after the one before.
  void fail_times(int n, int64_t start, int64_t step = kHour) {
    for (int i = 0; i < n; ++i) Quarantine().note_failure(path_, "gpu", "gpu0", "device lost", start + i * step);
  }
  std::string path_;
};

TEST_F(QuarantineTest, OnceIsForTheProcess) {
  Quarantine here;
  EXPECT_FALSE(here.is_quarantined(path_, "gpu0"));
  here.note_failure(path_, "gpu", "gpu0", "device lost");
  EXPECT_EQ(here.reason(path_, "gpu0"), "failed in this process: device lost");
  EXPECT_FALSE(here.is_quarantined(path_, "gpu1"));
  EXPECT_FALSE(here.is_quarantined(folder_ / "bn_y.so", "gpu0"));
  EXPECT_FALSE(Quarantine().is_quarantined(path_, "gpu0"));
}

TEST_F(QuarantineTest, ThreeTimesWithinADayIsForAllUntilARescan) {
  fail_times(2, 1000000);
  EXPECT_FALSE(Quarantine().is_quarantined(path_, "gpu0"));
  fail_times(1, 1000000 + 3 * kHour);
  EXPECT_EQ(Quarantine().reason(path_, "gpu0"),
            "failed 3 times within a day, last: device lost; 'bitnet-run backends rescan' lets it try again");
  fail_times(1, 1000000 + 1000 * kHour);  // stays out, however long ago that was
  EXPECT_TRUE(Quarantine().is_quarantined(path_, "gpu0"));
  Quarantine().clear();
  EXPECT_FALSE(Quarantine().is_quarantined(path_, "gpu0"));
}

TEST_F(QuarantineTest, FailuresFarApartDoNotAddUp) {
  fail_times(6, 1000000, 13 * kHour);
  EXPECT_FALSE(Quarantine().is_quarantined(path_, "gpu0"));
}

TEST_F(QuarantineTest, AnotherFileHasACleanRecord) {
  fail_times(3, 1000000);
  ASSERT_TRUE(Quarantine().is_quarantined(path_, "gpu0"));
  folder_.write("bn_x.so", to_bytes("repaired"));
  EXPECT_FALSE(Quarantine().is_quarantined(path_, "gpu0"));
}

TEST_F(QuarantineTest, TestBackendsAreNeverNoted) {
  Quarantine here;
  for (int i = 0; i < 5; ++i) here.note_failure(path_, "test", "mock", "on purpose");
  EXPECT_FALSE(here.is_quarantined(path_, "mock"));
  EXPECT_FALSE(Quarantine().is_quarantined(path_, "mock"));
}

TEST_F(QuarantineTest, WithoutACacheFolderTheProcessRemembers) {
  ::setenv("XDG_CACHE_HOME", "/dev/null", 1);
  Quarantine here;
  here.note_failure(path_, "gpu", "gpu0", "hung");
  EXPECT_TRUE(here.is_quarantined(path_, "gpu0"));
  here.note_failure("(built in)", "cpu", "cpu", "hung");
  EXPECT_TRUE(here.is_quarantined("(built in)", "cpu"));
}

}  // namespace
}  // namespace bitnet::backend
