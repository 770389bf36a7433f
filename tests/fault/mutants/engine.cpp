// mutants/engine.cpp - a correct engine plugin, the kit's reference engine, and its mutants, chosen by {"mutant": "NAME"}.
#include <cstring>
#include <memory>
#include <string>

#include "bitnet/kit/portable.h"
#include "bitnet/kit/reference_engine.hpp"

BN_MANIFEST(R"({"schema": 1, "abi": [1, 0], "id": "org.bitnet-run.engine-mutants", "name": "engine_mutants", "version": "0.1.0",
 "kind": "test", "tiers": ["engine"], "arch": ["x86_64", "aarch64"], "cpu": [], "numerics": "exact-1"})");

struct bn_device {
  std::string mutant;
  bool is(const char* name) const { return mutant == name; }
};
struct bn_model {
  bn_device* device;
  std::unique_ptr<bn::kit::ReferenceModel> reference;
  int32_t last_token = -1;  // of any session
};
struct bn_session {
  bn_model* model;
  std::unique_ptr<bn::kit::ReferenceSession> reference;
  uint64_t draws = 0;
};

namespace {

using bn::kit::guard;
using bn::kit::set_error;

int32_t accepts(bn_device*, const bn_tensor* w) { return bn::kit::ReferenceModel::accepts(w); }

bn_status fit(bn_device*, const bn_model_desc* desc, const bn_plan* plan, bn_fit* out, bn_error* error) {
  return guard(error, [&] { return bn::kit::ReferenceModel::fit(desc, plan, out, error); });
}

// What the defects of load() make of the description.
struct Changed {
  bn_arch arch;
  bn_model_desc desc;
  Changed(const bn_device& d, const bn_model_desc& original) : arch(*original.arch), desc(original) {
    desc.arch = &arch;
    if (d.is("unknown_must_ignored")) arch.must &= 0x1FF;
    if (d.is("unknown_activation_ignored") && arch.act > BN_ACT_GELU_TANH) arch.act = BN_ACT_SILU;
    if (d.is("embd_scale_ignored")) arch.embd_scale = 1.0f;
    if (d.is("window_ignored")) arch.window = 0;
    if (d.is("in_norms_ignored")) arch.must &= ~uint64_t{BN_M_IN_NORMS};
    if (d.is("qk_norms_ignored")) arch.must &= ~uint64_t{BN_M_QK_NORM};
    if (d.is("post_norms_ignored")) arch.must &= ~uint64_t{BN_M_POST_NORMS};
    if (d.is("biases_ignored")) arch.must &= ~uint64_t{BN_M_BIASES};
    if (d.is("length_ignored")) arch.must &= ~uint64_t{BN_M_L2_POOLED};
    if (d.is("last_is_mean") && arch.pooling == BN_POOL_LAST) arch.pooling = BN_POOL_MEAN;
    if (d.is("always_halves")) arch.rope_kind = BN_ROPE_HALVES;
    if (d.is("eps_changed")) arch.norm_eps = 1e-6f;
    if (d.is("fixed_stride")) desc.tensor_stride = sizeof(bn_tensor);
  }
};

bn_status load(bn_device* d, const bn_model_desc* desc, const bn_plan* plan, const bn_call* call, bn_model** out,
               bn_error* error) {
  return guard(error, [&]() -> bn_status {
    const Changed changed(*d, *desc);
    bn_plan own_plan = *plan;
    if (d->is("kv_f32_always")) own_plan.kv_dtype = BN_DT_F32;
    auto model = std::make_unique<bn_model>();
    model->device = d;
    const bn_status bad = bn::kit::ReferenceModel::load(&changed.desc, &own_plan, call, *bn_portable_kernels(), nullptr,
                                                        &model->reference, error);
    if (bad == BN_E_DATA && d->is("read_failure_is_internal")) return set_error(error, BN_E_INTERNAL, "read_t2 failed");
    if (bad == BN_E_UNSUPPORTED && d->is("refuses_in_silence")) return *error->message = '\0', bad;
    if (bad != BN_OK) return bad;
    if (d->is("borrows_scales")) {  // what the call described, kept by pointer
      for (auto& layer : model->reference->layers) {
        for (uint64_t i = 0; i < desc->n_tensors; ++i) {
          const bn_tensor& t = *BN_AT(bn_tensor, desc->tensors, desc->tensor_stride, i);
          if (t.role == BN_T_FFN_GATE && &layer == &model->reference->layers[t.layer]) layer.ffn_gate.tensor.scales = t.scales;
        }
      }
    }
    *out = model.release();
    return BN_OK;
  });
}

void unload(bn_model* model) {
  if (!model->device->is("model_leaks")) delete model;
}

bn_status session_create(bn_model* model, uint32_t n_ctx, bn_session** out, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    auto session = std::make_unique<bn_session>();
    session->model = model;
    const uint32_t room = model->device->is("context_overrun") ? model->reference->n_ctx : n_ctx;
    const bn_status bad = bn::kit::ReferenceSession::create(*model->reference, room, &session->reference, error);
    if (bad == BN_OK) *out = session.release();
    return bad;
  });
}

void session_destroy(bn_session* session) {
  if (!session->model->device->is("session_leaks")) delete session;
}

// The call as the defect sees it.
const bn_call* heard(const bn_device& d, const bn_call* call, bn_call& own) {
  if (call == nullptr) return nullptr;
  own = *call;
  own.struct_size = sizeof own;
  if (d.is("cancel_ignored")) own.cancel = nullptr;
  if (d.is("no_heartbeat")) own.heartbeat = nullptr;
  return &own;
}

bn_status append(bn_session* s, const int32_t* tokens, uint32_t n, bn_output* out, const bn_call* call, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    const bn_device& d = *s->model->device;
    bn_call own_call;
    std::vector<int32_t> own(tokens, tokens + n);
    if (d.is("tokens_wrap")) {
      for (int32_t& id : own) id = static_cast<int32_t>(static_cast<uint32_t>(id) % s->model->reference->arch.n_vocab);
    }
    if (d.is("sessions_mixed") && s->model->last_token >= 0 && n == 1) own[0] = s->model->last_token;
    if (n != 0 && d.is("sessions_mixed")) s->model->last_token = tokens[n - 1];
    if (d.is("part_of_a_bad_append") && n > 1) {  // token by token, without looking first
      for (uint32_t i = 0; i + 1 < n; ++i) {
        if (const bn_status bad = s->reference->append(&own[i], 1, nullptr, nullptr, error); bad != BN_OK) return bad;
      }
      bn_output last = out == nullptr ? bn_output{} : *out;
      last.first = 0;
      const bn_status status =
          s->reference->append(&own[n - 1], 1, out == nullptr || out->first >= n ? nullptr : &last, nullptr, error);
      if (out != nullptr) out->n_rows = last.n_rows;
      return status;
    }
    const bn_status status = s->reference->append(own.data(), n, out, heard(d, call, own_call), error);
    if (status == BN_OK && out != nullptr && d.is("rows_not_counted")) out->n_rows = 0;
    if (status == BN_OK && out != nullptr && d.is("row_too_many") && (out->want & BN_OUT_LOGITS) != 0) {
      out->logits[uint64_t{out->n_rows} * s->model->reference->arch.n_vocab] = 0;
    }
    if (status == BN_OK && out != nullptr && d.is("output_cleared")) std::memset(out + 1, 0, 8);
    if (status == BN_OK && out != nullptr && d.is("topk_ties_by_falling_id") && (out->want & BN_OUT_TOPK) != 0) {
      std::swap(out->top_id[0], out->top_id[1]);
    }
    return status;
  });
}

bn_status decode(bn_session* s, bn_decode* decode, const bn_call* call, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    const bn_device& d = *s->model->device;
    bn_call own_call;
    bn_sampler sampler = *decode->sampler;
    sampler.struct_size = sizeof sampler;
    if (d.is("sampler_must_ignored")) sampler.must = 0;
    if (d.is("stop_ignored")) sampler.n_stop = 0;
    if (d.is("always_greedy")) sampler.temperature = 0;
    if (d.is("generator_with_state")) sampler.seed += s->draws;
    bn_decode own = *decode;
    own.struct_size = sizeof own;
    own.sampler = &sampler;
    const bn_status status = s->reference->decode(&own, heard(d, call, own_call), error);
    s->draws += own.n_committed;
    decode->n_committed = d.is("committed_is_wish") ? decode->max_steps : own.n_committed;
    decode->stopped = own.stopped;
    return status;
  });
}

bn_status truncate(bn_session* s, uint32_t n, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (s->model->device->is("truncate_off_by_one") && n > 1) --n;
    return s->reference->truncate(n, error);
  });
}

constexpr bn_engine_v1 kEngine = {sizeof(bn_engine_v1), BN_EXACT_1,      0.0f,   0,      accepts, fit, load, unload,
                                  session_create,       session_destroy, append, decode, truncate};

bn_status enumerate(const bn_host*, uint32_t index, bn_device_info* info, bn_error* error) {
  if (index > 0) return set_error(error, BN_E_UNSUPPORTED, "one device");
  info->kind = BN_DEV_TEST;
  std::strcpy(info->id, "cpu");
  std::strcpy(info->name, "CPU, with a defect");
  return BN_OK;
}

bn_status open(const bn_host*, const char*, const char* options, bn_device** out, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    auto device = std::make_unique<bn_device>();
    const char* key = options == nullptr ? nullptr : std::strstr(options, "\"mutant\"");
    if (key != nullptr) {
      const char* begin = std::strchr(key + 8, '"') + 1;
      device->mutant.assign(begin, std::strchr(begin, '"'));
    }
    *out = device.release();
    return BN_OK;
  });
}

void close(bn_device* device) { delete device; }

const void* get_interface(bn_device*, const char* id) { return std::strcmp(id, BN_ENGINE_ID) == 0 ? &kEngine : nullptr; }

constexpr bn_plugin kPlugin = {
    sizeof(bn_plugin), BN_ABI_MINOR, "org.bitnet-run.engine-mutants", "0.1.0", "bitnet-run", 0, enumerate, open, close,
    get_interface};

}  // namespace

const bn_plugin* bitnet_plugin_v1(uint32_t) { return &kPlugin; }
