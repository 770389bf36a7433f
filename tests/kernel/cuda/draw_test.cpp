// kernel/cuda/draw_test.cpp - the draw and the end of a step, emulated, against the canonical sampler of the kit.
#include <gtest/gtest.h>

#include <tuple>

#include "bitnet/kit/sampler.hpp"
#include "emulation/block.h"
#include "head_data.h"

namespace bn_cuda {
namespace {

constexpr int32_t kUntouched = -99;

// One sequence, its ring, and a list to draw from.
struct Chain {
  std::vector<int32_t> tokens = std::vector<int32_t>(64, kUntouched), ring = std::vector<int32_t>(kRing, kUntouched), stop;
  std::vector<int32_t> top_id;
  std::vector<float> top_logit;
  uint32_t ring_count = 0, ring_end = 0, overflow = 0, not_finite = 0;
  StepState state{9, kGoingOn, 0, 100};
  bn_sampler sampler{};

  void list(const std::vector<float>& logits, uint32_t k) {
    const auto best = bn::kit::top_candidates(logits.data(), static_cast<uint32_t>(logits.size()), k);
    top_id.clear();
    top_logit.clear();
    for (const auto& c : best) top_id.push_back(c.id), top_logit.push_back(c.logit);
  }
  void draw() {
    const DrawArgs args{top_id.data(),
                        top_logit.data(),
                        &overflow,
                        &not_finite,
                        stop.data(),
                        tokens.data(),
                        &state,
                        ring.data(),
                        &ring_count,
                        &ring_end,
                        sampler.seed,
                        static_cast<uint32_t>(top_id.size()),
                        static_cast<uint32_t>(stop.size()),
                        static_cast<uint32_t>(tokens.size()),
                        sampler.temperature,
                        sampler.top_p,
                        sampler.min_p};
    emulation::launch(draw_kernel(), draw_shape(args), &args);
  }
  void expect_nothing_drawn(uint32_t end) const {
    EXPECT_EQ(state.n_drawn, 0u);
    EXPECT_EQ(state.steps_left, 100u);
    EXPECT_EQ(state.stopped, end);
    EXPECT_EQ(ring_end, end);
    EXPECT_EQ(ring_count, 0u);
    EXPECT_EQ(ring[0], kUntouched);
    for (const int32_t t : tokens) EXPECT_EQ(t, kUntouched);
  }
};

TEST(CudaDraw, IsTheCanonicalSampler) {
  uint32_t different = 0, draws = 0;
  for (const uint32_t n : {300u, 1500u}) {
    std::vector<float> logits = random_hidden(n, n);
    logits[7] = logits[31] = logits[100];
    for (const uint32_t top_k : {1u, 5u, 40u, 1024u}) {
      for (const float top_p : {0.0f, 0.3f, 0.9f, 1.0f}) {
        for (const float min_p : {0.0f, 0.05f, 1.0f}) {
          for (const float temperature : {0.0f, 0.2f, 1.0f, 7.5f}) {
            Chain chain;
            chain.list(logits, top_k);
            for (const uint64_t seed : {uint64_t{0}, uint64_t{1} << 40 | 17}) {
              chain.sampler = {sizeof(bn_sampler), top_k, temperature, top_p, min_p, 0, seed, 0, nullptr, 0};
              const uint32_t at = static_cast<uint32_t>(chain.state.position) + 1;
              chain.draw();
              const int32_t want = bn::kit::sample_logits(chain.sampler, at, logits.data(), n);
              ASSERT_EQ(chain.tokens[at], want) << "top_k " << top_k << ", top_p " << top_p << ", min_p " << min_p
                                                << ", temperature " << temperature << ", position " << at;
              different += want != chain.top_id[0];
              ++draws;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(different, draws / 10);  // not only ever the best
}

TEST(CudaDraw, ManyPositionsOfOneSeed) {
  const std::vector<float> logits = random_hidden(200, 3);
  Chain chain;
  chain.tokens.resize(400);
  chain.state = {0, kGoingOn, 0, 1000};
  chain.sampler = {sizeof(bn_sampler), 40, 1.3f, 0.95f, 0.01f, 0, 42, 0, nullptr, 0};
  chain.list(logits, 40);
  for (uint32_t at = 1; at < 300; ++at) {
    chain.draw();
    ASSERT_EQ(chain.tokens[at], bn::kit::sample_logits(chain.sampler, at, logits.data(), 200)) << at;
    ASSERT_EQ(chain.ring[at - 1], chain.tokens[at]);
    ASSERT_EQ(chain.ring_count, at);
  }
}

// Shares of the weights that are exactly top_p, weights that are exactly min_p.
TEST(CudaDraw, LimitsThatAreMetExactly) {
  std::vector<float> logits(9, 2.0f);
  logits[8] = 1.0f;
  for (const auto& [top_p, min_p, last] : {std::tuple{0.5f, 0.0f, 3}, std::tuple{1.0f, 1.0f, 7}}) {
    Chain chain;
    chain.tokens.resize(200);
    chain.state = {0, kGoingOn, 0, 1000};
    chain.sampler = {sizeof(bn_sampler), 8, 1.0f, top_p, min_p, 0, 5, 0, nullptr, 0};
    chain.list(logits, 8);
    int32_t largest = 0;
    for (uint32_t at = 1; at < 150; ++at) {
      chain.draw();
      ASSERT_EQ(chain.tokens[at], bn::kit::sample_logits(chain.sampler, at, logits.data(), 9)) << at;
      largest = std::max(largest, chain.tokens[at]);
    }
    EXPECT_EQ(largest, last);  // 4 of 8 equal weights are half of them; all 8 are as good as the best
  }
}

TEST(CudaDraw, AdvancesTheStep) {
  Chain chain;
  chain.list({1, 5, 3}, 1);
  chain.state = {9, kGoingOn, kRing + 2, 3};
  chain.draw();
  EXPECT_EQ(chain.tokens[10], 1);
  EXPECT_EQ(chain.tokens[9], kUntouched);
  EXPECT_EQ(chain.ring[2], 1);
  EXPECT_EQ(chain.ring_count, kRing + 3);
  EXPECT_EQ(chain.state.position, 10);
  EXPECT_EQ(chain.state.n_drawn, kRing + 3);
  EXPECT_EQ(chain.state.steps_left, 2u);
  EXPECT_EQ(chain.state.stopped, kGoingOn);
  EXPECT_EQ(chain.ring_end, kGoingOn);
}

TEST(CudaDraw, StopTokenIsDrawnAndTheRestIsNot) {
  Chain chain;
  chain.list({1, 5, 3}, 1);
  chain.stop = {4, 1};
  chain.draw();
  EXPECT_EQ(chain.tokens[10], 1);
  EXPECT_EQ(chain.state.stopped, kStopToken);
  EXPECT_EQ(chain.ring_end, kStopToken);
  chain.draw();
  EXPECT_EQ(chain.tokens[11], kUntouched);
  EXPECT_EQ(chain.state.position, 10);
  EXPECT_EQ(chain.ring_count, 1u);
  EXPECT_EQ(chain.state.steps_left, 99u);
}

TEST(CudaDraw, LastWantedTokenEndsTheChain) {
  Chain chain;
  chain.list({1, 5, 3}, 1);
  chain.state.steps_left = 1;
  chain.draw();
  EXPECT_EQ(chain.state.stopped, kAllDrawn);
  EXPECT_EQ(chain.ring_end, kAllDrawn);
  chain.draw();
  EXPECT_EQ(chain.ring_count, 1u);
  EXPECT_EQ(chain.tokens[11], kUntouched);
}

TEST(CudaDraw, NoDrawsWanted) {
  Chain chain;
  chain.list({1, 5, 3}, 1);
  chain.state.steps_left = 0;
  chain.draw();
  EXPECT_EQ(chain.ring_count, 0u);
  EXPECT_EQ(chain.tokens[10], kUntouched);
}

TEST(CudaDraw, FullContextComesBeforeTheRest) {
  Chain chain;
  chain.list({1, 5, 3}, 1);
  chain.tokens.resize(10);
  chain.not_finite = chain.overflow = 1;
  chain.draw();
  chain.expect_nothing_drawn(kNoRoom);
}

TEST(CudaDraw, TooManyCandidates) {
  Chain chain;
  chain.list({1, 5, 3}, 1);
  chain.overflow = 1;
  chain.draw();
  chain.expect_nothing_drawn(kNeedsFull);
  EXPECT_EQ(chain.overflow, 0u);
}

TEST(CudaDraw, LogitsThatAreNotFinite) {
  Chain chain;
  chain.list({1, 5, 3}, 1);
  chain.not_finite = chain.overflow = 1;
  chain.draw();
  chain.expect_nothing_drawn(kNotFinite);
  EXPECT_EQ(chain.not_finite, 0u);
  EXPECT_EQ(chain.overflow, 0u);
}

}  // namespace
}  // namespace bn_cuda
