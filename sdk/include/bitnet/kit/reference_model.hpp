// bitnet/kit/reference_model.hpp - a model as an engine holds it: what bn_model_desc says, checked, found by role, kept.
//
// Half of the reference decoder; reference_engine.hpp is the other. Written to be read: single-threaded, heap memory.
// Errors  a status and one sentence, those of model_description.hpp.
// Memory  bytes that are not BN_TENSOR_PERSISTENT are copied, so are scales, norms and RoPE tables; matrices that do not lie in
//         one of the two layouts of kit/ternary.hpp are pulled through read_t2.
// Build   uses templates of the standard library: include it in sources compiled for the baseline CPU.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bitnet/engine.h"
#include "bitnet/kit/call_watch.hpp"
#include "bitnet/kit/model_description.hpp"
#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/portable_kernels.hpp"

namespace bn::kit {

// A tensor that outlives the call that described it. Not to be moved: its pointers lead into itself.
struct KeptTensor {
  bn_tensor tensor{};
  bn_format format{};
  std::vector<uint8_t> bytes;  // what tensor.data points to, unless it is used in place
  std::vector<float> scales;
};

using KeptGain = std::vector<float>;  // [n]; empty: the family has none

struct KeptLinear : KeptTensor {
  KeptGain norm_in;  // [cols], the matrix's own norm of its input
  KeptGain bias;     // [rows], added to its result
};

struct ReferenceLayer {
  KeptGain attn_norm, attn_sub_norm, ffn_norm, ffn_sub_norm;  // [D] [H*d] [D] [F]
  KeptGain attn_q_norm, attn_k_norm;                          // [d] [d]
  KeptGain post_attn_norm, post_ffn_norm;                     // [D] [D]
  KeptLinear attn_q, attn_k, attn_v, attn_output;             // [H*d,D] [G*d,D] [G*d,D] [D,H*d]
  KeptLinear ffn_gate, ffn_up, ffn_down;                      // [F,D] [F,D] [D,F]
};

class ReferenceModel {
 public:
  // ops: a complete kernels table that reads both layouts in place, and the device its functions get. The table of
  // portable_kernels.hpp is the definition; another one that is exact-1 gives the same bits, perhaps faster.
  static bn_status load(const bn_model_desc* desc, const bn_plan* plan, const bn_call* call, const bn_kernels_v1& ops,
                        bn_device* device, std::unique_ptr<ReferenceModel>* out, bn_error* error) {
    if (const bn_status bad = check_description(desc, plan, error); bad != BN_OK) return bad;
    std::unique_ptr<ReferenceModel> model(new ReferenceModel(*desc->arch, *plan, ops, device));
    if (const bn_status bad = check_tensors(*desc, error); bad != BN_OK) return bad;
    if (const bn_status bad = model->keep_all(*desc, call, error); bad != BN_OK) return bad;
    *out = std::move(model);
    return BN_OK;
  }

  // fit(): every check of load() that needs no bytes, and what it would take.
  static bn_status fit(const bn_model_desc* desc, const bn_plan* plan, bn_fit* out, bn_error* error) {
    if (const bn_status bad = check_description(desc, plan, error); bad != BN_OK) return bad;
    ReferenceModel model(*desc->arch, *plan, portable::kTable, nullptr);
    if (const bn_status bad = check_tensors(*desc, error); bad != BN_OK) return bad;
    out->n_ctx_fits = plan->n_ctx;
    out->bytes_weights = 0;
    for (uint64_t i = 0; i < desc->n_tensors; ++i) {
      const bn_tensor& t = tensor_at(*desc, i);
      if (t.dtype == BN_DT_TERNARY && !has_known_layout(t)) out->bytes_weights += row_bytes(Layout::kT2, t.cols) * t.rows;
    }
    out->bytes_per_token = 2ull * model.arch.n_layers * model.arch.n_kv_heads * model.arch.head_dim * model.kv_bytes();
    out->est_decode_tps = out->est_prefill_tps = 0.0f;
    return BN_OK;
  }

  static int32_t accepts(const bn_tensor* t) { return accepts_tensor(t); }

  const bn_arch arch;
  const uint32_t n_ctx, kv_dtype;  // positions at most; BN_DT_F32 or BN_DT_F16
  const bn_kernels_v1& ops;
  bn_device* const device;
  KeptTensor token_embd, output;          // [V,D]; output is empty when the head is tied or there is none, see head()
  KeptGain output_norm;                   // [D]
  std::vector<float> rope_cos, rope_sin;  // [n_ctx][rope_dim/2]
  std::vector<ReferenceLayer> layers;

  const bn_tensor& head() const { return (arch.must & BN_M_TIED_HEAD) != 0 ? token_embd.tensor : output.tensor; }
  bool has(uint64_t must) const { return (arch.must & must) != 0; }    // any of these BN_M_* bits
  uint32_t kv_bytes() const { return kv_dtype == BN_DT_F16 ? 2 : 4; }  // of one element

 private:
  ReferenceModel(const bn_arch& a, const bn_plan& plan, const bn_kernels_v1& table, bn_device* d)
      : arch(a), n_ctx(plan.n_ctx), kv_dtype(kv_dtype_of(plan)), ops(table), device(d) {}

  // --------------------------------------------------------------------------------------------- what is kept
  bn_status keep_all(const bn_model_desc& desc, const bn_call* call, bn_error* error) {
    CallWatch watch(call);
    const uint64_t n_angles = uint64_t{n_ctx} * (arch.rope_dim / 2);
    if (n_angles != 0 && (desc.rope_cos == nullptr || desc.rope_sin == nullptr)) {
      return set_error(error, BN_E_INVALID, "model: no RoPE tables");
    }
    rope_cos.assign(desc.rope_cos, desc.rope_cos + n_angles);
    rope_sin.assign(desc.rope_sin, desc.rope_sin + n_angles);
    layers.resize(arch.n_layers);
    for (const ExpectedTensor& e : expected_tensors(arch)) {
      if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
      const uint64_t index = find_tensor(desc, e.role, e.layer);
      if (index == desc.n_tensors) continue;  // optional
      if (const bn_status bad = check_bytes(tensor_at(desc, index), e, error); bad != BN_OK) return bad;
      const bn_status bad = e.kind == ExpectedTensor::kGain ? keep_gain(tensor_at(desc, index), *gain_of(e.role, e.layer))
                                                            : keep_matrix(desc, index, e, watch, error);
      if (bad != BN_OK) return bad;
    }
    return BN_OK;
  }

  // Where a tensor is kept.
  KeptTensor* matrix_of(uint32_t role, uint32_t layer) {
    if (role == BN_T_TOKEN_EMBD) return &token_embd;
    return role == BN_T_OUTPUT ? &output : linear_of(role, layer);
  }
  KeptLinear* linear_of(uint32_t role, uint32_t layer) {
    ReferenceLayer& l = layers[layer];
    KeptLinear* const of[] = {&l.attn_q, &l.attn_k, &l.attn_v, &l.attn_output, &l.ffn_gate, &l.ffn_up, &l.ffn_down};
    return of[projection_of(role)];
  }
  KeptGain* gain_of(uint32_t role, uint32_t layer) {
    if (role == BN_T_OUTPUT_NORM) return &output_norm;
    if (role >= BN_T_ATTN_Q_BIAS) return &linear_of(role, layer)->bias;
    if (role >= BN_T_ATTN_Q_NORM_IN) return &linear_of(role, layer)->norm_in;
    ReferenceLayer& l = layers[layer];
    switch (role) {
      case BN_T_ATTN_NORM:
        return &l.attn_norm;
      case BN_T_ATTN_SUB_NORM:
        return &l.attn_sub_norm;
      case BN_T_ATTN_Q_NORM:
        return &l.attn_q_norm;
      case BN_T_ATTN_K_NORM:
        return &l.attn_k_norm;
      case BN_T_POST_ATTN_NORM:
        return &l.post_attn_norm;
      case BN_T_FFN_NORM:
        return &l.ffn_norm;
      case BN_T_FFN_SUB_NORM:
        return &l.ffn_sub_norm;
      default:
        return &l.post_ffn_norm;
    }
  }

  static bn_status keep_gain(const bn_tensor& t, KeptGain& gain) {
    gain.resize(uint64_t{t.rows} * t.cols);
    std::memcpy(gain.data(), t.data, 4 * gain.size());
    return BN_OK;
  }

  // A struct of the caller, who may know fewer fields than this header (rule 3): those are zero.
  template <class T>
  static void copy_known(T* to, const T& from) {
    *to = T{};
    std::memcpy(to, &from, from.struct_size < sizeof(T) ? from.struct_size : sizeof(T));
    to->struct_size = sizeof(T);
  }

  bn_status keep_matrix(const bn_model_desc& desc, uint64_t index, const ExpectedTensor& e, CallWatch& watch, bn_error* error) {
    KeptTensor& kept = *matrix_of(e.role, e.layer);
    const bool is_ternary = e.kind == ExpectedTensor::kTernary;
    bn_tensor& t = kept.tensor;
    copy_known(&t, tensor_at(desc, index));
    kept.scales.assign(t.scales, t.scales + t.n_scales);
    t.scales = kept.scales.data();
    if (is_ternary && !has_known_layout(t)) return pull_t2(desc, index, e, watch, error);
    const uint64_t stored = t.rows * (is_ternary ? row_bytes(layout_of(t.format), t.cols) : dense_row_bytes(t.dtype, t.cols));
    if (is_ternary) copy_known(&kept.format, *t.format), t.format = &kept.format;
    if ((t.flags & BN_TENSOR_PERSISTENT) == 0) {
      const uint8_t* source = static_cast<const uint8_t*>(t.data);
      kept.bytes.assign(source, source + stored);
      t.data = kept.bytes.data();
    }
    return BN_OK;
  }

  // A matrix as bn.t2, about a million weights at a time.
  bn_status pull_t2(const bn_model_desc& desc, uint64_t index, const ExpectedTensor& e, CallWatch& watch, bn_error* error) {
    KeptTensor& kept = *matrix_of(e.role, e.layer);
    const uint64_t row = row_bytes(Layout::kT2, e.cols);
    if (desc.read_t2 == nullptr) return set_error(error, BN_E_INVALID, "model: no read_t2");
    kept.bytes.resize(row * e.rows);
    const uint32_t piece = std::max(1u, (1u << 20) / e.cols);
    for (uint32_t r = 0; r < e.rows; r += std::min(piece, e.rows - r)) {
      if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
      const uint32_t n = std::min(piece, e.rows - r);
      const bn_status bad = desc.read_t2(desc.read_ctx, index, r, r + n, kept.bytes.data() + r * row, n * row);
      if (bad != BN_OK) {
        return set_error(error, bad, "model: rows %u to %u of %s (layer %d) could not be read", r, r + n, e.name.c_str(),
                         static_cast<int>(e.layer));
      }
    }
    kept.format = {sizeof(bn_format), 2, 1, 1, 1, 4, 0, "bn.t2", BN_FINGERPRINT_T2};
    kept.tensor.format = &kept.format;
    kept.tensor.data = kept.bytes.data();
    kept.tensor.bytes = kept.bytes.size();
    return BN_OK;
  }
};

}  // namespace bn::kit
