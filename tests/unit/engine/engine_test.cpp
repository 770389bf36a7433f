// unit/engine/engine_test.cpp - append, decode, truncate, outputs, keys and values, cancel: the same on every kind of engine.
#include "engine/engine.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "backend/registry.h"
#include "bitnet/kit/sampler.hpp"
#include "engine/engine_thread.h"
#include "engine/worker_engine.h"

namespace bitnet::engine {
namespace {

const std::string kModel = std::string(BITNET_TEST_DATA) + "/families/bitnet_b158_relu2/model.gguf";
const std::vector<int32_t> kPrompt = {1, 17, 300, 4, 5, 99, 7};

const model::Model& the_model() {
  static const model::Model model(kModel);
  return model;
}

// A trained model, for texts that repeat themselves.
const model::Model& story_model() {
  static const model::Model model(std::string(BITNET_BINARY_DIR) + "/share/bitnet/models/story.gguf");
  return model;
}

const backend::Registry& registry() {
  static const backend::Registry found = [] {
    backend::DiscoveryOptions options;
    options.program_path = BITNET_RUN;
    return backend::Registry::discover(options);
  }();
  return found;
}

struct Kind {
  const char* name;
  const char* plugin;
  const char* tier;
  bool worker;
  model::HeadMode head = model::HeadMode::kAuto;  // auto: the models here are too small to be screened
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class EngineTest : public testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<Engine> open(uint32_t n_ctx = 64, uint32_t max_batch = 16, uint32_t n_draft = 0) {
    const backend::Plugin* plugin = registry().find(GetParam().plugin);
    if (plugin == nullptr || !plugin->usable) throw std::runtime_error(std::string(GetParam().plugin) + " is not usable");
    EngineOptions options;
    options.n_ctx = n_ctx;
    options.max_batch = max_batch;
    options.head = GetParam().head;
    options.draft_min = n_draft;  // whether they pay off or not: tests want guesses
    options.draft_max = n_draft;
    if (plugin->kind == "test")
      options.device_options["mock"] = std::string(R"({"mode":"faithful","tier":")") + GetParam().tier + "\"}";
    backend::Candidate candidate{};
    candidate.name = plugin->name;
    candidate.device = plugin->devices.front().id;
    candidate.tier = GetParam().tier;
    if (!GetParam().worker) return load_engine(*plugin, candidate, *model_, team_, options, pulse_);
    return std::make_unique<WorkerEngine>(
        *plugin, candidate, *model_, 2, options,
        WorkerOptions{std::string(BITNET_BINARY_DIR) + "/libexec/bitnet/bn_worker", true, BITNET_RUN}, pulse_);
  }

  std::vector<float> rows(Engine& engine, std::span<const int32_t> tokens, uint32_t first) {
    std::vector<float> logits((tokens.size() - first) * engine.n_vocab());
    Output output;
    output.first = first;
    output.logits = logits.data();
    engine.append(tokens, &output, pulse_);
    return logits;
  }

  bn_sampler sampler(float temperature, std::vector<int32_t>& stop) {
    bn_sampler s{};
    s.struct_size = sizeof s;
    s.top_k = 40;
    s.temperature = temperature;
    s.top_p = 0.95f;
    s.min_p = 0.02f;
    s.seed = 11;
    s.stop = stop.data();
    s.n_stop = stop.size();
    return s;
  }

  std::vector<int32_t> decode(Engine& engine, const bn_sampler& s, uint32_t steps) {
    std::vector<int32_t> tokens(steps);
    uint32_t n = 0;
    engine.decode(s, {steps, steps}, tokens.data(), n, pulse_);
    tokens.resize(n);
    return tokens;
  }

  ThreadTeam team_{2};
  Pulse pulse_;
  const model::Model* model_ = &the_model();
};

TEST_P(EngineTest, DecodeInAnyPiecesSamplesWhatItsLogitsSay) {
  std::vector<int32_t> stop;
  for (const float temperature : {0.0f, 0.9f}) {
    const bn_sampler s = sampler(temperature, stop);
    const auto at_once = open();
    at_once->append(kPrompt, nullptr, pulse_);
    const std::vector<int32_t> tokens = decode(*at_once, s, 12);
    ASSERT_EQ(tokens.size(), 12u);
    const auto stepwise = open();
    stepwise->append(kPrompt, nullptr, pulse_);
    std::vector<int32_t> again;
    for (const uint32_t steps : {1u, 4u, 7u}) {
      for (const int32_t token : decode(*stepwise, s, steps)) again.push_back(token);
    }
    EXPECT_EQ(again, tokens);
    EXPECT_EQ(stepwise->size(), kPrompt.size() + 12);
    const model::HeadUse use = stepwise->info().head;
    EXPECT_EQ(use.screened + use.fell_back, GetParam().head == model::HeadMode::kScreened ? 12u : 0u);
    // The logits behind the tokens, computed in one go, say the same.
    std::vector<int32_t> all = kPrompt;
    all.insert(all.end(), tokens.begin(), tokens.end());
    const auto whole = open();
    const std::vector<float> logits = rows(*whole, all, 0);
    std::vector<float> last(whole->n_vocab());
    stepwise->last_logits(last.data(), pulse_);
    EXPECT_TRUE(std::equal(last.begin(), last.end(), logits.end() - static_cast<ptrdiff_t>(last.size())));
    if (temperature > 0) continue;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto row = logits.begin() + static_cast<ptrdiff_t>((kPrompt.size() + i - 1) * last.size());
      EXPECT_EQ(tokens[i], std::max_element(row, row + static_cast<ptrdiff_t>(last.size())) - row) << i;
    }
  }
}

TEST_P(EngineTest, ForgettingAndGoingOnIsAsIfNothingHadBeenThere) {
  std::vector<int32_t> stop;
  const bn_sampler s = sampler(0.9f, stop);
  const auto straight = open(), detour = open();
  const std::vector<float> expected = rows(*straight, kPrompt, 0);
  detour->append(std::span(kPrompt).first(4), nullptr, pulse_);
  decode(*detour, s, 9);
  detour->truncate(4);
  EXPECT_EQ(detour->size(), 4u);
  const std::vector<float> got = rows(*detour, std::span(kPrompt).subspan(4), 0);
  EXPECT_TRUE(std::equal(got.begin(), got.end(), expected.begin() + static_cast<ptrdiff_t>(4 * straight->n_vocab())));
  detour->truncate(0);
  EXPECT_EQ(rows(*detour, kPrompt, 0), expected);
}

TEST_P(EngineTest, LogitsOfForgottenTokensAreNotTakenForThoseOfOthers) {
  const auto engine = open(), other = open();
  std::vector<float> first(engine->n_vocab()), second(engine->n_vocab()), expected(engine->n_vocab());
  const std::vector<int32_t> a = {1, 17, 300}, b = {1, 17, 5};
  engine->append(a, nullptr, pulse_);
  engine->last_logits(first.data(), pulse_);
  engine->truncate(2);
  engine->append(std::span(b).last(1), nullptr, pulse_);
  engine->last_logits(second.data(), pulse_);
  other->append(b, nullptr, pulse_);
  other->last_logits(expected.data(), pulse_);
  EXPECT_EQ(second, expected);
  EXPECT_NE(second, first);
}

TEST_P(EngineTest, DecodeEndsWithAStopTokenAndWithTheContext) {
  std::vector<int32_t> stop;
  const auto engine = open(20);
  engine->append(kPrompt, nullptr, pulse_);
  const std::vector<int32_t> free = decode(*engine, sampler(0, stop), 13);
  EXPECT_EQ(free.size(), 13u);
  EXPECT_EQ(decode(*engine, sampler(0, stop), 5).size(), 0u) << "the context is full";
  stop = {free[2]};
  engine->truncate(static_cast<uint32_t>(kPrompt.size()));
  const std::vector<int32_t> stopped = decode(*engine, sampler(0, stop), 13);
  const auto end = std::find(free.begin(), free.end(), free[2]) + 1;
  EXPECT_EQ(stopped, std::vector<int32_t>(free.begin(), end));
}

// "Lily said hello. Tom said hello. Lily said hello.": the story model goes round in circles of six tokens behind it.
const std::vector<int32_t> kCircle = {2045, 639, 329, 281, 291, 78, 13, 471, 329, 281, 291, 78, 13, 398, 329, 281, 291, 78, 13};

TEST_P(EngineTest, GuessesChangeNoTokenWhereverTheDecodingIsCut) {
  model_ = &story_model();
  std::vector<int32_t> stop;
  for (const float temperature : {0.0f, 0.3f}) {
    const bn_sampler s = sampler(temperature, stop);
    const auto plain = open(160), guessing = open(160, 16, 7);
    for (Engine* engine : {plain.get(), guessing.get()}) engine->append(kCircle, nullptr, pulse_);
    const std::vector<int32_t> expected = decode(*plain, s, 80);
    std::vector<int32_t> got;
    for (uint32_t piece = 1; got.size() < expected.size(); piece = piece % 11 + 3) {
      const uint32_t left = static_cast<uint32_t>(expected.size() - got.size());
      const std::vector<int32_t> more = decode(*guessing, s, std::min(piece, left));
      ASSERT_FALSE(more.empty());
      got.insert(got.end(), more.begin(), more.end());
    }
    EXPECT_EQ(got, expected);
    EXPECT_EQ(guessing->size(), plain->size());
    std::vector<float> a(plain->n_vocab()), b(plain->n_vocab());
    plain->last_logits(a.data(), pulse_);
    guessing->last_logits(b.data(), pulse_);
    EXPECT_EQ(a, b);
    EXPECT_EQ(guessing->info().drafts, GetParam().tier != std::string("engine"));
    if (!guessing->info().drafts) continue;
    const SpeculationCounts& counts = guessing->info().speculation;
    EXPECT_GT(counts.accepted, 20u);
    EXPECT_LT(counts.accepted, counts.drafted) << "wrong guesses have to be seen, too";
    EXPECT_EQ(counts.steps + counts.accepted, expected.size());
  }
}

// Each token of a circle as the stop token: all but the first come in the middle of a batch of guesses.
TEST_P(EngineTest, AGuessedStopTokenEndsTheDecoding) {
  model_ = &story_model();
  std::vector<int32_t> stop, none;
  const auto guessing = open(160, 16, 7);
  guessing->append(kCircle, nullptr, pulse_);
  const std::vector<int32_t> free = decode(*guessing, sampler(0, none), 60);  // as without guesses, see above
  const uint64_t accepted = guessing->info().speculation.accepted;
  for (uint32_t at = 40; at < 46; ++at) {
    stop = {free[at]};
    guessing->truncate(static_cast<uint32_t>(kCircle.size()) + 40);
    const auto end = std::find(free.begin() + 40, free.end(), free[at]) + 1;
    EXPECT_EQ(decode(*guessing, sampler(0, stop), 20), std::vector<int32_t>(free.begin() + 40, end)) << at;
    EXPECT_EQ(guessing->size(), kCircle.size() + static_cast<size_t>(end - free.begin()));
  }
  EXPECT_EQ(guessing->info().speculation.accepted - accepted > 5, guessing->info().drafts);
}

TEST_P(EngineTest, GuessesStopAtTheEndOfTheContext) {
  model_ = &story_model();
  std::vector<int32_t> stop;
  const uint32_t room = 41, n_ctx = static_cast<uint32_t>(kCircle.size()) + room;
  const auto plain = open(160), guessing = open(n_ctx, 16, 15);
  for (Engine* engine : {plain.get(), guessing.get()}) engine->append(kCircle, nullptr, pulse_);
  EXPECT_EQ(decode(*guessing, sampler(0, stop), 100), decode(*plain, sampler(0, stop), room));
  EXPECT_EQ(guessing->size(), n_ctx);
}

TEST_P(EngineTest, TheBestOfTheLogitsAndTheirNormaliserAreExact) {
  const auto a = open(), b = open();
  const uint32_t n_vocab = a->n_vocab(), k = 9;
  const std::vector<float> logits = rows(*a, kPrompt, 5);
  std::vector<int32_t> id(2 * k);
  std::vector<float> best(2 * k), z(4);
  Output output;
  output.first = 5;
  output.top_k = k;
  output.top_id = id.data();
  output.top_logit = best.data();
  output.z = z.data();
  b->append(kPrompt, &output, pulse_);
  for (uint32_t row = 0; row < 2; ++row) {
    const float* all = logits.data() + static_cast<size_t>(row) * n_vocab;
    std::vector<int32_t> order(n_vocab);
    for (uint32_t i = 0; i < n_vocab; ++i) order[i] = static_cast<int32_t>(i);
    std::stable_sort(order.begin(), order.end(), [&](int32_t x, int32_t y) { return all[x] > all[y]; });
    for (uint32_t i = 0; i < k; ++i) {
      EXPECT_EQ(id[row * k + i], order[i]) << row << ' ' << i;
      EXPECT_EQ(best[row * k + i], all[order[i]]);
    }
    EXPECT_EQ(z[2 * row], best[row * k]);
    double sum = 0;
    for (uint32_t i = 0; i < n_vocab; ++i) sum += std::exp(static_cast<double>(all[i] - z[2 * row]));
    EXPECT_NEAR(z[2 * row + 1], sum, 1e-4 * sum);
  }
}

// Without all logits and the normaliser an engine may take a shorter way, whose results are the same.
TEST_P(EngineTest, TheBestAloneAreThoseOfAllLogits) {
  const auto a = open();
  const uint32_t n_vocab = a->n_vocab();
  const std::vector<float> logits = rows(*a, kPrompt, 0);
  // A worker sends all logits.
  const bool screened = GetParam().head == model::HeadMode::kScreened && !GetParam().worker;
  uint64_t searched = 0;
  for (const uint32_t first : {0u, 3u, 6u}) {
    for (const uint32_t k : {1u, 2u, 40u, n_vocab}) {
      const auto b = open();
      const size_t n = kPrompt.size() - first;
      std::vector<int32_t> id(n * k);
      std::vector<float> best(n * k);
      Output output;
      output.first = first;
      output.top_k = k;
      output.top_id = id.data();
      output.top_logit = best.data();
      b->append(kPrompt, &output, pulse_);
      for (size_t row = 0; row < n; ++row) {
        const float* all = logits.data() + (first + row) * n_vocab;
        const auto expected = bn::kit::top_candidates(all, n_vocab, k);
        for (uint32_t i = 0; i < k; ++i) {
          EXPECT_EQ(id[row * k + i], expected[i].id) << "best " << k << ", row " << row << ", place " << i;
          EXPECT_EQ(best[row * k + i], expected[i].logit);
        }
      }
      const model::HeadUse use = b->info().head;
      EXPECT_EQ(use.screened + use.fell_back, screened ? n : 0);
      searched += use.screened;
    }
  }
  EXPECT_EQ(searched != 0, screened);
}

TEST_P(EngineTest, ARequestToStopLeavesTheTokensAsTheyWere) {
  const auto engine = open(64, 4);
  const std::vector<float> expected = rows(*engine, kPrompt, 6);
  Pulse stopped;
  stopped.request_stop();
  std::vector<float> logits(engine->n_vocab());
  Output output;
  output.first = 2;
  output.logits = logits.data();
  const std::vector<int32_t> more = {9, 8, 7};
  try {
    engine->append(more, &output, stopped);
    FAIL() << "not stopped";
  } catch (const backend::BackendError& e) {
    EXPECT_EQ(e.code(), BN_E_CANCELLED) << e.what();
  }
  if (GetParam().worker) return;  // a worker that did not stop in time has been killed
  EXPECT_EQ(engine->size(), kPrompt.size());
  engine->truncate(6);
  EXPECT_EQ(rows(*engine, std::span(kPrompt).subspan(6), 0), expected);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EngineTest,
                         testing::Values(Kind{"portable", "cpu_portable", "kernels", false},
                                         Kind{"mock_kernels", "mock", "kernels", false},
                                         Kind{"mock_engine", "mock", "engine", false},
                                         Kind{"worker", "cpu_portable", "kernels", true},
                                         Kind{"screened", "cpu_portable", "kernels", false, model::HeadMode::kScreened},
                                         Kind{"worker_screened", "cpu_portable", "kernels", true, model::HeadMode::kScreened}),
                         [](const auto& kind) { return std::string(kind.param.name); });

// Between exact-1 engines keys and values may travel: what follows has the same bits.
TEST(KeysAndValues, GoFromOneComposedEngineToAnother) {
  ThreadTeam team(1);
  Pulse pulse;
  for (const uint32_t dtype : {BN_DT_F32, BN_DT_F16}) {
    const backend::Plugin* plugin = registry().find("cpu_portable");
    backend::Candidate candidate{};
    candidate.device = plugin->devices.front().id;
    EngineOptions options;
    options.n_ctx = 300;
    options.kv_dtype = dtype;
    const auto from = load_engine(*plugin, candidate, the_model(), team, options, pulse);
    const auto to = load_engine(*plugin, candidate, the_model(), team, options, pulse);
    std::vector<int32_t> tokens(140);  // more than a page
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 7 % 300);
    from->append(tokens, nullptr, pulse);
    std::vector<float> expected(from->n_vocab()), got(from->n_vocab());
    from->last_logits(expected.data(), pulse);
    const uint32_t given = 139;
    std::vector<uint8_t> memory(from->kv_bytes(given));
    from->read_kv(0, given, memory.data());
    to->write_kv(std::span(tokens).first(given), memory.data());
    EXPECT_EQ(to->size(), given);
    to->append(std::span(tokens).subspan(given), nullptr, pulse);
    to->last_logits(got.data(), pulse);
    EXPECT_EQ(got, expected);
  }
}

// ---------------------------------------------------------------------------------------------- the watched thread
TEST(EngineThread, PassesErrorsOnAndGoesOn) {
  EngineThread thread;
  int value = 0;
  thread.run(5, nullptr, [&](Pulse&) { value = 1; });
  EXPECT_EQ(value, 1);
  EXPECT_THROW(thread.run(5, nullptr, [](Pulse&) { throw backend::BackendError(BN_E_BUSY, "busy"); }), backend::BackendError);
  try {
    thread.run(5, nullptr, [](Pulse&) { throw 42; });
    FAIL();
  } catch (const backend::BackendError& e) {
    EXPECT_EQ(e.code(), BN_E_INTERNAL);
  }
  thread.run(5, nullptr, [&](Pulse&) { value = 2; });
  EXPECT_EQ(value, 2);
  EXPECT_FALSE(thread.abandoned());
}

TEST(EngineThread, OneThatStopsWhenToldIsNotAbandoned) {
  EngineThread thread;
  EXPECT_THROW(thread.run(0.1, nullptr,
                          [](Pulse& pulse) {
                            while (!pulse.stop_requested()) std::this_thread::yield();
                          }),
               backend::BackendError);
  EXPECT_FALSE(thread.abandoned());
  thread.run(5, nullptr, [](Pulse&) {});
}

TEST(EngineThread, BeatsKeepItAliveAndTheStopFlagReachesIt) {
  EngineThread thread;
  std::atomic<bool> stop{false};
  bool stopped = false;
  thread.run(0.2, &stop, [&](Pulse& pulse) {
    const auto start = std::chrono::steady_clock::now();
    while (!pulse.stop_requested()) {
      pulse.beat();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (std::chrono::steady_clock::now() - start > std::chrono::milliseconds(500)) stop = true;
    }
    stopped = true;
  });
  EXPECT_TRUE(stopped);
}

// As by ^Z and fg, or while the lid of a laptop is closed.
TEST(EngineThread, TimeInWhichTheWholeProgramStoodStillDoesNotCount) {
  EngineThread thread;
  pid_t other = -1;
  thread.run(1, nullptr, [&](Pulse&) {
    other = ::fork();
    if (other == 0) {
      ::kill(::getppid(), SIGSTOP);
      ::usleep(2'000'000);
      ::kill(::getppid(), SIGCONT);
      ::_exit(0);
    }
    for (int i = 0; i < 30; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));  // without a beat
  });
  int status = 0;
  ASSERT_GT(other, 0);
  EXPECT_EQ(::waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace bitnet::engine
