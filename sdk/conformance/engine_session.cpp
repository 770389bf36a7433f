// conformance/engine_session.cpp - see engine_session.h.
#include "engine_session.h"

namespace bitnet::conformance {
namespace {

const bn_call kPlainCall = {sizeof(bn_call), 0, 0, nullptr, nullptr};

std::string list(const std::vector<int32_t>& tokens) {
  std::string text;
  for (const int32_t id : tokens) text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

bn_output logits_from(uint32_t first, float* logits) {
  bn_output out = {};
  out.struct_size = sizeof out;
  out.want = BN_OUT_LOGITS;
  out.first = first;
  out.logits = logits;
  return out;
}

}  // namespace

bn_sampler greedy() {
  bn_sampler s = {};
  s.struct_size = sizeof s;
  s.top_k = 1;
  s.top_p = 1.0f;
  return s;
}
bn_sampler sampled(uint64_t seed) {
  bn_sampler s = greedy();
  s.top_k = 20;
  s.temperature = 1.3f;
  s.top_p = 0.95f;
  s.min_p = 0.01f;
  s.seed = seed;
  return s;
}

EngineModel::EngineModel(Subject& s, ToyModel& toy)
    : engine(s.engine()), accuracy{s.engine().numerics == BN_EXACT_1, s.engine().tolerance} {
  const bn_model_desc desc = toy.description();
  bn_error error = fresh_error();
  const bn_status status = engine.load(s.device(), &desc, &toy.plan, &kPlainCall, &model, &error);
  if (status == BN_E_UNSUPPORTED) {
    expect(error.message[0] != '\0', "load refused without a sentence");
    throw NotApplicable{say("load: %.240s", error.message)};
  }
  expect_ok(status, "load", &error);
  expect(model != nullptr, "load answered BN_OK and no model");
  error = fresh_error();
  const bn_status own =
      bn::kit::ReferenceModel::load(&desc, &toy.plan, &kPlainCall, conformance::reference(), nullptr, &reference, &error);
  if (own != BN_OK) engine.unload(model);
  expect_ok(own, "the reference engine's load", &error);
}

EngineModel::~EngineModel() { engine.unload(model); }

Rows::Rows(uint32_t n_rows, uint32_t vocabulary)
    : expected(untouched<float>(size_t{n_rows} * vocabulary)), found("logits", expected, Edge::kEnd), n_vocab(vocabulary) {}

void Rows::check(const Accuracy& accuracy) const {
  compare({"logits", n_vocab, false}, accuracy, untouched<float>(expected.size()), expected, found.data());
  found.expect_slack_intact();
}

EngineSession::EngineSession(const EngineModel& model, uint32_t n_ctx) : model_(model) {
  bn_error error = fresh_error();
  expect_ok(model.engine.session_create(model.model, n_ctx, &session_, &error), "session_create", &error);
  expect_ok(bn::kit::ReferenceSession::create(*model.reference, n_ctx, &reference_, &error), "the reference's session_create");
}

EngineSession::~EngineSession() { model_.engine.session_destroy(session_); }

void EngineSession::append(const std::vector<int32_t>& tokens, uint32_t first) {
  const uint32_t n = static_cast<uint32_t>(tokens.size()), rows = n - first;
  const Where where(say("append of %u tokens at %zu, logits of the last %u", n, reference_->tokens().size(), rows));
  Rows logits(rows, model_.reference->arch.n_vocab);
  bn_output out = logits_from(first, logits.found.data()), reference_out = logits_from(first, logits.expected.data());
  bn_error error = fresh_error();
  expect_ok(reference_->append(tokens.data(), n, rows == 0 ? nullptr : &reference_out, nullptr, &error),
            "the reference's append", &error);
  const Input<int32_t> ids("tokens", tokens, Edge::kEnd);
  expect_ok(model_.engine.append(session_, ids.data(), n, rows == 0 ? nullptr : &out, &kPlainCall, &error), "append", &error);
  expect(rows == 0 || out.n_rows == rows, say("n_rows is %u, %u rows were asked for", out.n_rows, rows));
  logits.check(model_.accuracy);
}

std::vector<int32_t> EngineSession::decode(const bn_sampler& sampler, uint32_t steps, bool with_logits) {
  const Where where(say("decode of %u tokens at %zu", steps, reference_->tokens().size()));
  std::vector<int32_t> expected(steps);
  Rows logits(with_logits ? steps : 0, model_.reference->arch.n_vocab);
  bn_output out = logits_from(0, logits.found.data()), reference_out = logits_from(0, logits.expected.data());
  Guarded<int32_t> found("tokens", untouched<int32_t>(steps), Edge::kEnd);
  bn_decode theirs = {sizeof(bn_decode), steps, &sampler, found.data(), 77, 77, with_logits ? &out : nullptr};
  bn_decode ours = {sizeof(bn_decode), steps, &sampler, expected.data(), 0, 0, with_logits ? &reference_out : nullptr};
  bn_error error = fresh_error();
  expect_ok(reference_->decode(&ours, nullptr, &error), "the reference's decode", &error);
  const bn_status status = model_.engine.decode(session_, &theirs, &kPlainCall, &error);
  if (status == BN_E_UNSUPPORTED) throw NotApplicable{say("decode: %.240s", error.message)};
  expect_ok(status, "decode", &error);
  expected.resize(ours.n_committed);
  const std::vector<int32_t> tokens(found.data(), found.data() + std::min(theirs.n_committed, steps));
  if (!model_.accuracy.exact) throw NotApplicable{"approx-1: which token comes next is not defined"};
  expect(tokens == expected && theirs.n_committed == ours.n_committed,
         say("%u tokens committed: expected %u: %s; found: %s", theirs.n_committed, ours.n_committed, list(expected).c_str(),
             list(tokens).c_str()));
  expect(theirs.stopped == ours.stopped, say("bn_decode.stopped is %u, expected %u", theirs.stopped, ours.stopped));
  if (with_logits) logits.check(model_.accuracy);
  return tokens;
}

void EngineSession::truncate(uint32_t n) {
  const Where where(say("truncate to %u of %zu tokens", n, reference_->tokens().size()));
  bn_error error = fresh_error();
  expect_ok(reference_->truncate(n, &error), "the reference's truncate", &error);
  expect_ok(model_.engine.truncate(session_, n, &error), "truncate", &error);
}

}  // namespace bitnet::conformance
