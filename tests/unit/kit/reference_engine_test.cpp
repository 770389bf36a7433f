// kit/reference_engine_test.cpp - the reference decoder on a toy model: splits, truncation, decode, outputs, stops, refusals.
//
// That its bits are those of the runtime's graph is tested on real files by golden/reference_engine_test.cpp.
#include "bitnet/kit/reference_engine.hpp"

#include <functional>
#include <numeric>
#include <set>

#include "unit/kit/toy_model.h"

namespace bitnet::toy {
namespace {

using bn::kit::ReferenceModel;
using bn::kit::ReferenceSession;
using Ids = std::vector<int32_t>;

std::unique_ptr<ReferenceModel> load(Model& toy) {
  const bn_model_desc desc = toy.desc();
  std::unique_ptr<ReferenceModel> model;
  bn_error error = empty_error();
  EXPECT_EQ(ReferenceModel::load(&desc, &toy.plan, nullptr, bn::kit::portable::kTable, nullptr, &model, &error), BN_OK)
      << error.message;
  return model;
}

std::unique_ptr<ReferenceSession> open(const ReferenceModel& model, uint32_t n_ctx = 300) {
  std::unique_ptr<ReferenceSession> session;
  EXPECT_EQ(ReferenceSession::create(model, n_ctx, &session, nullptr), BN_OK);
  return session;
}

Ids prompt_of(size_t n) {
  Ids ids(n);
  for (size_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>((i * i + 7 * i + 3) % 60);
  return ids;
}

// Appends ids[from, to) and adds the logits of all of them to rows.
void append(ReferenceSession& session, const Ids& ids, size_t from, size_t to, std::vector<float>& rows) {
  const size_t at = rows.size(), n = to - from;
  rows.resize(at + n * 60);
  bn_output out = {};
  out.struct_size = sizeof out;
  out.want = BN_OUT_LOGITS;
  out.logits = &rows[at];
  bn_error error = empty_error();
  ASSERT_EQ(session.append(&ids[from], static_cast<uint32_t>(n), &out, nullptr, &error), BN_OK) << error.message;
  EXPECT_EQ(out.n_rows, n);
}

std::vector<float> logits_of(const ReferenceModel& model, const Ids& ids, size_t piece) {
  const auto session = open(model);
  std::vector<float> rows;
  for (size_t i = 0; i < ids.size(); i += piece) append(*session, ids, i, std::min(ids.size(), i + piece), rows);
  return rows;
}

testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.empty() || a.size() != b.size()) return testing::AssertionFailure() << a.size() << " and " << b.size() << " values";
  for (size_t i = 0; i < a.size(); ++i) {
    if (bn::kit::bits_of(a[i]) != bn::kit::bits_of(b[i])) return testing::AssertionFailure() << "value " << i;
  }
  return testing::AssertionSuccess();
}

bn_sampler sampler_of(float temperature) {
  bn_sampler s = {};
  s.struct_size = sizeof s;
  s.temperature = temperature, s.top_k = 20, s.top_p = 0.95f, s.min_p = 0.01f, s.seed = 5;
  return s;
}

bn_decode decode_of(const bn_sampler& sampler, Ids& tokens) {
  bn_decode d = {};
  d.struct_size = sizeof d;
  d.max_steps = static_cast<uint32_t>(tokens.size());
  d.sampler = &sampler;
  d.tokens = tokens.data();
  return d;
}

TEST(ReferenceEngine, SplitOfThePromptChangesNothing) {
  for (const uint32_t kv : {uint32_t{BN_DT_F32}, uint32_t{BN_DT_F16}}) {
    Model toy;
    toy.plan.kv_dtype = kv;
    const auto model = load(toy);
    const Ids prompt = prompt_of(150);  // more than a page
    const std::vector<float> whole = logits_of(*model, prompt, 150);
    for (const size_t piece : {1u, 7u, 33u}) EXPECT_TRUE(same_bits(logits_of(*model, prompt, piece), whole)) << piece;
    EXPECT_FALSE(same_bits({whole.begin(), whole.begin() + 60}, {whole.begin() + 60, whole.begin() + 120}));
  }
}

TEST(ReferenceEngine, KeepsWhatIsNotPersistent) {
  Model toy;
  const auto model = load(toy);
  const std::vector<float> before = logits_of(*model, prompt_of(20), 20);
  toy.spoil_what_is_not_persistent();
  EXPECT_TRUE(same_bits(logits_of(*model, prompt_of(20), 20), before));
}

TEST(ReferenceEngine, MustBitsChangeTheResult) {
  std::vector<std::vector<float>> all;
  for (const uint64_t must : {0u, BN_M_ATTN_SUB_NORM, BN_M_FFN_SUB_NORM, BN_M_TIED_HEAD}) {
    Model toy(must);
    all.push_back(logits_of(*load(toy), prompt_of(9), 9));
    for (size_t i = 0; i + 1 < all.size(); ++i) EXPECT_FALSE(same_bits(all[i], all.back())) << must;
  }
}

TEST(ReferenceEngine, DecodeIsAppendAndSample) {
  Model toy;
  const auto model = load(toy);
  for (const float temperature : {0.0f, 1.5f}) {
    const bn_sampler sampler = sampler_of(temperature);
    const auto stepwise = open(*model);
    Ids expected = prompt_of(5);
    std::vector<float> rows;
    append(*stepwise, expected, 0, 5, rows);
    for (int i = 0; i < 30; ++i) {
      const float* last = &rows[rows.size() - 60];
      expected.push_back(bn::kit::sample_logits(sampler, expected.size(), last, 60));
      append(*stepwise, expected, expected.size() - 1, expected.size(), rows);
    }
    EXPECT_GT(std::set<int32_t>(expected.begin() + 5, expected.end()).size(), 4u) << "varied output";
    for (const size_t steps : {30u, 1u, 4u}) {
      const auto session = open(*model);
      const Ids prompt = prompt_of(5);
      ASSERT_EQ(session->append(prompt.data(), 5, nullptr, nullptr, nullptr), BN_OK);
      for (size_t done = 0; done < 30;) {
        Ids tokens(std::min<size_t>(steps, 30 - done));
        bn_decode d = decode_of(sampler, tokens);
        ASSERT_EQ(session->decode(&d, nullptr, nullptr), BN_OK);
        ASSERT_EQ(d.n_committed, tokens.size());
        EXPECT_EQ(tokens, Ids(expected.begin() + 5 + static_cast<long>(done),
                              expected.begin() + 5 + static_cast<long>(done + tokens.size())));
        done += tokens.size();
      }
      EXPECT_EQ(session->tokens(), expected);
    }
  }
}

TEST(ReferenceEngine, DecodeRowsAreOfTheLogitsDrawnFrom) {
  Model toy;
  const auto model = load(toy);
  const auto session = open(*model);
  std::vector<float> expected;
  append(*session, prompt_of(4), 0, 4, expected);
  const bn_sampler sampler = sampler_of(0);
  Ids tokens(6);
  bn_decode d = decode_of(sampler, tokens);
  std::vector<float> rows(6 * 60);
  bn_output out = {};
  out.struct_size = sizeof out;
  out.want = BN_OUT_LOGITS;
  out.logits = rows.data();
  d.out = &out;
  ASSERT_EQ(session->decode(&d, nullptr, nullptr), BN_OK);
  EXPECT_EQ(out.n_rows, 6u);
  Ids all = prompt_of(4);
  all.insert(all.end(), tokens.begin(), tokens.end() - 1);
  expected = logits_of(*model, all, 100);
  EXPECT_TRUE(same_bits(rows, {expected.begin() + 3 * 60, expected.end()}));
}

TEST(ReferenceEngine, DecodeStopsAtAStopTokenAndAtTheEndOfTheContext) {
  Model toy;
  const auto model = load(toy);
  const Ids prompt = prompt_of(5);
  bn_sampler sampler = sampler_of(1.5f);
  Ids tokens(20);
  auto session = open(*model);
  ASSERT_EQ(session->append(prompt.data(), 5, nullptr, nullptr, nullptr), BN_OK);
  bn_decode d = decode_of(sampler, tokens);
  ASSERT_EQ(session->decode(&d, nullptr, nullptr), BN_OK);
  const Ids free_run = tokens;
  const int32_t stop = free_run[6];
  const auto at = static_cast<uint32_t>(std::find(free_run.begin(), free_run.end(), stop) - free_run.begin());
  sampler.stop = &stop, sampler.n_stop = 1;
  session = open(*model);
  ASSERT_EQ(session->append(prompt.data(), 5, nullptr, nullptr, nullptr), BN_OK);
  d = decode_of(sampler, tokens);
  ASSERT_EQ(session->decode(&d, nullptr, nullptr), BN_OK);
  EXPECT_EQ(d.n_committed, at + 1);
  EXPECT_EQ(d.stopped, 1u);
  EXPECT_EQ(session->tokens().size(), 5u + at + 1);

  sampler.n_stop = 0;
  session = open(*model, 12);
  ASSERT_EQ(session->append(prompt.data(), 5, nullptr, nullptr, nullptr), BN_OK);
  d = decode_of(sampler, tokens);
  ASSERT_EQ(session->decode(&d, nullptr, nullptr), BN_OK);
  EXPECT_EQ(d.n_committed, 7u);
  EXPECT_EQ(d.stopped, 0u);
}

TEST(ReferenceEngine, TruncateAndContinueEqualsAFreshSession) {
  Model toy;
  const auto model = load(toy);
  const Ids prompt = prompt_of(140), other = {1, 2, 3, 4};
  for (const uint32_t keep : {0u, 1u, 64u, 129u, 140u}) {
    const auto session = open(*model);
    ASSERT_EQ(session->append(prompt.data(), 140, nullptr, nullptr, nullptr), BN_OK);
    ASSERT_EQ(session->truncate(keep, nullptr), BN_OK);
    std::vector<float> rows;
    append(*session, other, 0, 4, rows);
    Ids all(prompt.begin(), prompt.begin() + keep);
    all.insert(all.end(), other.begin(), other.end());
    const std::vector<float> expected = logits_of(*model, all, 200);
    EXPECT_TRUE(same_bits(rows, {expected.end() - 4 * 60, expected.end()})) << keep;
  }
  // decode right after truncate: the last kept token's logits are made again.
  const bn_sampler sampler = sampler_of(1.5f);
  Ids tokens(5), again(5);
  const auto session = open(*model), fresh = open(*model);
  ASSERT_EQ(session->append(prompt.data(), 140, nullptr, nullptr, nullptr), BN_OK);
  ASSERT_EQ(session->truncate(50, nullptr), BN_OK);
  ASSERT_EQ(fresh->append(prompt.data(), 50, nullptr, nullptr, nullptr), BN_OK);
  bn_decode d = decode_of(sampler, tokens), e = decode_of(sampler, again);
  ASSERT_EQ(session->decode(&d, nullptr, nullptr), BN_OK);
  ASSERT_EQ(fresh->decode(&e, nullptr, nullptr), BN_OK);
  EXPECT_EQ(tokens, again);
}

TEST(ReferenceEngine, OutputsAgreeWithTheFullLogits) {
  Model toy;
  const auto model = load(toy);
  const Ids prompt = prompt_of(40);
  const std::vector<float> full = logits_of(*model, prompt, 40);
  constexpr uint32_t kFirst = 35, kK = 7;
  std::vector<float> logits(5 * 60), top_logit(5 * kK), z(10), hidden(5 * 128);
  std::vector<int32_t> top_id(5 * kK);
  bn_output out = {};
  out.struct_size = sizeof out;
  out.want = BN_OUT_LOGITS | BN_OUT_TOPK | BN_OUT_Z | BN_OUT_HIDDEN;
  out.first = kFirst, out.top_k = kK;
  out.logits = logits.data(), out.top_id = top_id.data(), out.top_logit = top_logit.data(), out.z = z.data();
  out.hidden = hidden.data();
  ASSERT_EQ(open(*model)->append(prompt.data(), 40, &out, nullptr, nullptr), BN_OK);
  EXPECT_EQ(out.n_rows, 5u);
  EXPECT_TRUE(same_bits(logits, {full.begin() + kFirst * 60, full.end()}));
  for (uint32_t row = 0; row < 5; ++row) {
    const float* l = &logits[row * 60];
    Ids order(60);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return l[a] > l[b]; });
    double sum = 0;
    for (uint32_t i = 0; i < 60; ++i) sum += std::exp(static_cast<double>(l[i]) - static_cast<double>(l[order[0]]));
    for (uint32_t i = 0; i < kK; ++i) {
      EXPECT_EQ(top_id[row * kK + i], order[i]);
      EXPECT_EQ(top_logit[row * kK + i], l[order[i]]);
    }
    EXPECT_EQ(z[2 * row], l[order[0]]);
    EXPECT_NEAR(static_cast<double>(z[2 * row + 1]), sum, 1e-5 * sum);
    const bn_sampler sampler = sampler_of(0);
    EXPECT_EQ(bn::kit::sample_top(sampler, 9, &top_id[row * kK], &top_logit[row * kK], kK), order[0]);
  }
  bn_sampler sampler = sampler_of(1.5f);
  sampler.top_k = kK;
  for (uint64_t position = 0; position < 50; ++position) {
    EXPECT_EQ(bn::kit::sample_top(sampler, position, top_id.data(), top_logit.data(), kK),
              bn::kit::sample_logits(sampler, position, logits.data(), 60));
  }
}

// A call that stops after a number of heartbeats.
struct StoppingCall {
  explicit StoppingCall(uint64_t beats) {
    table = bn::kit::portable::kTable;
    left = beats, cancel = 0, heartbeat = 0;
    table.norm = [](bn_device*, const bn_norm* a, uint32_t v0, uint32_t v1, void*) {
      if (left-- == 0) cancel = 1;
      bn::kit::norm(*a, v0, v1);
      return bn_status{BN_OK};
    };
    call = {sizeof(bn_call), 0, 0, &cancel, &heartbeat};
  }
  bn_kernels_v1 table;
  bn_call call;
  static inline uint64_t left;
  static inline uint32_t cancel;
  static inline uint64_t heartbeat;
};

TEST(ReferenceEngine, CancelAnywhereLeavesTheSessionAsItWas) {
  Model toy;
  const bn_model_desc desc = toy.desc();
  const Ids prompt = prompt_of(30), more = prompt_of(70);
  const std::vector<float> expected = logits_of(*load(toy), prompt_of(100), 100);
  for (const uint64_t norms : {0u, 3u, 9u, 14u}) {
    StoppingCall stopping(1000);
    std::unique_ptr<ReferenceModel> model;
    ASSERT_EQ(ReferenceModel::load(&desc, &toy.plan, nullptr, stopping.table, nullptr, &model, nullptr), BN_OK);
    const auto session = open(*model);
    Ids all = prompt_of(100);
    ASSERT_EQ(session->append(all.data(), 30, nullptr, nullptr, nullptr), BN_OK);
    StoppingCall::left = norms;
    const uint64_t beats = StoppingCall::heartbeat;
    EXPECT_EQ(session->append(&all[30], 70, nullptr, &stopping.call, nullptr), BN_E_CANCELLED) << norms;
    EXPECT_GT(StoppingCall::heartbeat, beats);
    EXPECT_EQ(session->tokens(), prompt);
    StoppingCall::cancel = 0, StoppingCall::left = 1000000;
    std::vector<float> rows;
    append(*session, all, 30, 100, rows);
    EXPECT_TRUE(same_bits(rows, {expected.begin() + 30 * 60, expected.end()})) << norms;
  }
}

TEST(ReferenceEngine, DecodeReportsWhatItCommittedBeforeItStopped) {
  Model toy;
  const bn_model_desc desc = toy.desc();
  StoppingCall stopping(1000000);
  std::unique_ptr<ReferenceModel> model;
  ASSERT_EQ(ReferenceModel::load(&desc, &toy.plan, nullptr, stopping.table, nullptr, &model, nullptr), BN_OK);
  const auto session = open(*model), undisturbed = open(*model);
  const Ids prompt = prompt_of(5);
  const bn_sampler sampler = sampler_of(1.5f);
  Ids tokens(20), expected(20);
  ASSERT_EQ(undisturbed->append(prompt.data(), 5, nullptr, nullptr, nullptr), BN_OK);
  bn_decode d = decode_of(sampler, expected);
  ASSERT_EQ(undisturbed->decode(&d, nullptr, nullptr), BN_OK);
  ASSERT_EQ(session->append(prompt.data(), 5, nullptr, nullptr, nullptr), BN_OK);
  StoppingCall::left = 30;
  d = decode_of(sampler, tokens);
  EXPECT_EQ(session->decode(&d, &stopping.call, nullptr), BN_E_CANCELLED);
  const uint32_t committed = d.n_committed;
  ASSERT_GT(committed, 0u);
  ASSERT_LT(committed, 20u);
  EXPECT_EQ(session->tokens().size(), 5u + committed);
  StoppingCall::cancel = 0, StoppingCall::left = 1000000;
  Ids rest(20 - committed);
  d = decode_of(sampler, rest);
  ASSERT_EQ(session->decode(&d, &stopping.call, nullptr), BN_OK);
  std::copy(rest.begin(), rest.end(), tokens.begin() + committed);
  EXPECT_EQ(tokens, expected);
}

TEST(ReferenceEngine, BudgetEndsACall) {
  Model toy;
  const auto model = load(toy);
  const bn_call call = {sizeof(bn_call), 0, 1, nullptr, nullptr};
  const Ids prompt = prompt_of(200);
  EXPECT_EQ(open(*model)->append(prompt.data(), 200, nullptr, &call, nullptr), BN_E_TIMEOUT);
  const bn_model_desc desc = toy.desc();
  std::unique_ptr<ReferenceModel> other;
  EXPECT_EQ(ReferenceModel::load(&desc, &toy.plan, &call, bn::kit::portable::kTable, nullptr, &other, nullptr), BN_E_TIMEOUT);
}

TEST(ReferenceEngine, AnOpThatFailsEndsTheCallWithItsStatus) {
  Model toy;
  const bn_model_desc desc = toy.desc();
  bn_kernels_v1 table = bn::kit::portable::kTable;
  table.glu = [](bn_device*, const bn_glu*, uint32_t, uint32_t, uint32_t, uint32_t, void*) {
    return bn_status{BN_E_DEVICE_LOST};
  };
  std::unique_ptr<ReferenceModel> model;
  ASSERT_EQ(ReferenceModel::load(&desc, &toy.plan, nullptr, table, nullptr, &model, nullptr), BN_OK);
  const int32_t token = 1;
  bn_error error = empty_error();
  EXPECT_EQ(open(*model)->append(&token, 1, nullptr, nullptr, &error), BN_E_DEVICE_LOST);
  EXPECT_STREQ(error.message, "an op of layer 0 failed with status 8");
}

// What load() answers to a model that was changed, with its message.
std::pair<bn_status, std::string> loading(const std::function<void(Model&, bn_model_desc&)>& change) {
  Model toy;
  bn_model_desc desc = toy.desc();
  change(toy, desc);
  std::unique_ptr<ReferenceModel> model;
  bn_error error = empty_error();
  const bn_status status = ReferenceModel::load(&desc, &toy.plan, nullptr, bn::kit::portable::kTable, nullptr, &model, &error);
  bn_fit fit = {sizeof(bn_fit), 0, 0, 0, 0, 0};
  const bn_status fits = ReferenceModel::fit(&desc, &toy.plan, &fit, nullptr);
  if (status == BN_E_UNSUPPORTED) {
    EXPECT_EQ(fits, status) << "fit() answers what load() answers";
  }
  return {status, error.message};
}

TEST(ReferenceEngine, RefusesWhatItDoesNotKnow) {
  const struct {
    const char* words;
    std::function<void(Model&, bn_model_desc&)> change;
  } cases[] = {{"must bits 0x200", [](Model& m, bn_model_desc&) { m.arch.must |= 0x200; }},
               {"must bits 0x8000000000000000", [](Model& m, bn_model_desc&) { m.arch.must |= 1ull << 63; }},
               {"activation 4", [](Model& m, bn_model_desc&) { m.arch.act = 4; }},
               {"activation 0", [](Model& m, bn_model_desc&) { m.arch.act = 0; }},
               {"activation quantiser 2", [](Model& m, bn_model_desc&) { m.arch.act_quant = 2; }},
               {"RoPE kind 3", [](Model& m, bn_model_desc&) { m.arch.rope_kind = 3; }},
               {"pooling 4", [](Model& m, bn_model_desc&) { m.arch.pooling = 4; }},
               {"KV dtype 16", [](Model& m, bn_model_desc&) { m.plan.kv_dtype = BN_DT_Q8_0; }},
               {"dtype 99", [](Model& m, bn_model_desc&) { m.tensor(BN_T_TOKEN_EMBD, BN_NO_LAYER).dtype = 99; }},
               {"attn_q (layer 1) has dtype 1", [](Model& m, bn_model_desc&) { m.tensor(BN_T_ATTN_Q, 1).dtype = BN_DT_F32; }}};
  for (const auto& c : cases) {
    const auto [status, message] = loading(c.change);
    EXPECT_EQ(status, BN_E_UNSUPPORTED) << c.words;
    EXPECT_NE(message.find(c.words), std::string::npos) << message;
  }
}

TEST(ReferenceEngine, RefusesDamagedModels) {
  const struct {
    bn_status status;
    const char* words;
    std::function<void(Model&, bn_model_desc&)> change;
  } cases[] = {
      {BN_E_DATA, "no tensor ffn_up (layer 1)", [](Model& m, bn_model_desc&) { m.tensor(BN_T_FFN_UP, 1).role = 99; }},
      {BN_E_DATA, "attn_k (layer 0) is 41x128, expected 40x128",
       [](Model& m, bn_model_desc&) { ++m.tensor(BN_T_ATTN_K, 0).rows; }},
      {BN_E_DATA, "2 scales for 80 rows", [](Model& m, bn_model_desc&) { m.tensor(BN_T_ATTN_Q, 0).n_scales = 2; }},
      {BN_E_DATA, "attn_q (layer 0) has too few bytes", [](Model& m, bn_model_desc&) { --m.tensor(BN_T_ATTN_Q, 0).bytes; }},
      {BN_E_DATA, "output_norm (layer -1) has too few",
       [](Model& m, bn_model_desc&) { m.tensor(BN_T_OUTPUT_NORM, BN_NO_LAYER).data = nullptr; }},
      {BN_E_DATA, "could not be read", [](Model& m, bn_model_desc&) { m.reads_fail = true; }},
      {BN_E_DATA, "no tensor attn_q_norm (layer 0)", [](Model& m, bn_model_desc&) { m.arch.must |= BN_M_QK_NORM; }},
      {BN_E_DATA, "no tensor attn_q_norm_in (layer 0)", [](Model& m, bn_model_desc&) { m.arch.must |= BN_M_IN_NORMS; }},
      {BN_E_DATA, "no tensor post_attention_norm (layer 0)", [](Model& m, bn_model_desc&) { m.arch.must |= BN_M_POST_NORMS; }},
      {BN_E_DATA, "31 tensors", [](Model& m, bn_model_desc& d) { m.arch.n_layers = 4000000000u, d.n_tensors = 31; }},
      {BN_E_INVALID, "no RoPE tables", [](Model&, bn_model_desc& d) { d.rope_sin = nullptr; }},
      {BN_E_INVALID, "impossible sizes", [](Model& m, bn_model_desc&) { m.arch.n_kv_heads = 3; }},
      {BN_E_INVALID, "impossible sizes", [](Model& m, bn_model_desc&) { m.arch.head_dim = 0x40000000; }},
      {BN_E_INVALID, "a context of 301", [](Model& m, bn_model_desc&) { m.plan.n_ctx = 301; }},
      {BN_E_INVALID, "cut short", [](Model&, bn_model_desc& d) { d.struct_size = 80; }},
      {BN_E_INVALID, "stride of 64", [](Model&, bn_model_desc& d) { d.tensor_stride = 64; }}};
  for (const auto& c : cases) {
    const auto [status, message] = loading(c.change);
    EXPECT_EQ(status, c.status) << c.words;
    EXPECT_NE(message.find(c.words), std::string::npos) << message;
  }
}

TEST(ReferenceEngine, ChecksArguments) {
  Model toy;
  const auto model = load(toy);
  const auto session = open(*model, 10);
  bn_sampler sampler = sampler_of(0);
  Ids tokens(3);
  bn_decode d = decode_of(sampler, tokens);
  EXPECT_EQ(session->decode(&d, nullptr, nullptr), BN_E_INVALID) << "empty";
  const auto appending = [&](Ids ids) {
    return session->append(ids.data(), static_cast<uint32_t>(ids.size()), nullptr, nullptr, nullptr);
  };
  EXPECT_EQ(appending({}), BN_E_INVALID);
  EXPECT_EQ(appending({60}), BN_E_DATA);
  EXPECT_EQ(appending({-1}), BN_E_DATA);
  EXPECT_EQ(appending(prompt_of(11)), BN_E_INVALID);
  EXPECT_EQ(session->truncate(1, nullptr), BN_E_INVALID);
  EXPECT_EQ(appending({1, 2}), BN_OK);
  const int32_t token = 5;
  bn_output out = {};
  out.struct_size = sizeof out;
  const auto wanting = [&](uint32_t want, uint32_t top_k) {
    out.want = want, out.top_k = top_k;
    return session->append(&token, 1, &out, nullptr, nullptr);
  };
  EXPECT_EQ(wanting(16, 0), BN_E_UNSUPPORTED);
  EXPECT_EQ(wanting(BN_OUT_LOGITS, 0), BN_E_INVALID) << "no buffer";
  std::vector<float> room(128);
  out.top_id = tokens.data(), out.top_logit = room.data();
  EXPECT_EQ(wanting(BN_OUT_TOPK, 0), BN_E_INVALID);
  EXPECT_EQ(wanting(BN_OUT_TOPK, 61), BN_E_INVALID);
  EXPECT_EQ(wanting(0, 0), BN_OK);
  sampler.must = 1;
  EXPECT_EQ(session->decode(&d, nullptr, nullptr), BN_E_UNSUPPORTED);
  sampler = sampler_of(-1);
  EXPECT_EQ(session->decode(&d, nullptr, nullptr), BN_E_INVALID);
  sampler = sampler_of(0), sampler.top_k = BN_TOPK_MAX + 1;
  EXPECT_EQ(session->decode(&d, nullptr, nullptr), BN_E_INVALID);
  sampler = sampler_of(0), sampler.n_stop = 1;
  EXPECT_EQ(session->decode(&d, nullptr, nullptr), BN_E_INVALID);
  EXPECT_EQ(session->tokens(), (Ids{1, 2, 5}));
  std::unique_ptr<ReferenceSession> none;
  EXPECT_EQ(ReferenceSession::create(*model, 301, &none, nullptr), BN_E_INVALID);
}

TEST(ReferenceEngine, SaysWhatItWillTake) {
  Model toy;
  const bn_model_desc desc = toy.desc();
  bn_fit fit = {sizeof(bn_fit), 0, 0, 0, 0, 0};
  ASSERT_EQ(ReferenceModel::fit(&desc, &toy.plan, &fit, nullptr), BN_OK);
  EXPECT_EQ(fit.n_ctx_fits, 300u);
  EXPECT_EQ(fit.bytes_per_token, 2u * 2 * 40 * 4);
  EXPECT_EQ(fit.bytes_weights, 2u * (128 * 20 + 160 * 32)) << "the two matrices a layer that only read_t2 gives";
  EXPECT_EQ(ReferenceModel::accepts(&toy.tensor(BN_T_ATTN_Q, 0)), BN_NATIVE);
  EXPECT_EQ(ReferenceModel::accepts(&toy.tensor(BN_T_FFN_UP, 0)), BN_PACK);
  EXPECT_EQ(ReferenceModel::accepts(&toy.tensor(BN_T_TOKEN_EMBD, BN_NO_LAYER)), BN_NATIVE);
}

}  // namespace
}  // namespace bitnet::toy
