// kernel/cuda/engine_in_process.cpp - see engine_in_process.h.
#include "kernel/cuda/engine_in_process.h"

namespace bn_cuda {
namespace {

void no_log(void*, int32_t, const char*, uint64_t) {}
void run_here(void*, uint32_t n, void (*f)(void*, uint32_t), void* arg) {
  for (uint32_t i = 0; i < n; ++i) f(arg, i);
}

}  // namespace

const bn_host* test_host() {
  static const bn_host host = {sizeof(bn_host), 0, nullptr, no_log, nullptr, nullptr, run_here, nullptr, ""};
  return &host;
}

bn_error fresh_error() {
  bn_error e{};
  e.struct_size = sizeof e;
  return e;
}
bn_sampler greedy() {
  bn_sampler s{};
  s.struct_size = sizeof s;
  s.top_k = 1, s.top_p = 1.0f;
  return s;
}
bn_sampler sampled(uint32_t top_k) {
  bn_sampler s = greedy();
  s.top_k = top_k, s.temperature = 1.4f, s.top_p = 0.97f, s.seed = 7;
  return s;
}

Engine::Engine(const std::string& options, const ToyShape& shape) : toy(shape), options_(options) {}

Engine::~Engine() {
  if (session != nullptr) table->session_destroy(session);
  if (model != nullptr) table->unload(model);
  if (device != nullptr) bitnet_plugin_v1(0)->close(device);
}

bool Engine::open() {
  status = bitnet_plugin_v1(0)->open(test_host(), "emulated", options_.c_str(), &device, &error);
  if (status != BN_OK) return false;
  table = static_cast<const bn_engine_v1*>(bitnet_plugin_v1(0)->get_interface(device, BN_ENGINE_ID));
  return table != nullptr;
}

bool Engine::load() {
  const bn_model_desc desc = toy.description();
  status = table->load(device, &desc, &toy.plan, nullptr, &model, &error);
  if (status == BN_OK) status = table->session_create(model, ToyModel::kContext, &session, &error);
  return status == BN_OK;
}

bool Engine::append(const Ids& ids, std::vector<float>* logits) {
  bn_output out{};
  out.struct_size = sizeof out;
  if (logits != nullptr) {
    logits->assign(ids.size() * ToyModel::kVocabulary, -77.0f);
    out.want = BN_OUT_LOGITS;
    out.logits = logits->data();
  }
  status = table->append(session, ids.data(), static_cast<uint32_t>(ids.size()), logits != nullptr ? &out : nullptr, nullptr,
                         &error);
  return status == BN_OK;
}

Ids Engine::decode(uint32_t n, const bn_sampler& sampler, const bn_call* call) {
  Ids tokens(n, -1);
  bn_decode d = {sizeof(bn_decode), n, &sampler, tokens.data(), 77, 77, nullptr};
  status = table->decode(session, &d, call, &error);
  tokens.resize(d.n_committed);
  stopped = d.stopped;
  return tokens;
}

Ids reference_tokens(const ToyShape& shape, const Ids& prompt, uint32_t n, const bn_sampler& sampler) {
  ToyModel toy(shape);
  const bn_model_desc desc = toy.description();
  std::unique_ptr<bn::kit::ReferenceModel> model;
  std::unique_ptr<bn::kit::ReferenceSession> session;
  EXPECT_EQ(bn::kit::ReferenceModel::load(&desc, &toy.plan, nullptr, bn::kit::portable::kTable, nullptr, &model, nullptr),
            BN_OK);
  EXPECT_EQ(bn::kit::ReferenceSession::create(*model, ToyModel::kContext, &session, nullptr), BN_OK);
  EXPECT_EQ(session->append(prompt.data(), static_cast<uint32_t>(prompt.size()), nullptr, nullptr, nullptr), BN_OK);
  Ids tokens(n);
  bn_decode d = {sizeof(bn_decode), n, &sampler, tokens.data(), 0, 0, nullptr};
  EXPECT_EQ(session->decode(&d, nullptr, nullptr), BN_OK);
  tokens.resize(d.n_committed);
  return tokens;
}

}  // namespace bn_cuda
