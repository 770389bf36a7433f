// unit/engine/batch_test.cpp - several sequences in one step: each gets, bit for bit, what it gets alone, whoever joins or
// leaves.
#include <gtest/gtest.h>

#include <algorithm>

#include "backend/registry.h"
#include "engine/engine.h"

namespace bitnet::engine {
namespace {

const backend::Registry& registry() {
  static const backend::Registry found = [] {
    backend::DiscoveryOptions options;
    options.program_path = BITNET_RUN;
    return backend::Registry::discover(options);
  }();
  return found;
}

const model::Model& model_of(const std::string& name) {
  static std::map<std::string, model::Model> models;
  const std::string path = name == "story" ? std::string(BITNET_BINARY_DIR) + "/share/bitnet/models/story.gguf"
                                           : std::string(BITNET_TEST_DATA) + "/families/" + name + "/model.gguf";
  return models.try_emplace(name, path).first->second;
}

struct Shape {
  const char* backend;
  const char* model;
  uint32_t threads, max_batch;
  model::HeadMode head = model::HeadMode::kAuto;  // auto: as stored, the models are small
  uint32_t kv_dtype = BN_DT_F32;
};
void PrintTo(const Shape& s, std::ostream* out) {
  *out << s.backend << ' ' << s.model << ' ' << s.threads << " threads, steps of " << s.max_batch;
}

// A text: its prompt, read in pieces, and how its tokens are drawn.
struct Text {
  uint32_t n_prompt, piece, n_tokens, joins;  // joins: at this step
  float temperature;
  uint32_t top_k;
};

// Prompts of 1 to 140 tokens (more than a page of keys), read in pieces; they join at different steps and end at others. One
// looks at all logits, so that steps with it differ from those without.
const std::vector<Text> kTexts = {{7, 3, 12, 0, 0.0f, 40},    {1, 1, 20, 0, 0.9f, 40},   {140, 50, 6, 1, 0.8f, 5},
                                  {20, 20, 10, 4, 0.7f, 0},   {33, 8, 5, 9, 1.0f, 64},   {2, 2, 15, 9, 0.9f, 1},
                                  {5, 5, 9, 10, 0.0f, 1},     {64, 64, 3, 10, 0.8f, 40}, {11, 4, 8, 11, 0.8f, 40},
                                  {129, 129, 4, 12, 0.8f, 40}};

class BatchTest : public testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    plugin_ = registry().find(GetParam().backend);
    if (plugin_ == nullptr) GTEST_SKIP() << "not built for this processor";
    if (!plugin_->usable) GTEST_SKIP() << plugin_->reason;
    team_ = std::make_unique<ThreadTeam>(GetParam().threads);
  }

  std::unique_ptr<Engine> open(uint32_t n_ctx = 256) {
    EngineOptions options;
    options.n_ctx = n_ctx;
    options.max_batch = GetParam().max_batch;
    options.head = GetParam().head;
    options.kv_dtype = GetParam().kv_dtype;
    if (plugin_->kind == "test") options.device_options["mock"] = R"({"mode":"faithful","tier":"kernels"})";
    backend::Candidate candidate{};
    candidate.name = plugin_->name;
    candidate.device = plugin_->devices.front().id;
    candidate.tier = "kernels";
    return load_engine(*plugin_, candidate, model_of(GetParam().model), *team_, options, pulse_);
  }

  std::vector<int32_t> prompt_of(size_t i) const {
    std::vector<int32_t> tokens(kTexts[i].n_prompt);
    const uint32_t n_vocab = model_of(GetParam().model).config.arch.n_vocab;
    for (size_t t = 0; t < tokens.size(); ++t) tokens[t] = static_cast<int32_t>((t * 37 + i * 101 + 3) % n_vocab);
    return tokens;
  }

  static bn_sampler sampler_of(size_t i) {
    bn_sampler s{};
    s.struct_size = sizeof s;
    s.top_k = kTexts[i].top_k;
    s.temperature = kTexts[i].temperature;
    s.top_p = 0.95f;
    s.min_p = 0.02f;
    s.seed = 5 + i;
    return s;
  }

  struct Written {
    std::vector<int32_t> tokens;
    std::vector<float> logits;  // behind the last of them
  };
  Written alone(Engine& engine, size_t i) {
    Written w;
    w.tokens.resize(kTexts[i].n_tokens);
    engine.truncate(0);
    engine.append(prompt_of(i), nullptr, pulse_);
    uint32_t n = 0;
    engine.decode(sampler_of(i), {kTexts[i].n_tokens, kTexts[i].n_tokens}, w.tokens.data(), n, pulse_);
    EXPECT_EQ(n, w.tokens.size());
    w.logits.resize(engine.n_vocab());
    engine.last_logits(w.logits.data(), pulse_);
    return w;
  }

  const backend::Plugin* plugin_ = nullptr;
  std::unique_ptr<ThreadTeam> team_;
  Pulse pulse_;
};

TEST_P(BatchTest, EverySequenceIsAsIfItWereAlone) {
  const auto first = open();
  std::vector<Written> expected;
  for (size_t i = 0; i < kTexts.size(); ++i) expected.push_back(alone(*first, i));
  struct Running {
    std::unique_ptr<Engine> engine;
    std::vector<int32_t> prompt, tokens;
    bn_sampler sampler;
    size_t n_read = 0;
  };
  std::vector<Running> all(kTexts.size());
  size_t n_ended = 0, most = 0;
  for (uint32_t step = 0; n_ended < all.size(); ++step) {
    ASSERT_LT(step, 200u);
    std::vector<BatchItem> items;
    std::vector<size_t> who;
    for (size_t i = 0; i < all.size(); ++i) {
      Running& r = all[i];
      if (step == kTexts[i].joins) {
        r.engine = first->another();
        ASSERT_NE(r.engine, nullptr);
        EXPECT_EQ(r.engine->size(), 0u);
        r.prompt = prompt_of(i), r.sampler = sampler_of(i);
      }
      if (r.engine == nullptr) continue;
      BatchItem item;
      item.engine = r.engine.get();
      item.tokens = std::span(r.prompt).subspan(r.n_read, std::min<size_t>(kTexts[i].piece, r.prompt.size() - r.n_read));
      r.n_read += item.tokens.size();
      if (r.n_read == r.prompt.size()) item.sampler = &r.sampler;
      items.push_back(item);
      who.push_back(i);
    }
    if (items.empty()) continue;
    most = std::max(most, items.size());
    Engine::step(items, pulse_);
    for (size_t k = 0; k < items.size(); ++k) {
      Running& r = all[who[k]];
      if (items[k].sampler == nullptr) continue;
      r.tokens.push_back(items[k].token);
      if (r.tokens.size() < kTexts[who[k]].n_tokens) continue;
      EXPECT_EQ(r.tokens, expected[who[k]].tokens) << "text " << who[k];
      std::vector<float> logits(first->n_vocab());
      r.engine->last_logits(logits.data(), pulse_);
      EXPECT_EQ(logits, expected[who[k]].logits) << "text " << who[k];
      r.engine.reset();
      ++n_ended;
    }
  }
  EXPECT_GT(most, 5u) << "they must meet";
  const bool screened = GetParam().head == model::HeadMode::kScreened;
  EXPECT_EQ(first->another()->info().head.screen_bytes != 0, screened);
}

TEST_P(BatchTest, AllLogitsOfSomeAndTokensOfOthers) {
  const auto a = open(), b = a->another(), alone = a->another();
  const std::vector<int32_t> prompt = prompt_of(0), other = prompt_of(3);
  std::vector<float> got(a->n_vocab()), expected(a->n_vocab());
  const bn_sampler sampler = sampler_of(3);
  BatchItem items[2] = {{a.get(), prompt, nullptr, got.data()}, {b.get(), other, &sampler}};
  Engine::step(items, pulse_);
  alone->append(prompt, nullptr, pulse_);
  alone->last_logits(expected.data(), pulse_);
  EXPECT_EQ(got, expected);
  // Nothing new, but what lies behind: once more through the layers, beside one that goes on.
  std::fill(got.begin(), got.end(), 0.0f);
  BatchItem again[2] = {{b.get(), {}, &sampler}, {a.get(), {}, nullptr, got.data()}};
  Engine::step(again, pulse_);
  EXPECT_EQ(got, expected);
  EXPECT_EQ(a->size(), prompt.size());
  EXPECT_EQ(b->size(), other.size() + 2);
}

TEST_P(BatchTest, ARequestToStopLeavesAllAsTheyWere) {
  const auto a = open(), b = a->another();
  const bn_sampler sampler = sampler_of(1);
  const std::vector<int32_t> prompt = prompt_of(0), more = {9, 8, 7};
  BatchItem items[2] = {{a.get(), prompt, &sampler}, {b.get(), prompt, &sampler}};
  Engine::step(items, pulse_);
  EXPECT_EQ(items[0].token, items[1].token);
  Pulse stopped;
  stopped.request_stop();
  BatchItem next[2] = {{a.get(), more, &sampler}, {b.get(), {}, &sampler}};
  EXPECT_THROW(Engine::step(next, stopped), backend::BackendError);
  EXPECT_EQ(a->size(), prompt.size() + 1);
  EXPECT_EQ(b->size(), prompt.size() + 1);
  Engine::step(next, pulse_);
  std::vector<float> got(a->n_vocab()), expected(a->n_vocab());
  a->truncate(static_cast<uint32_t>(prompt.size()) + 4);
  a->last_logits(got.data(), pulse_);
  const auto alone = a->another();
  alone->append(prompt, nullptr, pulse_);
  alone->append(std::span(&items[0].token, 1), nullptr, pulse_);
  alone->append(more, nullptr, pulse_);
  alone->last_logits(expected.data(), pulse_);
  EXPECT_EQ(got, expected);
}

TEST_P(BatchTest, ATokenThatDoesNotFitIsRefused) {
  const auto a = open(8), b = a->another();
  const std::vector<int32_t> prompt = {1, 2, 3, 4, 5, 6, 7, 8};
  const bn_sampler sampler = sampler_of(1);
  BatchItem items[2] = {{b.get(), std::span(prompt).first(2), &sampler}, {a.get(), prompt, &sampler}};
  EXPECT_THROW(Engine::step(items, pulse_), Error);
  EXPECT_EQ(b->size(), 0u);
}

constexpr auto kScreened = model::HeadMode::kScreened;
INSTANTIATE_TEST_SUITE_P(
    Shapes, BatchTest,
    testing::Values(Shape{"cpu_portable", "story", 1, 512}, Shape{"cpu_portable", "story", 2, 7, kScreened},
                    Shape{"cpu_portable", "bitnet_b158_relu2", 3, 64}, Shape{"cpu_portable", "llama_falcon3_hd256", 2, 512},
                    Shape{"cpu_avx2", "story", 1, 16, kScreened}, Shape{"cpu_avx2", "story", 3, 512, kScreened},
                    Shape{"cpu_avx2", "bitnet_b158_relu2", 2, 512, kScreened, BN_DT_F16},
                    Shape{"cpu_avx2", "llama_falcon3_hd256", 2, 9}, Shape{"cpu_avx512", "story", 2, 512, kScreened},
                    Shape{"cpu_avx512", "bitnet_b158_relu2", 1, 512}, Shape{"cpu_avx512", "llama_falcon3_hd256", 3, 33},
                    Shape{"cpu_avx512", "llama_row_scales", 3, 512, kScreened, BN_DT_F16},
                    Shape{"mock", "bitnet_b158_relu2", 2, 32}));

}  // namespace
}  // namespace bitnet::engine
