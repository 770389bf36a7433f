// engine/sampler_test.cpp - Philox against its published vectors; each stage of the sampler on small lists by hand.
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

namespace bitnet::engine {
namespace {

TEST(Philox, EqualsThePublishedVectors) {  // Random123, kat_vectors, philox4x32 10
  const auto expect = [](PhiloxBlock counter, uint64_t key, PhiloxBlock expected) {
    const PhiloxBlock got = philox(counter, key);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(got.word[i], expected.word[i]) << i;
  };
  expect({{0, 0, 0, 0}}, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  expect({{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}}, 0xffffffffffffffffull,
         {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  expect({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0x299f31d0a4093822ull,
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

SamplerSettings plain(float temperature) {
  SamplerSettings s;
  s.temperature = temperature;
  s.top_k = 0;
  s.top_p = 1;
  s.min_p = 0;
  return s;
}

int32_t sample_at(std::vector<float> logits, size_t position, const SamplerSettings& s) {
  const std::vector<int32_t> history(position, 0);
  return sample(logits, history, s);
}

// How often each id is drawn over many positions.
std::map<int32_t, int> draw(const std::vector<float>& logits, const SamplerSettings& s, int n = 4000) {
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sample_at(logits, static_cast<size_t>(i), s)];
  return counts;
}

std::set<int32_t> drawn(const std::vector<float>& logits, const SamplerSettings& s) {
  std::set<int32_t> ids;
  for (const auto& [id, count] : draw(logits, s)) ids.insert(id);
  return ids;
}

const std::vector<float> kLogits = {std::log(1.0f), std::log(4.0f), std::log(2.0f),
                                    std::log(1.0f)};  // probabilities 1 4 2 1 of 8

TEST(Sampler, GreedyTakesTheBestAndTheLowestIdOnTies) {
  EXPECT_EQ(sample_at(kLogits, 0, plain(0)), 1);
  EXPECT_EQ(sample_at({1, 3, 3, 2}, 0, plain(0)), 1);
  EXPECT_EQ(sample_at({-5, -5, -5}, 0, plain(0)), 0);
}

TEST(Sampler, DrawsWithTheProbabilitiesOfTheLogits) {
  const auto counts = draw(kLogits, plain(1), 8000);
  EXPECT_NEAR(counts.at(0), 1000, 150);
  EXPECT_NEAR(counts.at(1), 4000, 220);
  EXPECT_NEAR(counts.at(2), 2000, 190);
  EXPECT_NEAR(counts.at(3), 1000, 150);
}

TEST(Sampler, TemperatureSharpens) {
  const auto counts = draw(kLogits, plain(0.5f), 8000);  // squares: 1 16 4 1 of 22
  EXPECT_NEAR(counts.at(1), 8000 * 16 / 22, 220);
  EXPECT_NEAR(counts.at(0), 8000 / 22, 100);
}

TEST(Sampler, IsAFunctionOfSeedAndPosition) {
  SamplerSettings a = plain(1), b = plain(1);
  b.seed = 1;
  int differ = 0, other_position = 0;
  for (size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(sample_at(kLogits, i, a), sample_at(kLogits, i, a));
    differ += sample_at(kLogits, i, a) != sample_at(kLogits, i, b);
    other_position += sample_at(kLogits, i, a) != sample_at(kLogits, i + 1, a);
  }
  EXPECT_GT(differ, 50);
  EXPECT_GT(other_position, 50);
}

TEST(Sampler, TopKKeepsKAndPrefersLowIdsOnTies) {
  SamplerSettings s = plain(1);
  s.top_k = 2;
  EXPECT_EQ(drawn(kLogits, s), (std::set<int32_t>{1, 2}));
  s.top_k = 3;
  EXPECT_EQ(drawn(kLogits, s), (std::set<int32_t>{0, 1, 2}));
  s.top_k = 100;
  EXPECT_EQ(drawn(kLogits, s).size(), 4u);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesP) {
  SamplerSettings s = plain(1);
  s.top_p = 0.5f;
  EXPECT_EQ(drawn(kLogits, s), (std::set<int32_t>{1}));
  s.top_p = 0.51f;
  EXPECT_EQ(drawn(kLogits, s), (std::set<int32_t>{1, 2}));
  s.top_p = 0.0f;
  EXPECT_EQ(drawn(kLogits, s), (std::set<int32_t>{1}));
}

TEST(Sampler, MinPDropsWhatIsFarBelowTheBest) {
  SamplerSettings s = plain(1);
  s.min_p = 0.3f;  // the best has 4, the others 2, 1, 1
  EXPECT_EQ(drawn(kLogits, s), (std::set<int32_t>{1, 2}));
  s.min_p = 0.9f;
  EXPECT_EQ(drawn(kLogits, s), (std::set<int32_t>{1}));
}

TEST(Sampler, RepetitionPenaltyReachesBackOverItsWindow) {
  SamplerSettings s = plain(0);
  s.repeat_penalty = 2.0f;
  s.repeat_last_n = 2;
  const std::vector<int32_t> history = {1, 0, 0};
  std::vector<float> logits = {1.0f, 3.0f, 2.0f};
  EXPECT_EQ(sample(logits, history, s), 1);  // id 1 has left the window
  logits = {1.0f, 3.0f, 2.0f};
  s.repeat_last_n = -1;
  EXPECT_EQ(sample(logits, history, s), 2);  // 3/2 < 2
  logits = {-1.0f, -3.0f, -1.5f};
  EXPECT_EQ(sample(logits, history, s), 2);  // a negative logit is multiplied
}

TEST(Sampler, PresenceAndFrequencyPenalties) {
  SamplerSettings s = plain(0);
  const std::vector<int32_t> history = {1, 1, 1};
  s.frequency_penalty = 0.4f;
  std::vector<float> logits = {2.0f, 3.0f};
  EXPECT_EQ(sample(logits, history, s), 0);  // 3 - 3*0.4 < 2
  s.frequency_penalty = 0;
  s.presence_penalty = 0.4f;
  logits = {2.0f, 3.0f};
  EXPECT_EQ(sample(logits, history, s), 1);
}

TEST(Sampler, LogitBiasForcesAndForbids) {
  SamplerSettings s = plain(0);
  s.logit_bias = {{3, 100.0f}};
  EXPECT_EQ(sample_at(kLogits, 0, s), 3);
  s.logit_bias = {{1, -100.0f}};
  EXPECT_EQ(sample_at(kLogits, 0, s), 2);
  s.logit_bias = {{99, 100.0f}, {-1, 100.0f}};
  EXPECT_EQ(sample_at(kLogits, 0, s), 1);
}

}  // namespace
}  // namespace bitnet::engine
