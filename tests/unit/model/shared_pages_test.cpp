// unit/model/shared_pages_test.cpp - attention over a long past, its pages shared by the members of a team: the bits of the
// definition, on every backend.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "backend/device.h"
#include "backend/ops.h"
#include "backend/registry.h"
#include "bitnet/kit/ops.hpp"
#include "bitnet/kit/portable.h"

namespace bitnet::backend {
namespace {

constexpr uint32_t kHeads = 10, kKvHeads = 5, kDim = 32, kWidth = kHeads * kDim;

// Sequences of some length whose newest tokens are attended to, all in one step.
struct Sequence {
  uint32_t position, n;
};

class Step {
 public:
  Step(std::vector<Sequence> sequences, uint32_t window) : window_(window) {
    std::mt19937 generator(7);
    std::normal_distribution<float> normal;
    for (const Sequence& s : sequences) {
      runs_.push_back({n_tokens_, s.n, s.position});
      n_tokens_ += s.n;
      auto& pages = memory_.emplace_back();
      auto& pointers = pointers_.emplace_back();
      for (uint32_t p = 0; p <= (s.position + s.n - 1) / BN_KV_PAGE; ++p) {
        for (int both = 0; both < 2; ++both) {
          auto& page = pages.emplace_back(kKvHeads * BN_KV_PAGE * kDim);
          for (float& x : page) x = normal(generator);
        }
      }
      for (size_t p = 0; p < pages.size(); p += 2) pointers.first.push_back(pages[p].data());
      for (size_t p = 1; p < pages.size(); p += 2) pointers.second.push_back(pages[p].data());
    }
    for (auto& pointers : pointers_) pages_.push_back({pointers.first.data(), pointers.second.data()});
    q_.resize(n_tokens_ * kWidth);
    for (float& x : q_) x = normal(generator);
  }

  std::vector<float> definition() const {
    std::vector<float> y(q_.size());
    for (size_t i = 0; i < runs_.size(); ++i) {
      bn_attn a = arguments(y.data());
      a.q += runs_[i].row * kWidth, a.y += runs_[i].row * kWidth, a.pos0 = runs_[i].position;
      a.k = pages_[i].k, a.v = pages_[i].v;
      bn::kit::attention(a, 0, runs_[i].n, 0, kHeads);
    }
    return y;
  }
  // status: what the step ended with.
  std::vector<float> run(const bn_kernels_v1& table, bn_device* device, uint32_t members, bn_status* status) const {
    std::vector<float> y(q_.size());
    ThreadTeam team(members);
    Ops ops(&table, device, team);
    const bn_attn a = arguments(y.data());
    ops.begin(n_tokens_, nullptr);
    ops.plan_attention(a, runs_);
    team.run([&](uint32_t member) { ops.attention(member, "attn", a, runs_, pages_.data()); });
    *status = ops.status();
    return y;
  }

 private:
  bn_attn arguments(float* y) const {
    bn_attn a{};
    a.struct_size = sizeof a, a.n_heads = kHeads, a.n_kv_heads = kKvHeads, a.head_dim = kDim, a.window = window_;
    a.kv_dtype = BN_DT_F32, a.kv_stride_pos = kDim, a.kv_stride_head = kDim * BN_KV_PAGE;
    a.q_stride = a.y_stride = kWidth, a.scale = 0.5f, a.q = q_.data(), a.y = y;
    return a;
  }
  uint32_t window_, n_tokens_ = 0;
  std::vector<Run> runs_;
  std::vector<std::vector<std::vector<float>>> memory_;
  std::vector<std::pair<std::vector<const void*>, std::vector<const void*>>> pointers_;
  std::vector<Pages> pages_;
  std::vector<float> q_;
};

bn_status no_attention(bn_device*, const bn_attn*, uint32_t, uint32_t, uint32_t, uint32_t, void*) { return BN_E_INVALID; }
bn_status no_parts(bn_device*, const bn_attn*, const bn_attn_parts*, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,
                   void*) {
  return BN_E_TIMEOUT;
}

const Registry& registry() {
  static const Registry found = [] {
    DiscoveryOptions options;
    options.program_path = BITNET_RUN;
    return Registry::discover(options);
  }();
  return found;
}

TEST(SharedPages, GiveTheBitsOfTheDefinitionOnEveryBackend) {
  uint32_t n_plugins = 0;
  for (const char* name : {"cpu_portable", "cpu_avx2", "cpu_avx512", "cpu_neon"}) {
    const Plugin* plugin = registry().find(name);
    if (plugin == nullptr || !plugin->usable) continue;
    ++n_plugins;
    const OpenDevice device(*plugin, "cpu");
    bn_kernels_v1 table = *device.kernels();
    table.attention = no_attention;  // so that a step that would not share its pages fails
    for (const std::vector<Sequence>& sequences :
         {std::vector<Sequence>{{640, 1}}, {{1000, 1}}, {{700, 3}}, {{1279, 2}}, {{900, 1}, {3, 1}, {650, 1}}}) {
      for (const uint32_t window : {0u, 700u}) {
        const Step step(sequences, window);
        const std::vector<float> expected = step.definition();
        for (const uint32_t members : {2u, 3u, 7u}) {
          bn_status status = BN_E_INTERNAL;
          const std::vector<float> found = step.run(table, device.handle(), members, &status);
          EXPECT_EQ(status, BN_OK);
          EXPECT_EQ(std::memcmp(found.data(), expected.data(), 4 * expected.size()), 0)
              << name << ", " << members << " members, position " << sequences[0].position << ", window " << window;
        }
      }
    }
  }
  EXPECT_GE(n_plugins, 1u);
}

TEST(SharedPages, AShortPastOneMemberOrAPluginWithoutPartsShareHeads) {
  const Step is_short({{639, 1}}, 0), is_long({{640, 1}}, 0);
  bn_kernels_v1 table = *bn_portable_kernels();
  table.attention_parts = no_parts;
  bn_status status = BN_E_INTERNAL;
  EXPECT_EQ(is_short.run(table, nullptr, 2, &status), is_short.definition());
  EXPECT_EQ(status, BN_OK);
  EXPECT_EQ(is_long.run(table, nullptr, 1, &status), is_long.definition());
  EXPECT_EQ(status, BN_OK);
  table.merge_parts = nullptr;
  EXPECT_EQ(is_long.run(table, nullptr, 2, &status), is_long.definition());
  EXPECT_EQ(status, BN_OK);
}

TEST(SharedPages, AFailureOfAPartEndsTheStep) {
  bn_kernels_v1 table = *bn_portable_kernels();
  table.attention_parts = no_parts;
  bn_status status = BN_OK;
  Step({{640, 1}}, 0).run(table, nullptr, 2, &status);
  EXPECT_EQ(status, BN_E_TIMEOUT);
}

}  // namespace
}  // namespace bitnet::backend
