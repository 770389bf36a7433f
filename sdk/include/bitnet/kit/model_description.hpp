// bitnet/kit/model_description.hpp - a model as bn_model_desc describes it: what an engine refuses, and every tensor it may
// expect.
//
// Errors  a status and one sentence. UNSUPPORTED: the model asks for something exact-1 does not define (rule 4 of plugin.h).
//         DATA: a tensor is missing or misshapen. INVALID: the structs themselves are wrong.
// Build   uses templates of the standard library: include it in sources compiled for the baseline CPU.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bitnet/engine.h"
#include "bitnet/kit/dense_rows.hpp"
#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/ternary.hpp"

namespace bn::kit {

static inline const bn_tensor& tensor_at(const bn_model_desc& desc, uint64_t i) {
  return *BN_AT(bn_tensor, desc.tensors, desc.tensor_stride, i);
}
static inline bool is_dense_tensor(const bn_tensor& t) {
  const DenseDtype d = dense_dtype(t.dtype);
  return d.block != 0 && t.cols % d.block == 0;
}
// A ternary tensor whose bytes are there and in one of the two layouts of ternary.hpp; others are read through read_t2.
static inline bool has_known_layout(const bn_tensor& t) {
  const Layout layout = layout_of(t.format);
  return t.data != nullptr && (layout == Layout::kT2 || (layout == Layout::kI2s128 && t.cols % 128 == 0));
}
// accepts() of an engine that takes ternary matrices of any layout, and the dense dtypes of the kit.
static inline int32_t accepts_tensor(const bn_tensor* t) {
  if (t->dtype != BN_DT_TERNARY) return is_dense_tensor(*t) ? BN_NATIVE : BN_NO;
  if (t->cols == 0 || t->cols > BN_K_MAX) return BN_NO;
  return has_known_layout(*t) ? BN_NATIVE : BN_PACK;
}
static inline uint32_t kv_dtype_of(const bn_plan& plan) { return plan.kv_dtype == 0 ? uint32_t{BN_DT_F32} : plan.kv_dtype; }

// ----------------------------------------------------------------------------------------------- what is refused
// Everything that changes results must be known (rule 4).
static inline bn_status check_known(const bn_arch& a, const bn_plan& plan, bn_error* error) {
  const uint64_t unknown = a.must & ~uint64_t{BN_M_ATTN_SUB_NORM | BN_M_FFN_SUB_NORM | BN_M_IN_NORMS | BN_M_QK_NORM |
                                              BN_M_POST_NORMS | BN_M_TIED_HEAD | BN_M_NO_HEAD | BN_M_L2_POOLED | BN_M_BIASES};
  if (unknown != 0) {
    return set_error(error, BN_E_UNSUPPORTED, "model: must bits 0x%llx are not known to this engine",
                     static_cast<unsigned long long>(unknown));
  }
  const struct {
    const char* what;
    uint32_t value;
    bool known;
  } choices[] = {{"activation", a.act, a.act >= BN_ACT_RELU2 && a.act <= BN_ACT_GELU_TANH},
                 {"activation quantiser", a.act_quant, a.act_quant == BN_AQ_TOKEN_I8},
                 {"RoPE kind", a.rope_kind, a.rope_kind == BN_ROPE_HALVES || a.rope_kind == BN_ROPE_PAIRS},
                 {"pooling", a.pooling, a.pooling <= BN_POOL_FIRST},
                 {"KV dtype", plan.kv_dtype, plan.kv_dtype == 0 || plan.kv_dtype == BN_DT_F32 || plan.kv_dtype == BN_DT_F16}};
  for (const auto& c : choices) {
    if (!c.known) return set_error(error, BN_E_UNSUPPORTED, "model: %s %u is not known to this engine", c.what, c.value);
  }
  return BN_OK;
}

static inline bn_status check_sizes(const bn_arch& a, const bn_plan& plan, bn_error* error) {
  const uint64_t widest = std::max({uint64_t{a.n_embd}, uint64_t{a.n_ff}, uint64_t{a.n_heads} * a.head_dim});
  const bool heads = a.n_kv_heads != 0 && a.n_heads != 0 && a.n_heads % a.n_kv_heads == 0 && a.head_dim != 0;
  if (a.n_layers == 0 || a.n_embd == 0 || a.n_ff == 0 || a.n_vocab == 0 || a.n_vocab > 0x7FFFFFFFu || widest > BN_K_MAX ||
      !heads || a.rope_dim % 2 != 0 || a.rope_dim > a.head_dim || !(a.norm_eps >= 0.0f)) {
    return set_error(error, BN_E_INVALID,
                     "model: impossible sizes (%u layers, width %u, ffn %u, vocabulary %u, heads %u/%u of %u, rope %u)",
                     a.n_layers, a.n_embd, a.n_ff, a.n_vocab, a.n_heads, a.n_kv_heads, a.head_dim, a.rope_dim);
  }
  if (plan.n_ctx == 0 || plan.n_ctx > a.n_ctx_max) {
    return set_error(error, BN_E_INVALID, "plan: a context of %u, the model has 1 to %u", plan.n_ctx, a.n_ctx_max);
  }
  return BN_OK;
}

// The structs, and everything in them that needs no tensor.
static inline bn_status check_description(const bn_model_desc* desc, const bn_plan* plan, bn_error* error) {
  if (desc == nullptr || !BN_HAS(desc, read_t2) || desc->arch == nullptr || !BN_HAS(desc->arch, family)) {
    return set_error(error, BN_E_INVALID, "model: the description is missing or cut short");
  }
  if (plan == nullptr || !BN_HAS(plan, kv_dtype)) return set_error(error, BN_E_INVALID, "plan: missing or cut short");
  if (desc->n_tensors != 0 && (desc->tensors == nullptr || desc->tensor_stride < offsetof(bn_tensor, format) + 8)) {
    return set_error(error, BN_E_INVALID, "model: %llu tensors without a list, or their stride of %u is too small",
                     static_cast<unsigned long long>(desc->n_tensors), desc->tensor_stride);
  }
  if (const bn_status bad = check_known(*desc->arch, *plan, error); bad != BN_OK) return bad;
  return check_sizes(*desc->arch, *plan, error);
}

// ----------------------------------------------------------------------------------------------- the tensors
// One tensor that bn_arch promises: what it must be.
struct ExpectedTensor {
  enum Kind { kGain, kDense, kTernary };  // a vector of cols f32; embedding or head; one of the seven projections
  uint32_t role;
  std::string name;
  uint32_t layer, rows, cols;
  Kind kind;
  bool optional;
};

// Index 0..6 of the projection that a role belongs to (its matrix, its input norm, its bias): Q, K, V, O, gate, up, down.
// 7: none.
static inline uint32_t projection_of(uint32_t role) {
  if (role >= BN_T_ATTN_Q && role <= BN_T_ATTN_OUTPUT) return role - BN_T_ATTN_Q;
  if (role >= BN_T_FFN_GATE && role <= BN_T_FFN_DOWN) return role - BN_T_FFN_GATE + 4;
  if (role >= BN_T_ATTN_Q_NORM_IN && role <= BN_T_FFN_DOWN_NORM_IN) return role - BN_T_ATTN_Q_NORM_IN;
  if (role >= BN_T_ATTN_Q_BIAS && role <= BN_T_FFN_DOWN_BIAS) return role - BN_T_ATTN_Q_BIAS;
  return 7;
}

namespace detail {

// Collects the list of expected_tensors().
class Expectation {
 public:
  explicit Expectation(const bn_arch& a) : must_(a.must) {}

  void gain(uint32_t role, const std::string& name, uint32_t layer, uint32_t n, bool optional = false) {
    list.push_back({role, name, layer, 1, n, ExpectedTensor::kGain, optional});
  }
  void gain_if(uint64_t bit, uint32_t role, const char* name, uint32_t layer, uint32_t n) {
    if ((must_ & bit) != 0) gain(role, name, layer, n);
  }
  void dense(uint32_t role, const char* name, uint32_t rows, uint32_t cols) {
    list.push_back({role, name, BN_NO_LAYER, rows, cols, ExpectedTensor::kDense, false});
  }
  void matrix(uint32_t role, const std::string& name, uint32_t layer, uint32_t rows, uint32_t cols) {
    const uint32_t index = projection_of(role);
    list.push_back({role, name, layer, rows, cols, ExpectedTensor::kTernary, false});
    if ((must_ & BN_M_IN_NORMS) != 0) gain(BN_T_ATTN_Q_NORM_IN + index, name + "_norm_in", layer, cols);
    if ((must_ & BN_M_BIASES) != 0) gain(BN_T_ATTN_Q_BIAS + index, name + ".bias", layer, rows, true);
  }

  std::vector<ExpectedTensor> list;

 private:
  uint64_t must_;
};

}  // namespace detail

// Every tensor of the model, in the order of a pass through it.
static inline std::vector<ExpectedTensor> expected_tensors(const bn_arch& a) {
  const uint32_t D = a.n_embd, F = a.n_ff, HD = a.n_heads * a.head_dim, GD = a.n_kv_heads * a.head_dim;
  detail::Expectation e(a);
  e.dense(BN_T_TOKEN_EMBD, "token_embd", a.n_vocab, D);
  if ((a.must & (BN_M_TIED_HEAD | BN_M_NO_HEAD)) == 0) e.dense(BN_T_OUTPUT, "output", a.n_vocab, D);
  e.gain(BN_T_OUTPUT_NORM, "output_norm", BN_NO_LAYER, D);
  for (uint32_t n = 0; n < a.n_layers; ++n) {
    e.gain(BN_T_ATTN_NORM, "attn_norm", n, D);
    e.matrix(BN_T_ATTN_Q, "attn_q", n, HD, D);
    e.matrix(BN_T_ATTN_K, "attn_k", n, GD, D);
    e.matrix(BN_T_ATTN_V, "attn_v", n, GD, D);
    e.gain_if(BN_M_QK_NORM, BN_T_ATTN_Q_NORM, "attn_q_norm", n, a.head_dim);
    e.gain_if(BN_M_QK_NORM, BN_T_ATTN_K_NORM, "attn_k_norm", n, a.head_dim);
    e.gain_if(BN_M_ATTN_SUB_NORM, BN_T_ATTN_SUB_NORM, "attn_sub_norm", n, HD);
    e.matrix(BN_T_ATTN_OUTPUT, "attn_output", n, D, HD);
    e.gain_if(BN_M_POST_NORMS, BN_T_POST_ATTN_NORM, "post_attention_norm", n, D);
    e.gain(BN_T_FFN_NORM, "ffn_norm", n, D);
    e.matrix(BN_T_FFN_GATE, "ffn_gate", n, F, D);
    e.matrix(BN_T_FFN_UP, "ffn_up", n, F, D);
    e.gain_if(BN_M_FFN_SUB_NORM, BN_T_FFN_SUB_NORM, "ffn_sub_norm", n, F);
    e.matrix(BN_T_FFN_DOWN, "ffn_down", n, D, F);
    e.gain_if(BN_M_POST_NORMS, BN_T_POST_FFN_NORM, "post_ffw_norm", n, D);
  }
  return e.list;
}

// Index of the tensor in the description, or n_tensors.
static inline uint64_t find_tensor(const bn_model_desc& desc, uint32_t role, uint32_t layer) {
  uint64_t i = 0;
  while (i < desc.n_tensors && (tensor_at(desc, i).role != role || tensor_at(desc, i).layer != layer)) ++i;
  return i;
}

static inline bn_status check_tensor(const bn_model_desc& desc, const ExpectedTensor& e, bn_error* error) {
  const int layer = static_cast<int>(e.layer);  // -1: none
  const uint64_t index = find_tensor(desc, e.role, e.layer);
  if (index == desc.n_tensors && e.optional) return BN_OK;
  if (index == desc.n_tensors) return set_error(error, BN_E_DATA, "model: no tensor %s (layer %d)", e.name.c_str(), layer);
  const bn_tensor& t = tensor_at(desc, index);
  const bool is_gain = e.kind == ExpectedTensor::kGain;
  const bool shape = is_gain ? uint64_t{t.rows} * t.cols == e.cols : t.rows == e.rows && t.cols == e.cols;
  if (!shape) {
    return set_error(error, BN_E_DATA, "model: %s (layer %d) is %ux%u, expected %ux%u", e.name.c_str(), layer, t.rows, t.cols,
                     e.rows, e.cols);
  }
  const bool known = is_gain                              ? t.dtype == BN_DT_F32
                     : e.kind == ExpectedTensor::kTernary ? t.dtype == BN_DT_TERNARY
                                                          : is_dense_tensor(t);
  if (!known) {
    return set_error(error, BN_E_UNSUPPORTED, "model: %s (layer %d) has dtype %u, which cannot be used here", e.name.c_str(),
                     layer, t.dtype);
  }
  const bool has_scales = t.scales != nullptr && (t.n_scales == 1 || t.n_scales == t.rows);
  if ((t.dtype == BN_DT_TERNARY || t.dtype == BN_DT_I8_ROW) && !has_scales) {
    return set_error(error, BN_E_DATA, "model: %s (layer %d) has %u scales for %u rows", e.name.c_str(), layer, t.n_scales,
                     t.rows);
  }
  return BN_OK;
}

// Every expected tensor is there, has its shape, its dtype and its scales. Bytes are not looked at.
static inline bn_status check_tensors(const bn_model_desc& desc, bn_error* error) {
  const bn_arch& arch = *desc.arch;
  if (desc.n_tensors < arch.n_layers) {
    return set_error(error, BN_E_DATA, "model: %llu tensors for %u layers", static_cast<unsigned long long>(desc.n_tensors),
                     arch.n_layers);
  }
  for (const ExpectedTensor& e : expected_tensors(arch)) {
    if (const bn_status bad = check_tensor(desc, e, error); bad != BN_OK) return bad;
  }
  return BN_OK;
}

// A tensor whose bytes are about to be read: are they all there? Ternary ones of other layouts come through read_t2.
static inline bn_status check_bytes(const bn_tensor& t, const ExpectedTensor& e, bn_error* error) {
  uint64_t stored = 4ull * e.cols;
  if (e.kind == ExpectedTensor::kTernary) {
    if (!has_known_layout(t)) return BN_OK;
    stored = t.rows * row_bytes(layout_of(t.format), t.cols);
  } else if (e.kind == ExpectedTensor::kDense) {
    stored = t.rows * dense_row_bytes(t.dtype, t.cols);
  }
  if (t.data != nullptr && t.bytes >= stored) return BN_OK;
  return set_error(error, BN_E_DATA, "model: %s (layer %d) has too few bytes", e.name.c_str(), static_cast<int>(e.layer));
}

}  // namespace bn::kit
