// engine/table.cpp - the functions of bn.engine/1: one at a time, no exceptions out, nothing after a loss.
#include "table.h"

#include "bitnet/kit/model_description.hpp"
#include "bitnet/kit/plugin.hpp"

namespace bn_cuda {
namespace {

using bn::kit::set_error;

bn_status report(const DeviceError& e, bn_error* error) {
  if (is_lost()) return report_lost(error);
  set_error(error, status_of(e.code), "%s: CUDA error %d (%s)", e.where, e.code, name_of_error(e.code));
  if (error != nullptr) error->native_code = e.code;
  return status_of(e.code);
}

// Runs f() -> bn_status with the device to itself.
template <class F>
bn_status entry(bn_device* device, bn_error* error, F&& f) {
  if (is_lost()) return report_lost(error);
  return bn::kit::guard(error, [&]() -> bn_status {
    const std::lock_guard<std::mutex> lock(device->mutex);
    try {
      return f();
    } catch (const DeviceError& e) {
      return report(e, error);
    }
  });
}

int32_t accepts(bn_device*, const bn_tensor* w) { return bn::kit::accepts_tensor(w); }

bn_status fit(bn_device* d, const bn_model_desc* desc, const bn_plan* plan, bn_fit* out, bn_error* error) {
  return entry(d, error, [&] { return Model::fit(*d->gpu, d->options, desc, plan, out, error); });
}

bn_status load(bn_device* d, const bn_model_desc* desc, const bn_plan* plan, const bn_call* call, bn_model** out,
               bn_error* error) {
  return entry(d, error, [&] {
    auto made = std::make_unique<bn_model>();
    made->device = d;
    const bn_status status = Model::load({d->stream, d->options, *d->host}, desc, plan, call, &made->model, error);
    if (status == BN_OK) *out = made.release();
    return status;
  });
}

void unload(bn_model* model) {
  const std::lock_guard<std::mutex> lock(model->device->mutex);
  delete model;
}

bn_status session_create(bn_model* model, uint32_t n_ctx, bn_session** out, bn_error* error) {
  return entry(model->device, error, [&] {
    auto made = std::make_unique<bn_session>();
    made->device = model->device;
    const bn_status status = Session::create(*model->model, n_ctx, &made->session, error);
    if (status == BN_OK) *out = made.release();
    return status;
  });
}

void session_destroy(bn_session* session) {
  const std::lock_guard<std::mutex> lock(session->device->mutex);
  delete session;
}

bn_status append(bn_session* s, const int32_t* tokens, uint32_t n, bn_output* out, const bn_call* call, bn_error* error) {
  return entry(s->device, error, [&] { return s->session->append(tokens, n, out, call, error); });
}

bn_status decode(bn_session* s, bn_decode* arguments, const bn_call* call, bn_error* error) {
  if (arguments != nullptr && BN_HAS(arguments, stopped)) arguments->n_committed = arguments->stopped = 0;
  return entry(s->device, error, [&] { return s->session->decode(arguments, call, error); });
}

bn_status truncate(bn_session* s, uint32_t n_tokens, bn_error* error) {
  return entry(s->device, error, [&] { return s->session->truncate(n_tokens, error); });
}

constexpr bn_engine_v1 table_of(uint32_t numerics, float tolerance) {
  return {sizeof(bn_engine_v1), numerics,        tolerance, 0,      accepts, fit, load, unload,
          session_create,       session_destroy, append,    decode, truncate};
}
constexpr bn_engine_v1 kExact = table_of(BN_EXACT_1, 0.0f), kFast = table_of(BN_APPROX_1, kFastTolerance);

}  // namespace

bn_status report_lost(bn_error* error) {
  const int code = lost_code();
  if (error != nullptr) error->native_code = code;
  if (code == kHung) {
    return set_error(error, BN_E_DEVICE_LOST,
                     "the GPU gave no sign of life and was given up; this process does not use it again");
  }
  return set_error(error, BN_E_DEVICE_LOST, "the GPU is lost to this process: CUDA error %d (%s)", code, name_of_error(code));
}

const bn_engine_v1* engine_table(const bn_device& device) { return device.options.fast ? &kFast : &kExact; }

}  // namespace bn_cuda
