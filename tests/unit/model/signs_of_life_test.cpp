// unit/model/signs_of_life_test.cpp - no call of a kernel is so large that a slow one, which counts as hanging when it gives no
// sign of life for some seconds, needs that long; and together the calls are the whole op.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "backend/ops.h"
#include "bitnet/kit/portable.h"

namespace bitnet::backend {
namespace {

constexpr uint64_t kMost = uint64_t{1} << 28, kFew = uint64_t{1} << 24;  // products of floats

// What kernels that compute nothing were asked for: how often for each place of a grid, and the largest call.
struct Calls {
  std::mutex mutex;
  std::map<std::pair<uint32_t, uint32_t>, int> places;
  uint64_t n = 0, most_products = 0;
  uint64_t most_places = 0;  // of calls of more than kFew products

  void note(uint32_t i0, uint32_t i1, uint32_t j0, uint32_t j1, uint64_t products_of_a_place) {
    const std::lock_guard lock(mutex);
    ++n;
    const uint64_t n_places = uint64_t{i1 - i0} * (j1 - j0), products = n_places * products_of_a_place;
    most_products = std::max(most_products, products);
    if (products > kFew) most_places = std::max(most_places, n_places);
    for (uint32_t i = i0; i < i1; ++i) {
      for (uint32_t j = j0; j < j1; ++j) ++places[{i, j}];
    }
  }
  void expect_each_once(uint64_t n_places) const {
    EXPECT_EQ(places.size(), n_places);
    EXPECT_TRUE(std::all_of(places.begin(), places.end(), [](const auto& place) { return place.second == 1; }));
  }
};
Calls& calls(bn_device* device) { return *reinterpret_cast<Calls*>(device); }

bn_kernels_v1 noting_table() {
  bn_kernels_v1 table = *bn_portable_kernels();
  table.attention_parts = nullptr;
  table.attention = [](bn_device* device, const bn_attn* a, uint32_t t0, uint32_t t1, uint32_t h0, uint32_t h1, void*) {
    calls(device).note(t0, t1, h0, h1, 2 * uint64_t{a->head_dim} * (a->pos0 + t1));
    return bn_status{BN_OK};
  };
  table.dense = [](bn_device* device, const bn_dense* a, uint32_t row0, uint32_t row1, void*) {
    calls(device).note(row0, row1, 0, 1, uint64_t{a->m} * a->w->cols);
    return bn_status{BN_OK};
  };
  return table;
}

struct Beats {
  Calls calls;
  uint64_t beats = 0;
};

Beats* attention(Beats* result, uint32_t members, Run run) {
  const bn_kernels_v1 table = noting_table();
  ThreadTeam team(members);
  Ops ops(&table, reinterpret_cast<bn_device*>(&result->calls), team);
  bn_attn a{};
  a.struct_size = sizeof a, a.n_heads = 8, a.n_kv_heads = 2, a.head_dim = 128;
  const Pages pages{};
  Pulse pulse;
  ops.begin(run.n, &pulse);
  ops.plan_attention(a, {&run, 1});
  team.run([&](uint32_t member) { ops.attention(member, "attn", a, {&run, 1}, &pages); });
  EXPECT_EQ(ops.status(), BN_OK);
  result->beats = pulse.beats();
  return result;
}

TEST(SignsOfLife, AttentionOfManyTokensToALongPastIsCutIntoCalls) {
  for (const uint32_t members : {1u, 2u}) {
    for (const uint32_t position : {0u, 3500u, 6001u}) {
      Beats result;
      attention(&result, members, {0, 509, position});
      result.calls.expect_each_once(509 * 8);
      EXPECT_LE(result.calls.most_places, 256u) << members << " members, position " << position;
      if (members == 1) {  // beats of two at once may be lost
        EXPECT_GE(result.beats, result.calls.n);
      }
    }
  }
}

// No fewer, however long the past is: that would make fast kernels slow.
TEST(SignsOfLife, AttentionKeeps256QueriesInACall) {
  Beats result;
  attention(&result, 1, {0, 128, 1u << 20});
  result.calls.expect_each_once(128 * 8);
  EXPECT_EQ(result.calls.n, 128 * 8 / 256);
}

TEST(SignsOfLife, AttentionOfOneTokenStaysOneCall) {
  Beats result;
  attention(&result, 1, {0, 1, 4000});
  EXPECT_EQ(result.calls.n, 1u);
}

TEST(SignsOfLife, RowsOfTheHeadForManyTokensAreCutIntoCalls) {
  const bn_kernels_v1 table = noting_table();
  bn_tensor weight{};
  weight.struct_size = sizeof weight, weight.dtype = BN_DT_F16, weight.rows = 30'000, weight.cols = 4096;
  for (const uint32_t members : {1u, 2u}) {
    for (const uint32_t tokens : {1u, 64u, 512u}) {
      Calls calls;
      ThreadTeam team(members);
      Ops ops(&table, reinterpret_cast<bn_device*>(&calls), team);
      ops.begin(tokens, nullptr);
      team.run([&](uint32_t member) { ops.dense(member, "output", {}, weight, {}, tokens); });
      calls.expect_each_once(30'000);
      EXPECT_LE(calls.most_products, std::max(kMost, uint64_t{tokens} * table.row_granule * weight.cols));
    }
  }
}

}  // namespace
}  // namespace bitnet::backend
