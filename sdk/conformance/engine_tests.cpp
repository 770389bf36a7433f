// conformance/engine_tests.cpp - tier bn.engine/1: toy models of every family against the reference engine, sessions that
// are cut, split and replayed, other outputs. What is refused and what ends early: engine_limits_tests.cpp.
#include <malloc.h>

#include "engine_calls.h"
#include "sized.h"

namespace bitnet::conformance {
namespace {

constexpr char kLogits[] =
    "engine.h and plugin.h rule 10: the logits of exact-1 are those of kit/reference_engine.hpp, bit for bit";
constexpr char kSession[] = "engine.h: the state of a session is its list of tokens";
constexpr char kSampling[] = "engine.h, bn_sampler: a pure function of (logits, history, seed, position), as kit/sampler.hpp";

// A prompt across two KV pages with all logits, then tokens one by one.
void family(Subject& s, const ToyShape& shape) {
  ToyModel toy(shape);
  const EngineModel model(s, toy);
  EngineSession session(model);
  session.append(toy.prompt(140), 0);
  for (const int32_t id : toy.prompt(5)) session.append({id});
}

void prompt_splits(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  const std::vector<int32_t> prompt = toy.prompt(150);
  for (const uint32_t piece : {1u, 7u, 64u, 128u, 150u}) {
    const Where where(say("the prompt in pieces of %u", piece));
    EngineSession session(model);
    for (uint32_t at = 0; at < prompt.size(); at += piece) {
      const auto begin = prompt.begin() + at;
      const std::vector<int32_t> part(begin, begin + std::min<std::ptrdiff_t>(piece, prompt.end() - begin));
      session.append(part);
    }
  }
}

void some_rows(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession session(model);
  for (const uint32_t first : {0u, 1u, 33u, 39u, 40u}) session.append(toy.prompt(40), first);
}

void decode_greedy(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  for (const uint32_t chunk : {1u, 3u, 40u}) {
    EngineSession session(model);
    session.append(toy.prompt(20));
    for (uint32_t done = 0; done < 40; done += chunk) session.decode(greedy(), chunk);
    session.append(toy.prompt(3));
  }
}

void decode_sampled(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  std::vector<std::vector<int32_t>> texts;
  for (const uint64_t seed : {1ull, 2ull, 0xFFFFFFFFFFull}) {
    for (const uint32_t top_k : {0u, 5u, 20u}) {
      const Where where(say("sampler seed %llu, top_k %u", static_cast<unsigned long long>(seed), top_k));
      EngineSession session(model);
      session.append(toy.prompt(10));
      bn_sampler sampler = sampled(seed);
      sampler.top_k = top_k;
      texts.push_back(session.decode(sampler, 24));
    }
  }
  std::sort(texts.begin(), texts.end());
  const auto distinct = std::unique(texts.begin(), texts.end()) - texts.begin();
  expect(distinct >= 3, say("%td texts of 9 samplers: the toy proves nothing", distinct), "the tool itself");
}

void decode_logits(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession session(model);
  session.append(toy.prompt(12));
  session.decode(greedy(), 9, true);
  session.decode(sampled(5), 9, true);
}

void stop_tokens(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession first(model);
  first.append(toy.prompt(12));
  const std::vector<int32_t> text = first.decode(sampled(3), 20);
  const int32_t stop[] = {-5, text[8]};
  bn_sampler sampler = sampled(3);
  sampler.stop = stop;
  sampler.n_stop = 2;
  EngineSession session(model);
  session.append(toy.prompt(12));
  session.decode(sampler, 20);
  session.decode(sampled(4), 5);
}

void two_sessions(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession a(model), b(model);
  a.append(toy.prompt(130));
  b.append(toy.prompt(9));
  for (uint32_t i = 0; i < 6; ++i) {
    a.decode(greedy(), 2);
    b.append(toy.prompt(2 + i));
    b.decode(sampled(i), 4);
    a.append({static_cast<int32_t>(i)});
  }
}

void truncate(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  EngineSession session(model);
  session.append(toy.prompt(140));
  for (const uint32_t n : {140u, 139u, 129u, 128u, 127u, 60u, 1u, 0u}) {
    session.truncate(n);
    session.append(toy.prompt(4));
    session.decode(greedy(), 3);
    session.truncate(n);
  }
  session.append(toy.prompt(140), 0);
}

void replay(Subject& s) {
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  for (int round = 0; round < 3; ++round) {
    const Where where(say("round %d", round + 1));
    EngineSession session(model);
    session.append(toy.prompt(50), 0);
    session.decode(sampled(9), 10);
  }
}

// ------------------------------------------------------------------------------------------- other outputs
// Top-k, z and hidden beside the full logits of the same rows.
void other_outputs(Subject& s) {
  constexpr uint32_t kRows = 6, kTop = 7, kVocabulary = ToyModel::kVocabulary;
  ToyModel toy(kUsualToy);
  const EngineModel model(s, toy);
  const uint32_t width = toy.arch.n_embd;
  for (const uint32_t want : {BN_OUT_LOGITS | BN_OUT_TOPK, BN_OUT_LOGITS | BN_OUT_Z, BN_OUT_LOGITS | BN_OUT_HIDDEN}) {
    const Where where(say("append with outputs 0x%x", want));
    Rows logits(kRows, kVocabulary);
    Output<int32_t> id("top_id", untouched<int32_t>(kRows * kTop), kTop, false, Edge::kEnd);
    Output<float> top("top_logit", untouched<float>(kRows * kTop), kTop, false, Edge::kEnd);
    Output<float> z("z", untouched<float>(kRows * 2), 2, false, Edge::kEnd);
    Output<float> hidden("hidden", untouched<float>(size_t{kRows} * width), width, false, Edge::kEnd);
    bn_output out = {sizeof(bn_output), want,        0,         kTop,          0, 0, logits.found.data(),
                     id.found(),        top.found(), z.found(), hidden.found()};
    bn_output own = {sizeof(bn_output),
                     want,
                     0,
                     kTop,
                     0,
                     0,
                     logits.expected.data(),
                     id.expected.data(),
                     top.expected.data(),
                     z.expected.data(),
                     hidden.expected.data()};
    EngineSession session(model);
    const std::vector<int32_t> tokens = toy.prompt(kRows);
    bn_error error = fresh_error();
    const bn_status status = model.engine.append(session.handle(), tokens.data(), kRows, &out, nullptr, &error);
    if (status == BN_E_UNSUPPORTED) throw NotApplicable{say("append: %.240s", error.message)};
    expect_ok(status, "append", &error);
    expect_ok(session.reference().append(tokens.data(), kRows, &own, nullptr, &error), "the reference's append", &error);
    logits.check(model.accuracy);
    if (model.accuracy.exact) id.check(model.accuracy), top.check(model.accuracy);
    z.check({false, std::max(model.accuracy.tolerance, 1e-5f)});  // the order of its sum is free
    hidden.check(model.accuracy);
  }
}

// One row for all tokens asked for; a model without a head gives that and nothing else.
void pooling(Subject& s) {
  constexpr uint32_t kTokens = 70;
  for (const uint32_t kind : {BN_POOL_LAST, BN_POOL_MEAN, BN_POOL_FIRST}) {
    for (const uint64_t length : {uint64_t{0}, uint64_t{BN_M_L2_POOLED}}) {
      const Where where(say("pooling %u, %s", kind, length != 0 ? "length 1" : "as it is"));
      ToyModel toy({"pooled", BN_M_IN_NORMS | BN_M_QK_NORM | BN_M_NO_HEAD | length, BN_ACT_SILU});
      toy.arch.pooling = kind;
      const EngineModel model(s, toy);
      const uint32_t width = toy.arch.n_embd;
      EngineSession session(model);
      for (const uint32_t first : {0u, 3u, kTokens - 1}) {
        Output<float> hidden("hidden", untouched<float>(width), width, false, Edge::kEnd);
        bn_output out = {}, own = {};
        out.struct_size = own.struct_size = sizeof(bn_output);
        out.want = own.want = BN_OUT_HIDDEN;
        out.first = own.first = first;
        out.hidden = hidden.found(), own.hidden = hidden.expected.data();
        const std::vector<int32_t> tokens = toy.prompt(kTokens);
        bn_error error = fresh_error();
        const bn_status status = model.engine.append(session.handle(), tokens.data(), kTokens, &out, nullptr, &error);
        if (status == BN_E_UNSUPPORTED) throw NotApplicable{say("append: %.240s", error.message)};
        expect_ok(status, "append", &error);
        expect_ok(session.reference().append(tokens.data(), kTokens, &own, nullptr, &error), "the reference's append", &error);
        expect(out.n_rows == kTokens - first, say("n_rows is %u, expected %u tokens", out.n_rows, kTokens - first));
        hidden.check(model.accuracy);
      }
      expect_refused(raw_decode(session, greedy(), 3), BN_E_INVALID, "decode of a model without a head");
    }
  }
}

void struct_sizes(Subject& s) {
  ToyModel toy(kUsualToy);
  for (const size_t tail : {size_t{0}, size_t{64}}) {
    const Where where(tail == 0 ? "structs end at an unmapped page" : "structs are 64 bytes longer than in 1.0");
    const size_t stride = sizeof(bn_tensor) + tail;
    GuardedBytes tensors("the list of tensors", stride * toy.tensors.size(), Edge::kEnd, 8);
    std::memset(tensors.data(), 0xA5, tensors.size());
    for (size_t i = 0; i < toy.tensors.size(); ++i) {
      bn_tensor t = toy.tensors[i];
      t.struct_size = static_cast<uint32_t>(stride);
      std::memcpy(tensors.data() + i * stride, &t, sizeof t);
    }
    bn_model_desc content = toy.description();
    content.tensors = reinterpret_cast<const bn_tensor*>(tensors.data());
    content.tensor_stride = static_cast<uint32_t>(stride);
    const Sized<bn_model_desc> desc("bn_model_desc", tail, content);
    const Sized<bn_plan> plan("bn_plan", tail, toy.plan);
    const Sized<bn_call> call("bn_call", tail);
    const Sized<bn_fit> fit("bn_fit", tail);
    const Sized<bn_error> error("bn_error", tail);
    const Sized<bn_sampler> sampler("bn_sampler", tail, greedy());
    expect_ok(s.engine().fit(s.device(), desc.get(), plan.get(), fit.get(), error.get()), "fit", error.get());
    bn_model* model = nullptr;
    expect_ok(s.engine().load(s.device(), desc.get(), plan.get(), call.get(), &model, error.get()), "load", error.get());
    bn_session* session = nullptr;
    expect_ok(s.engine().session_create(model, 20, &session, error.get()), "session_create", error.get());
    std::vector<float> logits(ToyModel::kVocabulary);
    bn_output wanted = {};
    wanted.want = BN_OUT_LOGITS;
    wanted.first = 2;
    wanted.logits = logits.data();
    const Sized<bn_output> out("bn_output", tail, wanted);
    const int32_t tokens[] = {3, 1, 4};
    expect_ok(s.engine().append(session, tokens, 3, out.get(), call.get(), error.get()), "append", error.get());
    int32_t next = 0;
    const Sized<bn_decode> decode("bn_decode", tail, {0, 1, sampler.get(), &next, 0, 0, nullptr});
    const bn_status status = s.engine().decode(session, decode.get(), call.get(), error.get());
    expect(status == BN_OK || status == BN_E_UNSUPPORTED, say("decode answered %s", status_name(status)));
    s.engine().session_destroy(session);
    s.engine().unload(model);
    fit.expect_tail(), out.expect_tail(), decode.expect_tail(), error.expect_tail();
  }
}

// What models and sessions take comes back.
void unload(Subject& s) {
  constexpr int kWarm = 3, kTimes = 30, kSmallest = 64;
  ToyModel toy(kUsualToy);
  const std::vector<int32_t> prompt = toy.prompt(20);
  const bn_model_desc desc = toy.description();
  const auto once = [&] {
    bn_error error = fresh_error();
    bn_model* model = nullptr;
    expect_ok(s.engine().load(s.device(), &desc, &toy.plan, nullptr, &model, &error), "load", &error);
    bn_session* session = nullptr;
    expect_ok(s.engine().session_create(model, 40, &session, &error), "session_create", &error);
    expect_ok(s.engine().append(session, prompt.data(), 20, nullptr, nullptr, &error), "append", &error);
    s.engine().session_destroy(session);
    s.engine().unload(model);
  };
  for (int i = 0; i < kWarm; ++i) once();
  const int64_t from_host = s.host().living_allocations();
  size_t grown = 0;
  for (int attempt = 0; attempt < 3; ++attempt) {  // the C library's own caches count as used until they are full
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < kTimes; ++i) once();
    const size_t after = mallinfo2().uordblks;
    expect(s.host().living_allocations() == from_host, "blocks of bn_host.alloc were not released");
    if (after < before + kTimes * kSmallest) return;
    grown = after - before;
  }
  fail(say("%d models and sessions left %zu bytes on the heap", kTimes, grown));
}

}  // namespace

Tests engine_tests() {
  Tests tests;
  for (const ToyShape& shape : kToyFamilies) {
    tests.push_back({std::string("engine.family_") + shape.name, kLogits, [&shape](Subject& s) { family(s, shape); }});
  }
  const Tests others = {
      {"engine.prompt_splits", kLogits, prompt_splits},
      {"engine.some_rows", "engine.h, bn_output: rows for tokens [first, n) of this call", some_rows},
      {"engine.decode_greedy", kSampling, decode_greedy},
      {"engine.decode_sampled", kSampling, decode_sampled},
      {"engine.decode_logits", "engine.h, bn_decode: row i is of the logits that tokens[i] was drawn from", decode_logits},
      {"engine.stop_tokens", "engine.h, bn_decode: stopped says that the last one is a stop token", stop_tokens},
      {"engine.two_sessions", kSession, two_sessions},
      {"engine.truncate", kSession, truncate},
      {"engine.replay", kLogits, replay},
      {"engine.other_outputs", "engine.h, bn_output: top-k exact and sorted, z, hidden", other_outputs},
      {"engine.pooling", "engine.h, bn_output.hidden: with bn_arch.pooling one row, as kit/pooling.hpp", pooling},
      {"engine.struct_sizes", rule::kSizes, struct_sizes},
      {"engine.unload", rule::kOwner, unload}};
  tests.insert(tests.end(), others.begin(), others.end());
  return tests;
}

}  // namespace bitnet::conformance
