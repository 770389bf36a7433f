// kernel/mock_engine_test.cpp - the mock's canned engine: what it says, and its faults.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <vector>

#include "kernel/mock_plugin.h"

namespace bitnet::mock_test {
namespace {

constexpr uint32_t kVocab = 100;
using Ids = std::vector<int32_t>;

// A device with a loaded model of 100 tokens.
class Engine {
 public:
  explicit Engine(const std::string& options) : device_(open_mock(options)) {
    table_ = static_cast<const bn_engine_v1*>(mock().get_interface(device_.get(), BN_ENGINE_ID));
    bn_arch arch = {};
    arch.struct_size = sizeof arch;
    arch.n_vocab = kVocab;
    bn_model_desc desc = {};
    desc.struct_size = sizeof desc;
    desc.arch = &arch;
    error = empty_error();
    loaded = table_->load(device_.get(), &desc, nullptr, nullptr, &model_, &error);
  }
  ~Engine() {
    if (model_ != nullptr) table_->unload(model_);
  }
  const bn_engine_v1& table() const { return *table_; }
  bn_device* device() const { return device_.get(); }
  bn_model* model() const { return model_; }
  bn_status loaded = BN_OK;
  bn_error error;

 private:
  Device device_;
  const bn_engine_v1* table_;
  bn_model* model_ = nullptr;
};

class Session {
 public:
  explicit Session(Engine& engine, uint32_t n_ctx = 1000) : engine_(engine) {
    error = empty_error();
    created = engine.table().session_create(engine.model(), n_ctx, &session_, &error);
  }
  ~Session() {
    if (session_ != nullptr) engine_.table().session_destroy(session_);
  }
  bn_session* get() const { return session_; }

  // Appends and keeps the logits of the last token.
  bn_status append(const Ids& tokens, const bn_call* call = nullptr) {
    logits.assign(kVocab, -1.0f);
    bn_output out = {};
    out.struct_size = sizeof out;
    out.want = BN_OUT_LOGITS;
    out.first = static_cast<uint32_t>(tokens.size()) - 1;
    out.logits = logits.data();
    return engine_.table().append(session_, tokens.data(), static_cast<uint32_t>(tokens.size()), &out, call, &error);
  }
  int32_t best() const { return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()); }

  // Greedy generation of n tokens after `prompt`; shorter if a call fails.
  Ids generate(Ids prompt, size_t n) {
    Ids generated;
    for (status = append(prompt); status == BN_OK && generated.size() < n; status = append({generated.back()})) {
      generated.push_back(best());
    }
    return generated;
  }

  std::vector<float> logits;
  bn_status created = BN_OK, status = BN_OK;
  bn_error error;

 private:
  Engine& engine_;
  bn_session* session_ = nullptr;
};

TEST(MockEngine, EchoesThePrompt) {
  Engine engine("{}");
  Session session(engine);
  EXPECT_EQ(session.generate({7, 3, 5}, 8), (Ids{7, 3, 5, 7, 3, 5, 7, 3}));
}

TEST(MockEngine, SaysTheTokensOfTheOption) {
  Engine engine(R"({"tokens": [10, 11, 10, 12]})");
  Session session(engine);
  EXPECT_EQ(session.generate({1, 2, 3}, 10), (Ids{10, 11, 10, 12, 10, 11, 10, 12, 10, 11}));
}

TEST(MockEngine, ReplayContinuesAsTheOldSessionWould) {
  for (const char* options : {"{}", R"({"tokens": [10, 11, 10, 12, 10]})", R"({"tokens": [4]})", R"({"tokens": [1, 1, 2]})"}) {
    Engine engine(options);
    const Ids prompt = {1, 4, 1, 1, 2, 4, 4, 10, 11};
    const Ids whole = Session(engine).generate(prompt, 30);
    for (size_t cut = 0; cut < 30; ++cut) {
      Ids log = prompt;
      log.insert(log.end(), whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut));
      const Ids rest(whole.begin() + static_cast<std::ptrdiff_t>(cut), whole.end());
      EXPECT_EQ(Session(engine).generate(log, 30 - cut), rest) << options << " after " << cut;
    }
  }
}

TEST(MockEngine, TruncateForgets) {
  Engine engine("{}");
  Session session(engine);
  session.generate({7, 3, 5}, 4);
  bn_error error = empty_error();
  ASSERT_EQ(engine.table().truncate(session.get(), 2, &error), BN_OK);
  EXPECT_EQ(session.generate({9}, 4), (Ids{7, 3, 9, 7}));
  EXPECT_EQ(engine.table().truncate(session.get(), 500, &error), BN_E_INVALID);
}

TEST(MockEngine, RowsForEveryTokenAreThoseOfSingleSteps) {
  Engine engine(R"({"tokens": [10, 11]})");
  Session stepwise(engine), at_once(engine);
  const Ids prompt = {1, 2, 10, 4, 5};
  std::vector<float> expected;
  for (const int32_t id : prompt) {
    ASSERT_EQ(stepwise.append({id}), BN_OK);
    expected.insert(expected.end(), stepwise.logits.begin(), stepwise.logits.end());
  }
  std::vector<float> rows(5 * kVocab);
  bn_output out = {};
  out.struct_size = sizeof out;
  out.want = BN_OUT_LOGITS;
  out.logits = rows.data();
  ASSERT_EQ(engine.table().append(at_once.get(), prompt.data(), 5, &out, nullptr, nullptr), BN_OK);
  EXPECT_EQ(out.n_rows, 5u);
  EXPECT_EQ(rows, expected);
  EXPECT_EQ(rows[2 * kVocab + 11], 20.0f) << "after token 10 the canned list goes on with 11";
}

TEST(MockEngine, LogitsAreFiniteAndVaried) {
  Engine engine("{}");
  Session session(engine);
  ASSERT_EQ(session.append({7, 3, 5}), BN_OK);
  std::set<float> values;
  for (uint32_t id = 0; id < kVocab; ++id) {
    EXPECT_TRUE(std::isfinite(session.logits[id]));
    EXPECT_LE(std::fabs(session.logits[id]), id == 7 ? 20.0f : 1.0f);
    values.insert(session.logits[id]);
  }
  EXPECT_GT(values.size(), 90u);
}

TEST(MockEngine, RefusesWhatItCannotDo) {
  Engine engine("{}");
  Session session(engine, 4);
  EXPECT_EQ(session.append({kVocab}), BN_E_DATA);
  EXPECT_EQ(session.append({-1}), BN_E_DATA);
  EXPECT_EQ(session.append({1, 2, 3, 4, 5}), BN_E_INVALID) << "context of 4";
  EXPECT_EQ(session.append({1, 2, 3, 4}), BN_OK);
  EXPECT_EQ(session.append({5}), BN_E_INVALID);
  bn_output out = {};
  out.struct_size = sizeof out;
  out.want = BN_OUT_HIDDEN;
  const int32_t token = 1;
  EXPECT_EQ(engine.table().append(session.get(), &token, 1, &out, nullptr, nullptr), BN_E_UNSUPPORTED);
  EXPECT_EQ(Engine(R"({"tokens": [100]})").loaded, BN_E_INVALID);
}

TEST(MockEngine, FailsAtTheTokenTheScriptNames) {
  for (const char* point : {"token", "append"}) {
    Engine engine(with_faults("canned", std::string(point) + "@17=lost"));
    Session session(engine);
    EXPECT_EQ(session.generate({7, 3, 5}, 40).size(), 16u) << point;
    EXPECT_EQ(session.status, BN_E_DEVICE_LOST) << point;
    EXPECT_NE(std::string(session.error.message).find("@17=lost"), std::string::npos) << session.error.message;
    EXPECT_EQ(session.append({1}), BN_E_DEVICE_LOST);
    EXPECT_EQ(Session(engine).created, BN_E_DEVICE_LOST);
  }
}

TEST(MockEngine, FirstTokenComesFromThePrompt) {
  Engine engine(with_faults("canned", "token@1=oom"));
  Session session(engine);
  EXPECT_TRUE(session.generate({7, 3, 5}, 5).empty());
  EXPECT_EQ(session.status, BN_E_NO_MEMORY);
}

TEST(MockEngine, FailedAppendChangesNothing) {
  Engine engine(with_faults("canned", "prefill@2=error:timeout"));
  Session session(engine);
  ASSERT_EQ(session.append({7, 3, 5}), BN_OK);
  ASSERT_EQ(session.append({9, 9}), BN_E_TIMEOUT);
  EXPECT_EQ(session.generate({7}, 2), (Ids{3, 5}));
}

TEST(MockEngine, EveryPointFiresOnItsCall) {
  EXPECT_EQ(Engine(with_faults("canned", "load=oom")).loaded, BN_E_NO_MEMORY);
  EXPECT_EQ(Engine(with_faults("canned", "load@2=oom")).loaded, BN_OK);
  EXPECT_EQ(Engine(with_faults("canned", "load=throw")).loaded, BN_E_INTERNAL);
  Engine sessions(with_faults("canned", "session@2=error:busy"));
  EXPECT_EQ(Session(sessions).created, BN_OK);
  EXPECT_EQ(Session(sessions).created, BN_E_BUSY);
  EXPECT_EQ(Session(sessions).created, BN_OK);
  Engine truncating(with_faults("canned", "truncate=throw"));
  Session session(truncating);
  ASSERT_EQ(session.append({1, 2}), BN_OK);
  EXPECT_EQ(truncating.table().truncate(session.get(), 1, nullptr), BN_E_INTERNAL);
  Engine refusing(with_faults("canned", "accepts=error:unsupported"));
  EXPECT_EQ(refusing.table().accepts(refusing.device(), nullptr), BN_NO);
}

TEST(MockEngine, WrongAndNanChangeOneToken) {
  Engine wrong(with_faults("canned", "token@3=wrong"));
  EXPECT_EQ(Session(wrong).generate({7, 3, 5}, 3), (Ids{7, 3, 6}));
  Engine nan(with_faults("canned", "token@2=nan"));
  Session session(nan);
  ASSERT_EQ(session.append({7, 3, 5}), BN_OK);
  EXPECT_FALSE(std::isnan(session.logits[7]));
  ASSERT_EQ(session.append({7}), BN_OK);
  EXPECT_TRUE(std::isnan(session.logits[3]));
}

TEST(MockEngine, DecodeCommitsUntilTheFault) {
  Engine engine(with_faults("canned", "decode@5=lost"));
  Session session(engine);
  ASSERT_EQ(session.append({7, 3, 5}), BN_OK);
  Ids tokens(10);
  bn_decode decode = {};
  decode.struct_size = sizeof decode;
  decode.max_steps = 10;
  decode.tokens = tokens.data();
  EXPECT_EQ(engine.table().decode(session.get(), &decode, nullptr, nullptr), BN_E_DEVICE_LOST);
  ASSERT_EQ(decode.n_committed, 4u);
  EXPECT_EQ(Ids(tokens.begin(), tokens.begin() + 4), (Ids{7, 3, 5, 7}));
}

TEST(MockEngine, DecodeStopsAtAStopToken) {
  Engine engine("{}");
  Session session(engine);
  ASSERT_EQ(session.append({7, 3, 5}), BN_OK);
  const int32_t stop = 3;
  bn_sampler sampler = {};
  sampler.struct_size = sizeof sampler;
  sampler.stop = &stop;
  sampler.n_stop = 1;
  Ids tokens(10);
  bn_decode decode = {};
  decode.struct_size = sizeof decode;
  decode.max_steps = 10;
  decode.tokens = tokens.data();
  decode.sampler = &sampler;
  EXPECT_EQ(engine.table().decode(session.get(), &decode, nullptr, nullptr), BN_OK);
  EXPECT_EQ(decode.n_committed, 2u);
  EXPECT_EQ(decode.stopped, 1u);
}

using Milliseconds = std::chrono::milliseconds;

template <class F>
Milliseconds time_of(F&& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - begin);
}

TEST(MockEngine, SlowServesBudgetCancelAndHeartbeatHangDoesNot) {
  Engine slow(with_faults("canned", "token=slow:60000"));
  Session session(slow);
  volatile uint64_t heartbeat = 0;
  uint32_t cancel = 0;
  bn_call call = {};
  call.struct_size = sizeof call;
  call.budget_ns = 40'000'000;
  call.cancel = &cancel;
  call.heartbeat = &heartbeat;
  EXPECT_LT(time_of([&] { EXPECT_EQ(session.append({1, 2}, &call), BN_E_TIMEOUT); }), Milliseconds(5000));
  EXPECT_GT(heartbeat, 2u);
  cancel = 1;
  EXPECT_EQ(session.append({1, 2}, &call), BN_E_CANCELLED);

  Engine hang(with_faults("canned", "token=hang:120"));
  Session hanging(hang);
  cancel = 0;
  EXPECT_GE(time_of([&] { EXPECT_EQ(hanging.append({1, 2}, &call), BN_OK); }), Milliseconds(120));
}

}  // namespace
}  // namespace bitnet::mock_test
