// base/thread_team_test.cpp - every member runs, nobody passes a barrier early, more threads than cores still end.
#include "base/thread_team.h"

#include <gtest/gtest.h>

namespace bitnet {
namespace {

TEST(ThreadTeam, RunsEveryMemberOnceAndReturnsWhenAllAreDone) {
  for (uint32_t size : {1u, 2u, 3u, 7u}) {
    ThreadTeam team(size);
    std::vector<std::atomic<int>> ran(size);
    for (int repeat = 1; repeat <= 50; ++repeat) {
      team.run([&](uint32_t member) { ++ran[member]; });
      for (uint32_t i = 0; i < size; ++i) ASSERT_EQ(ran[i], repeat) << "member " << i << " of " << size;
    }
  }
}

TEST(ThreadTeam, BarrierHoldsUntilAllHaveArrived) {
  constexpr uint32_t kSize = 4;
  constexpr int kRounds = 300;
  ThreadTeam team(kSize);
  std::atomic<int> arrived{0};
  std::atomic<int> early{0};
  team.run([&](uint32_t) {
    for (int round = 1; round <= kRounds; ++round) {
      ++arrived;
      team.barrier();
      if (arrived < round * static_cast<int>(kSize)) ++early;
      team.barrier();
    }
  });
  EXPECT_EQ(early, 0);
  EXPECT_EQ(arrived, kRounds * static_cast<int>(kSize));
}

TEST(ThreadTeam, WorksAgainAfterItsMembersFellAsleep) {
  ThreadTeam team(2);
  std::atomic<int> ran{0};
  for (int i = 0; i < 3; ++i) {
    team.run([&](uint32_t) { ++ran; });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(ran, 6);
}

TEST(UsableCores, IsAtLeastOne) {
  EXPECT_GE(usable_cores(), 1u);
  EXPECT_LE(usable_cores(), std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace bitnet
