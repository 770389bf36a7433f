// unit/model/best_rows_test.cpp - the best rows found with the copy are those of the full head, bit for bit, on every backend.
#include "model/best_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backend/device.h"
#include "backend/registry.h"
#include "base/error.h"
#include "heads.h"

namespace bitnet::model {
namespace {

using bn::kit::Candidate;
using test::Random;
using test::store_head;
using test::StoredHead;

const backend::Registry& registry() {
  static const backend::Registry found = [] {
    backend::DiscoveryOptions options;
    options.program_path = BITNET_RUN;
    return backend::Registry::discover(options);
  }();
  return found;
}

// The exact kernels of this machine.
std::vector<std::string> plugin_names() {
  std::vector<std::string> names;
  for (const char* name : {"cpu_portable", "cpu_avx2", "cpu_avx512", "cpu_neon"}) {
    const backend::Plugin* plugin = registry().find(name);
    if (plugin != nullptr && plugin->usable) names.emplace_back(name);
  }
  return names;
}

class BestRowsTest : public testing::TestWithParam<std::string> {
 protected:
  struct Search {
    Search(const BestRowsTest& test, const StoredHead& stored)
        : team(2),
          ops(test.device_.kernels(), test.device_.handle(), team),
          head(screen_head(stored.tensor, nullptr, HeadMode::kScreened, ops, nullptr)),
          rows(*head, ops) {}
    ThreadTeam team;
    backend::Ops ops;
    std::unique_ptr<ScreenedHead> head;
    BestRows rows;
    std::vector<float> logits;

    // m tokens x [m][n_embd]; afterwards rows.best() answers.
    void run(std::vector<float>& x, uint32_t m, uint32_t k) {
      logits.assign(static_cast<size_t>(m) * head->stored.rows, 0);
      ops.begin(m, nullptr);
      rows.begin(m, k);
      team.run([&](uint32_t member) { rows.run(member, {x.data(), head->stored.cols}, logits.data()); });
      ASSERT_EQ(ops.status(), BN_OK);
      rows.end();
    }
    std::vector<float> full(std::vector<float>& x, uint32_t m) {
      std::vector<float> all(static_cast<size_t>(m) * head->stored.rows);
      ops.begin(m, nullptr);
      team.run([&](uint32_t member) {
        ops.dense(member, "output", {all.data(), head->stored.rows}, head->stored, {x.data(), head->stored.cols}, m);
      });
      return all;
    }
    // The best of each token against those of all logits.
    void expect_exact(std::vector<float>& x, uint32_t m, uint32_t k, const std::string& what) {
      const uint32_t n = head->stored.rows;
      const std::vector<float> all = full(x, m);
      run(x, m, k);
      for (uint32_t t = 0; t < m; ++t) {
        const std::vector<Candidate> expected = bn::kit::top_candidates(all.data() + static_cast<size_t>(t) * n, n, k);
        const auto best = rows.best(t);
        ASSERT_EQ(best.size(), expected.size()) << what << ": the full head was needed";
        for (size_t i = 0; i < best.size(); ++i) {
          EXPECT_EQ(best[i].id, expected[i].id) << what << ", token " << t << ", place " << i;
          EXPECT_EQ(bn::kit::bits_of(best[i].logit), bn::kit::bits_of(expected[i].logit)) << what << ", place " << i;
        }
      }
    }
  };

  backend::OpenDevice device_{*registry().find(GetParam()), registry().find(GetParam())->devices.front().id, ""};
};

std::vector<float> normal_vector(Random& random, uint32_t n) {
  std::vector<float> x(n);
  for (float& v : x) v = random.normal();
  return x;
}

TEST_P(BestRowsTest, AreThoseOfTheFullHead) {
  for (const uint32_t dtype : {BN_DT_F16, BN_DT_BF16, BN_DT_F32}) {
    for (const uint32_t cols : {100u, 256u, 640u}) {
      Random random(cols);
      const StoredHead stored = store_head(dtype, 4100, cols, [&](uint32_t, uint32_t) { return random.normal(); });
      Search search(*this, stored);
      for (const uint32_t m : {1u, 3u, 8u}) {
        std::vector<float> x = normal_vector(random, m * cols);
        for (const uint32_t k : {1u, 2u, 40u, BN_TOPK_MAX}) {
          search.expect_exact(x, m, k, fmt::format("dtype {}, {} columns, {} tokens, best {}", dtype, cols, m, k));
        }
      }
    }
  }
}

// Rows of every size, a third of them twice, some zero; vectors with outliers.
TEST_P(BestRowsTest, AreThoseOfTheFullHeadWithTiesZerosAndAnyScale) {
  constexpr uint32_t kRows = 5000, kCols = 300;
  for (const uint32_t seed : {1u, 2u, 3u}) {
    Random random(seed);
    std::vector<std::vector<float>> values(kRows);
    for (uint32_t r = 0; r < kRows; ++r) {
      const float scale = std::ldexp(1.0f, static_cast<int>(random.below(36)) - 24);
      values[r] = normal_vector(random, kCols);
      for (float& v : values[r]) v *= r % 50 == 0 ? 0.0f : scale;
      if (r % 3 == 2) values[r] = values[random.below(r)];
    }
    const StoredHead stored = store_head(BN_DT_F16, kRows, kCols, [&](uint32_t r, uint32_t c) { return values[r][c]; });
    Search search(*this, stored);
    std::vector<float> x = normal_vector(random, kCols);
    for (uint32_t i = 0; i < seed; ++i) x[random.below(kCols)] = 1000;
    for (const uint32_t k : {1u, 2u, 40u, BN_TOPK_MAX}) search.expect_exact(x, 1, k, fmt::format("seed {}, best {}", seed, k));
  }
}

// Row a wins by a little; its codes miss all of the margin, and those of row b err as much the other way. Half of the bound
// would lose row a.
TEST_P(BestRowsTest, AWinnerThatTheCopyUnderestimatesAsFarAsPossibleIsFound) {
  constexpr uint32_t kRows = 600, kCols = 512, kA = 411, kB = 97;
  Random random(5);
  std::vector<float> x(kCols);
  for (float& v : x) v = random.sign();
  const StoredHead stored = store_head(BN_DT_F16, kRows, kCols, [&](uint32_t r, uint32_t c) {
    if (r != kA && r != kB) return 0.5f * random.normal();
    if (c == 0) return 127.0f * x[0];  // the scale is 1
    return x[c] * (r == kA ? 0.49f : (c % 20 != 0 ? 1.0f : 0.0f) - 0.49f);
  });
  Search search(*this, stored);
  const std::vector<float> all = search.full(x, 1);
  ASSERT_GT(all[kA], all[kB]);
  ASSERT_NO_FATAL_FAILURE(search.expect_exact(x, 1, 1, "adversarial"));
  EXPECT_EQ(search.rows.best(0)[0].id, static_cast<int32_t>(kA));
  EXPECT_GT(search.logits[kB] - search.logits[kA], 400) << "the copy alone says b by far";
}

TEST_P(BestRowsTest, OfEqualRowsTheFirstComesFirstWhereverTheyLie) {
  constexpr uint32_t kRows = 3000, kCols = 64;
  Random random(6);
  const std::vector<float> winner = normal_vector(random, kCols);
  const StoredHead stored = store_head(BN_DT_F32, kRows, kCols, [&](uint32_t r, uint32_t c) {
    return r % 700 == 650 ? winner[c] : 0.2f * random.normal();  // 650, 1350, 2050, 2750
  });
  Search search(*this, stored);
  std::vector<float> x = winner;
  ASSERT_NO_FATAL_FAILURE(search.expect_exact(x, 1, 3, "ties"));
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(search.rows.best(0)[i].id, static_cast<int32_t>(650 + 700 * i));
}

TEST_P(BestRowsTest, UsesTheFullHeadWhereTheBoundSaysNothing) {
  constexpr uint32_t kRows = 2000, kCols = 64;
  Random random(7);
  const StoredHead stored = store_head(BN_DT_F16, kRows, kCols, [&](uint32_t, uint32_t) { return random.normal(); });
  Search search(*this, stored);
  const std::vector<float> good = normal_vector(random, kCols);
  std::vector<float> zero(kCols, 0.0f), huge(kCols, 5e33f), inf = good, nan = good, both = good;
  inf[3] = HUGE_VALF;
  nan[3] = std::numeric_limits<float>::quiet_NaN();
  uint64_t fell_back = 0;
  for (std::vector<float>* x : {&zero, &huge, &inf, &nan}) {
    const std::vector<float> all = search.full(*x, 1);
    search.run(*x, 1, 5);
    EXPECT_TRUE(search.rows.best(0).empty());
    EXPECT_EQ(std::memcmp(search.logits.data(), all.data(), 4 * all.size()), 0) << "the row of logits must be complete";
    EXPECT_EQ(search.rows.use().fell_back, ++fell_back);
  }
  both.insert(both.end(), zero.begin(), zero.end());  // one token of each kind in one step
  search.run(both, 2, 5);
  EXPECT_EQ(search.rows.best(0).size(), 5u);
  EXPECT_TRUE(search.rows.best(1).empty());
}

TEST_P(BestRowsTest, EqualLogitsGoToTheFullHead) {
  Random random(8);
  const std::vector<float> row = normal_vector(random, 64);
  const StoredHead stored = store_head(BN_DT_F16, 1000, 64, [&](uint32_t, uint32_t c) { return row[c]; });
  Search search(*this, stored);
  std::vector<float> x = normal_vector(random, 64);
  search.run(x, 1, 1);
  EXPECT_TRUE(search.rows.best(0).empty());
}

// A copy that is wrong shows when a row it singles out is computed.
TEST_P(BestRowsTest, ALogitOutsideItsBoundEndsTheUseOfTheCopy) {
  Random random(9);
  const StoredHead stored = store_head(BN_DT_F16, 2000, 64, [&](uint32_t, uint32_t) { return random.normal(); });
  Search search(*this, stored);
  auto* codes = static_cast<int8_t*>(search.head->codes_memory.data());
  std::vector<float> x(64, 1.0f);
  for (uint32_t c = 0; c < 64; ++c) codes[1234 * 64 + c] = 127;
  const std::vector<float> all = search.full(x, 1);
  EXPECT_TRUE(search.rows.can(1, 1));
  search.run(x, 1, 1);
  EXPECT_TRUE(search.rows.best(0).empty());
  EXPECT_EQ(search.logits, all);
  EXPECT_FALSE(search.rows.can(1, 1));
}

TEST_P(BestRowsTest, AnEstimateThatIsNotFiniteMeansTheFullHead) {
  Random random(11);
  const StoredHead stored = store_head(BN_DT_F16, 2000, 64, [&](uint32_t, uint32_t) { return random.normal(); });
  Search search(*this, stored);
  search.head->row_memory.as<float>()[1999] = std::numeric_limits<float>::quiet_NaN();  // a scale
  std::vector<float> x = normal_vector(random, 64);
  search.run(x, 1, 3);
  EXPECT_TRUE(search.rows.best(0).empty());
  EXPECT_EQ(search.logits, search.full(x, 1));
}

TEST_P(BestRowsTest, OneThreadAndManyFindTheSame) {
  Random random(10);
  const StoredHead stored = store_head(BN_DT_BF16, 3000, 128, [&](uint32_t, uint32_t) { return random.normal(); });
  std::vector<float> x = normal_vector(random, 128);
  for (const uint32_t threads : {1u, 5u}) {
    ThreadTeam team(threads);
    backend::Ops ops(device_.kernels(), device_.handle(), team);
    const auto head = screen_head(stored.tensor, nullptr, HeadMode::kScreened, ops, nullptr);
    BestRows rows(*head, ops);
    std::vector<float> logits(3000), all(3000);
    ops.begin(1, nullptr);
    rows.begin(1, 40);
    team.run([&](uint32_t m) { rows.run(m, {x.data(), 128}, logits.data()); });
    rows.end();
    ops.begin(1, nullptr);
    team.run([&](uint32_t m) { ops.dense(m, "output", {all.data(), 3000}, stored.tensor, {x.data(), 128}, 1); });
    const std::vector<Candidate> expected = bn::kit::top_candidates(all.data(), 3000, 40);
    ASSERT_EQ(rows.best(0).size(), 40u);
    for (size_t i = 0; i < 40; ++i) EXPECT_EQ(rows.best(0)[i].id, expected[i].id);
  }
}

TEST_P(BestRowsTest, HeadsThatAreNotScreened) {
  ThreadTeam team(1);
  backend::Ops ops(device_.kernels(), device_.handle(), team);
  const StoredHead small = store_head(BN_DT_F16, 100, 64, [](uint32_t r, uint32_t) { return static_cast<float>(r); });
  EXPECT_NE(screen_head(small.tensor, nullptr, HeadMode::kScreened, ops, nullptr), nullptr);
  EXPECT_EQ(screen_head(small.tensor, nullptr, HeadMode::kAuto, ops, nullptr), nullptr) << "small";
  EXPECT_EQ(screen_head(small.tensor, nullptr, HeadMode::kFull, ops, nullptr), nullptr);
  const StoredHead nan = store_head(BN_DT_F16, 100, 64, [](uint32_t r, uint32_t) { return r == 50 ? NAN : 1.0f; });
  EXPECT_EQ(screen_head(nan.tensor, nullptr, HeadMode::kScreened, ops, nullptr), nullptr);
  bn_tensor blocks = small.tensor;
  blocks.dtype = BN_DT_Q8_0;
  EXPECT_EQ(screen_head(blocks, nullptr, HeadMode::kScreened, ops, nullptr), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Plugins, BestRowsTest, testing::ValuesIn(plugin_names()),
                         [](const auto& plugin) { return plugin.param; });

}  // namespace
}  // namespace bitnet::model
