// kernel/mock_faithful_engine_test.cpp - the mock's faithful engine: the reference engine's bits without faults, and each fault
// at the point the script names, once.
#include <algorithm>
#include <cmath>
#include <vector>

#include "bitnet/kit/reference_engine.hpp"
#include "kernel/mock_plugin.h"
#include "unit/kit/toy_model.h"

namespace bitnet::mock_test {
namespace {

using Ids = std::vector<int32_t>;
constexpr uint32_t kVocab = 60;
const Ids kPrompt = {3, 11, 21, 33, 47};

bn_sampler sampler_of(float temperature) {
  bn_sampler s = {};
  s.struct_size = sizeof s;
  s.temperature = temperature, s.top_k = 20, s.top_p = 0.95f, s.min_p = 0.01f, s.seed = 5;
  return s;
}

// A device with the toy model and one session.
class Engine {
 public:
  explicit Engine(const std::string& script) : device_(open_mock(engine_with(script))) {
    table = static_cast<const bn_engine_v1*>(mock().get_interface(device_.get(), BN_ENGINE_ID));
    desc_ = toy_.desc();
    bn_fit fit = {sizeof(bn_fit), 0, 0, 0, 0, 0};
    fits = table->fit(device_.get(), &desc_, &toy_.plan, &fit, &error);
    loaded = table->load(device_.get(), &desc_, &toy_.plan, nullptr, &model_, &error);
    if (loaded == BN_OK) created = table->session_create(model_, 100, &session, &error);
  }
  ~Engine() {
    if (session != nullptr) table->session_destroy(session);
    if (model_ != nullptr) table->unload(model_);
  }
  Engine(const Engine&) = delete;

  // Keeps the logits of the last token.
  bn_status append(const Ids& ids) {
    logits.assign(kVocab + 1, 7.0f);
    bn_output out = {};
    out.struct_size = sizeof out;
    out.want = BN_OUT_LOGITS;
    out.first = static_cast<uint32_t>(ids.size()) - 1;
    out.logits = logits.data();
    return table->append(session, ids.data(), static_cast<uint32_t>(ids.size()), &out, nullptr, &error);
  }
  // Greedy generation through append; shorter if a call fails.
  Ids by_append(size_t n) {
    Ids ids;
    for (status = append(kPrompt); status == BN_OK && ids.size() < n; status = append({ids.back()})) {
      ids.push_back(bn::kit::argmax(logits.data(), kVocab));
    }
    return ids;
  }
  // The same through decode.
  Ids by_decode(uint32_t n, uint32_t steps = 100) {
    status = table->append(session, kPrompt.data(), 5, nullptr, nullptr, &error);
    const bn_sampler sampler = sampler_of(0);
    Ids all;
    while (status == BN_OK && all.size() < n) {
      Ids tokens(std::min(steps, n - static_cast<uint32_t>(all.size())) + 1, -7);
      bn_decode d = {};
      d.struct_size = sizeof d;
      d.max_steps = static_cast<uint32_t>(tokens.size()) - 1;
      d.sampler = &sampler;
      d.tokens = tokens.data();
      status = table->decode(session, &d, nullptr, &error);
      behind = tokens.back();
      all.insert(all.end(), tokens.begin(), tokens.begin() + d.n_committed);
    }
    return all;
  }

  const bn_engine_v1* table;
  bn_status fits = BN_OK, loaded = BN_OK, created = BN_OK, status = BN_OK;
  bn_session* session = nullptr;
  std::vector<float> logits;
  int32_t behind = 0;
  bn_error error = empty_error();

 private:
  Device device_;
  toy::Model toy_;
  bn_model_desc desc_;
  bn_model* model_ = nullptr;
};

Ids undisturbed(size_t n) { return Engine("").by_append(n); }

TEST(MockFaithfulEngine, SaysWhatTheReferenceSays) {
  Engine engine("");
  EXPECT_EQ(engine.table->numerics, static_cast<uint32_t>(BN_EXACT_1));
  toy::Model toy;
  const bn_model_desc desc = toy.desc();
  std::unique_ptr<bn::kit::ReferenceModel> model;
  std::unique_ptr<bn::kit::ReferenceSession> session;
  ASSERT_EQ(bn::kit::ReferenceModel::load(&desc, &toy.plan, nullptr, bn::kit::portable::kTable, nullptr, &model, nullptr),
            BN_OK);
  ASSERT_EQ(bn::kit::ReferenceSession::create(*model, 100, &session, nullptr), BN_OK);
  std::vector<float> expected(kVocab + 1, 7.0f);
  bn_output out = {};
  out.struct_size = sizeof out;
  out.want = BN_OUT_LOGITS;
  out.first = 4;
  out.logits = expected.data();
  ASSERT_EQ(session->append(kPrompt.data(), 5, &out, nullptr, nullptr), BN_OK);
  ASSERT_EQ(engine.append(kPrompt), BN_OK);
  EXPECT_EQ(engine.logits, expected);
  EXPECT_EQ(Engine("").by_decode(20), undisturbed(20));
  EXPECT_EQ(Engine("").by_decode(20, 3), undisturbed(20));
}

TEST(MockFaithfulEngine, EveryPointFires) {
  EXPECT_EQ(Engine("fit=error:unsupported").fits, BN_E_UNSUPPORTED);
  EXPECT_EQ(Engine("load=oom").loaded, BN_E_NO_MEMORY);
  EXPECT_EQ(Engine("session=error:busy").created, BN_E_BUSY);
  Engine prefill("prefill@1=throw");
  EXPECT_EQ(prefill.append(kPrompt), BN_E_INTERNAL);
  EXPECT_EQ(prefill.append(kPrompt), BN_OK);
  Engine truncating("truncate=oom");
  ASSERT_EQ(truncating.append(kPrompt), BN_OK);
  EXPECT_EQ(truncating.table->truncate(truncating.session, 2, nullptr), BN_E_NO_MEMORY);
  for (const char* op : {"matmul", "dense", "norm", "rope", "attention", "glu"}) {
    Engine engine(std::string(op) + "@2=error:data");
    engine.by_append(3);
    EXPECT_EQ(engine.status, BN_E_DATA) << op;
  }
}

TEST(MockFaithfulEngine, TokensFailWhereTheScriptSays) {
  const Ids expected = undisturbed(20);
  for (const size_t token : {1u, 2u, 9u, 20u}) {
    const Ids before(expected.begin(), expected.begin() + static_cast<long>(token) - 1);
    const std::string when = "@" + std::to_string(token) + "=lost";
    Engine by_append("token" + when), by_decode("token" + when), decode("decode" + when), append("append" + when);
    EXPECT_EQ(by_append.by_append(20), before);
    EXPECT_EQ(by_append.status, BN_E_DEVICE_LOST);
    EXPECT_EQ(append.by_append(20), before);
    if (token > 1) {  // token 1 is asked about in append()
      EXPECT_EQ(by_decode.by_decode(20), before);
    }
    EXPECT_EQ(decode.by_decode(20), before);
    EXPECT_EQ(decode.status, BN_E_DEVICE_LOST);
    EXPECT_EQ(decode.append({1}), BN_E_DEVICE_LOST);
  }
}

TEST(MockFaithfulEngine, ATokenOfAnEarlierCountCannotReturn) {
  Engine engine("token@3=oom");
  const Ids expected = undisturbed(20);
  EXPECT_EQ(engine.by_decode(20), Ids(expected.begin(), expected.begin() + 2));
  EXPECT_EQ(engine.status, BN_E_NO_MEMORY);
}

TEST(MockFaithfulEngine, DamageIsVisibleAndInTheRightPlace) {
  const Ids expected = undisturbed(6);
  const Ids wrong = Engine("token@4=wrong").by_append(4), wrong_decode = Engine("token@4=wrong").by_decode(4);
  EXPECT_EQ(Ids(wrong.begin(), wrong.begin() + 3), Ids(expected.begin(), expected.begin() + 3));
  EXPECT_EQ(wrong[3], (expected[3] + 1) % 60);
  EXPECT_EQ(wrong_decode, wrong);
  Engine nan("token@1=nan");
  ASSERT_EQ(nan.append(kPrompt), BN_OK);
  EXPECT_TRUE(std::any_of(nan.logits.begin(), nan.logits.end(), [](float x) { return std::isnan(x); }));
  Engine nan_decode("token@4=nan");
  EXPECT_EQ(nan_decode.by_decode(6).size(), 3u);
  EXPECT_EQ(nan_decode.status, BN_E_INTERNAL);
  Engine oob("token@1=oob"), oob_decode("token@4=oob"), well("");
  ASSERT_EQ(oob.append(kPrompt), BN_OK);
  EXPECT_EQ(oob.logits[kVocab], 1.0f);
  oob_decode.by_decode(6);
  EXPECT_EQ(oob_decode.behind, 1);
  well.by_decode(6);
  EXPECT_EQ(well.behind, -7);
}

TEST(MockFaithfulEngine, AfterWrongTheListIsWhatWasCommitted) {
  Engine engine("token@2=wrong");
  const Ids said = engine.by_decode(5);
  Engine replay("");
  Ids log = kPrompt;
  log.insert(log.end(), said.begin(), said.begin() + 2);
  ASSERT_EQ(replay.append(log), BN_OK);
  EXPECT_EQ(said[2], bn::kit::argmax(replay.logits.data(), kVocab)) << "the third token follows from the wrong second one";
}

}  // namespace
}  // namespace bitnet::mock_test
