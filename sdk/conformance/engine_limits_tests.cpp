// conformance/engine_limits_tests.cpp - tier bn.engine/1: what is refused, and calls that are stopped or out of time.
#include "engine_calls.h"
#include "sized.h"

namespace bitnet::conformance {
namespace {

constexpr char kConsistent[] =
    "engine.h: after BN_OK, BN_E_CANCELLED and BN_E_TIMEOUT append() has taken all its tokens or none";
constexpr char kRefusals[] =
    "engine.h: decode() of an empty session, more tokens than n_ctx and an append of none are BN_E_INVALID; a token outside "
    "the "
    "vocabulary is BN_E_DATA";

void bad_tokens(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession session(model);
  expect_refused(raw_decode(session, greedy(), 4), BN_E_INVALID, "decode of an empty session");
  expect_refused(raw_append(session, {}), BN_E_INVALID, "append of no tokens");
  for (const int32_t id : {-1, static_cast<int32_t>(ToyModel::kVocabulary), INT32_MAX, INT32_MIN}) {
    const Where where(say("token %d of a vocabulary of %u", id, ToyModel::kVocabulary));
    expect_refused(raw_append(session, {1, 2, id}), BN_E_DATA, "append");
  }
  bn_error error = fresh_error();
  expect_refused({model.engine.truncate(session.handle(), 1, &error), error}, BN_E_INVALID, "truncate past the end");
  session.append(toy.prompt(30), 0);  // nothing of all that was taken
}

void context_full(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession session(model, 40);
  session.append(toy.prompt(30));
  expect_refused(raw_append(session, toy.prompt(11)), BN_E_INVALID, "append of 11 tokens where 10 fit");
  session.append(toy.prompt(6));
  session.decode(greedy(), 20);  // 4 fit
  session.decode(greedy(), 5);   // none
  expect_refused(raw_append(session, {1}), BN_E_INVALID, "append to a full context");
  session.truncate(35);
  session.append(toy.prompt(5));
}

void unknown_model(Subject& s) {
  struct Change {
    const char* what;
    void (*apply)(ToyModel&);
  };
  static constexpr Change kChanges[] = {{"must bit 40", [](ToyModel& t) { t.arch.must |= 1ull << 40; }},
                                        {"must bit 9", [](ToyModel& t) { t.arch.must |= 1ull << 9; }},
                                        {"activation 77", [](ToyModel& t) { t.arch.act = 77; }},
                                        {"RoPE kind 9", [](ToyModel& t) { t.arch.rope_kind = 9; }},
                                        {"quantiser 9", [](ToyModel& t) { t.arch.act_quant = 9; }},
                                        {"pooling 9", [](ToyModel& t) { t.arch.pooling = 9; }}};
  for (const Change& change : kChanges) {
    const Where where(std::string("a model with ") + change.what);
    ToyModel toy(kUsualToy);
    change.apply(toy);
    const bn_model_desc desc = toy.description();
    bn_model* model = nullptr;
    bn_error error = fresh_error();
    expect_refused({s.engine().load(s.device(), &desc, &toy.plan, nullptr, &model, &error), error}, BN_E_UNSUPPORTED, "load");
    bn_fit fit = {};
    fit.struct_size = sizeof fit;
    const bn_status status = s.engine().fit(s.device(), &desc, &toy.plan, &fit, &error);
    expect(status == BN_E_UNSUPPORTED || (status == BN_OK && fit.n_ctx_fits == 0),
           say("fit answered %s and a context of %u", status_name(status), fit.n_ctx_fits));
  }
}

void unknown_sampler(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession session(model);
  session.append(toy.prompt(5));
  bn_sampler sampler = greedy();
  sampler.must = 1ull << 50;
  expect_refused(raw_decode(session, sampler, 3), BN_E_UNSUPPORTED, "decode with an unknown sampler bit");
  session.append(toy.prompt(5));
}

void load_failures(Subject& s) {
  ToyModel toy(kUsualToy);
  const bn_model_desc desc = toy.description();
  const bn_engine_v1& engine = s.engine();
  bn_model* model = nullptr;
  bn_error error = fresh_error();
  toy.reads_fail = true;
  expect_refused({engine.load(s.device(), &desc, &toy.plan, nullptr, &model, &error), error}, BN_E_DATA,
                 "load while read_t2 fails");
  toy.reads_fail = false;
  const EngineModel again(s, toy);
  EngineSession(again).append(toy.prompt(5));
}

void not_persistent(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  toy.spoil_what_is_not_persistent();
  EngineSession session(model);
  session.append(toy.prompt(60), 0);
}

void fit(Subject& s) {
  ToyModel toy(kUsualToy);
  const bn_model_desc desc = toy.description();
  bn_fit fit = {};
  fit.struct_size = sizeof fit;
  bn_error error = fresh_error();
  const bn_status status = s.engine().fit(s.device(), &desc, &toy.plan, &fit, &error);
  if (status == BN_E_UNSUPPORTED) throw NotApplicable{say("fit: %.240s", error.message)};
  expect_ok(status, "fit", &error);
  expect(fit.n_ctx_fits >= ToyModel::kContext, say("fit answered a context of %u for a toy of some kilobytes", fit.n_ctx_fits));
  expect(fit.est_decode_tps >= 0 && fit.est_prefill_tps >= 0, "an estimate below 0");
  for (const bn_tensor& t : toy.tensors) {
    const int32_t answer = s.engine().accepts(s.device(), &t);
    expect(answer == BN_PACK || answer == BN_NATIVE,
           say("accepts() answered %d for role %u of a model that fits", answer, t.role));
  }
}

// ------------------------------------------------------------------------------------------- stopping
void cancel(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession session(model);
  session.append(toy.prompt(20));
  const volatile uint32_t stop = 1;
  const bn_call call = {sizeof(bn_call), 0, 0, &stop, nullptr};
  expect_refused(raw_append(session, toy.prompt(30), &call), BN_E_CANCELLED, "append with the cancel word set");
  session.append(toy.prompt(3));
  uint32_t committed = 0;
  expect_refused(raw_decode(session, greedy(), 30, &call, &committed), BN_E_CANCELLED, "decode with the cancel word set");
  expect(committed == 0, say("%u tokens committed by a call that was cancelled before it began", committed), kConsistent);
  session.append(toy.prompt(3), 0);
  session.decode(greedy(), 4);
}

// A budget of a nanosecond: the call ends, and the session is whole, whether it was in time or not.
void budget(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession session(model);
  session.append(toy.prompt(20));
  const bn_call call = {sizeof(bn_call), 0, 1, nullptr, nullptr};
  const std::vector<int32_t> more = toy.prompt(100);
  const Refused appended = raw_append(session, more, &call);
  if (appended.status == BN_OK) {
    bn_error error = fresh_error();
    expect_ok(session.reference().append(more.data(), 100, nullptr, nullptr, &error), "the reference's append");
  } else {
    expect_refused(appended, BN_E_TIMEOUT, "append with a budget of 1 ns");
  }
  uint32_t committed = 0;
  const Refused decoded = raw_decode(session, greedy(), 50, &call, &committed);
  if (decoded.status != BN_OK) expect_refused(decoded, BN_E_TIMEOUT, "decode with a budget of 1 ns");
  std::vector<int32_t> tokens(committed);
  const bn_sampler sampler = greedy();
  bn_decode d = {sizeof(bn_decode), committed, &sampler, tokens.data(), 0, 0, nullptr};
  expect_ok(session.reference().decode(&d, nullptr, nullptr), "the reference's decode");
  session.append(toy.prompt(3));
}

void heartbeat(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession session(model);
  volatile uint64_t beats = 0;
  const bn_call call = {sizeof(bn_call), 0, 0, nullptr, &beats};
  uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    const Refused r = raw_append(session, toy.prompt(14), &call);
    expect_ok(r.status, "append", &r.error);
    expect(beats > last, say("the heartbeat is %llu after %d calls, and was %llu before the last",
                             static_cast<unsigned long long>(beats), i + 1, static_cast<unsigned long long>(last)));
    last = beats;
  }
}

}  // namespace

Tests engine_limits_tests() {
  return {{"engine.bad_tokens", kRefusals, bad_tokens},
          {"engine.context_full", kRefusals, context_full},
          {"engine.unknown_model", rule::kUnknown, unknown_model},
          {"engine.unknown_sampler", rule::kUnknown, unknown_sampler},
          {"engine.load_failures", "plugin.h, BN_E_DATA: bytes of weights rejected, the device is healthy", load_failures},
          {"engine.not_persistent", "plugin.h rule 11: pointers are valid during the call; BN_TENSOR_PERSISTENT, until unload",
           not_persistent},
          {"engine.fit", "engine.h, fit: would it load, with how much context", fit},
          {"engine.cancel", rule::kStop, cancel},
          {"engine.budget", kConsistent, budget},
          {"engine.heartbeat", rule::kStop, heartbeat}};
}

}  // namespace bitnet::conformance
