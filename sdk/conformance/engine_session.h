// conformance/engine_session.h - a toy model in the plugin's engine and in the reference engine, and one sequence in both.
#pragma once

#include <memory>

#include "bitnet/kit/reference_engine.hpp"
#include "operation.h"
#include "toy_model.h"

namespace bitnet::conformance {

// The model, loaded on both sides. Throws NotApplicable, with the plugin's sentence, if the engine does not support it.
class EngineModel {
 public:
  EngineModel(Subject& s, ToyModel& toy);
  ~EngineModel();
  EngineModel(const EngineModel&) = delete;
  EngineModel& operator=(const EngineModel&) = delete;

  const bn_engine_v1& engine;
  bn_model* model = nullptr;  // the plugin's
  std::unique_ptr<bn::kit::ReferenceModel> reference;
  const Accuracy accuracy;
};

// What a call that returns rows of logits asked for: guarded, so a row too many is a crash.
struct Rows {
  Rows(uint32_t n_rows, uint32_t n_vocab);
  std::vector<float> expected;
  Guarded<float> found;
  uint32_t n_vocab;
  void check(const Accuracy& accuracy) const;
};

// One sequence on both sides. Every call is made on both; what differs is a failure.
class EngineSession {
 public:
  explicit EngineSession(const EngineModel& model, uint32_t n_ctx = ToyModel::kContext);
  ~EngineSession();
  EngineSession(const EngineSession&) = delete;
  EngineSession& operator=(const EngineSession&) = delete;

  // append with logits of tokens [first, n); first n: none.
  void append(const std::vector<int32_t>& tokens, uint32_t first);
  void append(const std::vector<int32_t>& tokens) { append(tokens, static_cast<uint32_t>(tokens.size()) - 1); }
  // decode of up to `steps` tokens: the reference's tokens, unless the engine is approx-1.
  std::vector<int32_t> decode(const bn_sampler& sampler, uint32_t steps, bool with_logits = false);
  void truncate(uint32_t n);

  bn_session* handle() const { return session_; }
  bn::kit::ReferenceSession& reference() { return *reference_; }
  const EngineModel& model() const { return model_; }

 private:
  const EngineModel& model_;
  bn_session* session_ = nullptr;
  std::unique_ptr<bn::kit::ReferenceSession> reference_;
};

bn_sampler greedy();
bn_sampler sampled(uint64_t seed);

}  // namespace bitnet::conformance
