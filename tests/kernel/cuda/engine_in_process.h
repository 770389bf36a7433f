// kernel/cuda/engine_in_process.h - the engine of cuda over the emulated GPU, linked into the test: a device with options, a
// toy model, a session.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bitnet/kit/reference_engine.hpp"
#include "engine/table.h"
#include "gpu/faulty_gpu.h"
#include "sdk/conformance/toy_model.h"

namespace bn_cuda {

using bitnet::conformance::ToyModel;
using bitnet::conformance::ToyShape;
using Ids = std::vector<int32_t>;

const bn_host* test_host();  // runs parallel_for in the calling thread
bn_error fresh_error();
bn_sampler greedy();
bn_sampler sampled(uint32_t top_k);

// Steps stop where a call fails; status and error are those of the last call.
class Engine {
 public:
  explicit Engine(const std::string& options, const ToyShape& shape = bitnet::conformance::kUsualToy);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  bool open();  // device
  bool load();  // model and session
  bool append(const Ids& ids, std::vector<float>* logits = nullptr);
  Ids decode(uint32_t n, const bn_sampler& sampler, const bn_call* call = nullptr);
  uint32_t stopped = 0;

  ToyModel toy;
  bn_device* device = nullptr;
  bn_model* model = nullptr;
  bn_session* session = nullptr;
  const bn_engine_v1* table = nullptr;
  bn_status status = BN_OK;
  bn_error error = fresh_error();

 private:
  std::string options_;
};

// The same by the reference engine: append, then decode.
Ids reference_tokens(const ToyShape& shape, const Ids& prompt, uint32_t n, const bn_sampler& sampler);

}  // namespace bn_cuda
