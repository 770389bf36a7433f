// plugin.cpp - backend "acme_engine", a plugin that owns the whole decoder: weights, keys and values, the loop.
//
// It starts as the SDK's reference engine on the portable ops, so it is right from the first day. Replace ReferenceModel and
// ReferenceSession by your own, one function at a time, and keep the check green. To make it yours, replace acme_engine,
// com.example.acme-engine and Example Inc. here and acme_engine in CMakeLists.txt.
#include "bitnet/kit/plugin.hpp"

#include <cstring>
#include <memory>

#include "bitnet/kit/portable.h"
#include "bitnet/kit/reference_engine.hpp"

// Read from the file before any of this code runs.
BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "com.example.acme-engine", "name": "acme_engine", "version": "0.1.0",
 "kind": "cpu", "tiers": ["engine"], "arch": ["x86_64", "aarch64"], "cpu": [], "numerics": "exact-1"})");

// The ABI's opaque types are the plugin's to define.
struct bn_model {
  std::unique_ptr<bn::kit::ReferenceModel> model;
};
struct bn_session {
  std::unique_ptr<bn::kit::ReferenceSession> session;
};

namespace {

using bn::kit::guard;
using bn::kit::ReferenceModel;
using bn::kit::ReferenceSession;
using bn::kit::set_error;

int32_t accepts(bn_device*, const bn_tensor* w) { return ReferenceModel::accepts(w); }

bn_status fit(bn_device*, const bn_model_desc* desc, const bn_plan* plan, bn_fit* out, bn_error* error) {
  return guard(error, [&] { return ReferenceModel::fit(desc, plan, out, error); });
}

bn_status load(bn_device* device, const bn_model_desc* desc, const bn_plan* plan, const bn_call* call, bn_model** out,
               bn_error* error) {
  return guard(error, [&] {
    auto made = std::make_unique<bn_model>();
    const bn_status status = ReferenceModel::load(desc, plan, call, *bn_portable_kernels(), device, &made->model, error);
    if (status == BN_OK) *out = made.release();
    return status;
  });
}

void unload(bn_model* model) { delete model; }

bn_status session_create(bn_model* model, uint32_t n_ctx, bn_session** out, bn_error* error) {
  return guard(error, [&] {
    auto made = std::make_unique<bn_session>();
    const bn_status status = ReferenceSession::create(*model->model, n_ctx, &made->session, error);
    if (status == BN_OK) *out = made.release();
    return status;
  });
}

void session_destroy(bn_session* session) { delete session; }

bn_status append(bn_session* s, const int32_t* tokens, uint32_t n, bn_output* out, const bn_call* call, bn_error* error) {
  return guard(error, [&] { return s->session->append(tokens, n, out, call, error); });
}

bn_status decode(bn_session* s, bn_decode* arguments, const bn_call* call, bn_error* error) {
  return guard(error, [&] { return s->session->decode(arguments, call, error); });
}

bn_status truncate(bn_session* s, uint32_t n_tokens, bn_error* error) {
  return guard(error, [&] { return s->session->truncate(n_tokens, error); });
}

constexpr bn_engine_v1 kTable = {sizeof(bn_engine_v1), BN_EXACT_1,      0.0f,   0,      accepts, fit, load, unload,
                                 session_create,       session_destroy, append, decode, truncate};

// One device, without state of its own: nothing but an address.
bn_device* const kDevice = reinterpret_cast<bn_device*>(1);

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
  info->kind = BN_DEV_CPU;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, "CPU, acme engine");
  return BN_OK;
}

bn_status open(const bn_host*, const char*, const char*, bn_device** device, bn_error*) {
  *device = kDevice;
  return BN_OK;
}

void close(bn_device*) {}

const void* get_interface(bn_device*, const char* id) { return std::strcmp(id, BN_ENGINE_ID) == 0 ? &kTable : nullptr; }

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "com.example.acme-engine", "0.1.0", "Example Inc.", 0, enumerate, open, close,
    get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
