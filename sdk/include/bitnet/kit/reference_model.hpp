// bitnet/kit/reference_model.hpp - a model as an engine holds it: what bn_model_desc says, checked, found by role, kept.
//
// Half of the reference decoder; reference_engine.hpp is the other. Written to be read: single-threaded, heap memory.
// Errors  a status and one sentence. UNSUPPORTED: the model asks for something this decoder does not know (rule 4 of
//         plugin.h). DATA: a tensor is missing or misshapen. INVALID: the structs themselves are wrong.
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
#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/portable_kernels.hpp"

namespace bn::kit {

// The services of bn_call during one call. poll() often: it shows life, and says when to stop.
class CallWatch {
 public:
  explicit CallWatch(const bn_call* call) : call_(call) {}

  bn_status poll(bn_error* error) {
    if (call_ == nullptr) return BN_OK;
    if (call_->heartbeat != nullptr) *call_->heartbeat = *call_->heartbeat + 1;
    if (call_->cancel != nullptr && *call_->cancel != 0) return set_error(error, BN_E_CANCELLED, "cancelled");
    if (call_->budget_ns != 0 && std::chrono::steady_clock::now() - begin_ >= std::chrono::nanoseconds(call_->budget_ns)) {
      return set_error(error, BN_E_TIMEOUT, "the time budget of the call is used up");
    }
    return BN_OK;
  }

 private:
  const bn_call* call_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

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
    if (const bn_status bad = model->check_tensors(*desc, error); bad != BN_OK) return bad;
    if (const bn_status bad = model->keep_all(*desc, call, error); bad != BN_OK) return bad;
    *out = std::move(model);
    return BN_OK;
  }

  // fit(): every check of load() that needs no bytes, and what it would take.
  static bn_status fit(const bn_model_desc* desc, const bn_plan* plan, bn_fit* out, bn_error* error) {
    if (const bn_status bad = check_description(desc, plan, error); bad != BN_OK) return bad;
    ReferenceModel model(*desc->arch, *plan, portable::kTable, nullptr);
    if (const bn_status bad = model.check_tensors(*desc, error); bad != BN_OK) return bad;
    out->n_ctx_fits = plan->n_ctx;
    out->bytes_weights = 0;
    for (uint64_t i = 0; i < desc->n_tensors; ++i) {
      const bn_tensor& t = at(*desc, i);
      if (t.dtype == BN_DT_TERNARY && !has_known_layout(t)) out->bytes_weights += row_bytes(Layout::kT2, t.cols) * t.rows;
    }
    out->bytes_per_token = 2ull * model.arch.n_layers * model.arch.n_kv_heads * model.arch.head_dim * model.kv_bytes();
    out->est_decode_tps = out->est_prefill_tps = 0.0f;
    return BN_OK;
  }

  // accepts(): ternary matrices of any layout, the dense dtypes of the kit.
  static int32_t accepts(const bn_tensor* t) {
    if (t->dtype != BN_DT_TERNARY) return is_dense(*t) ? BN_NATIVE : BN_NO;
    if (t->cols == 0 || t->cols > BN_K_MAX) return BN_NO;
    return has_known_layout(*t) ? BN_NATIVE : BN_PACK;
  }

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
      : arch(a), n_ctx(plan.n_ctx), kv_dtype(plan.kv_dtype == 0 ? uint32_t{BN_DT_F32} : plan.kv_dtype), ops(table), device(d) {}

  static const bn_tensor& at(const bn_model_desc& desc, uint64_t i) {
    return *BN_AT(bn_tensor, desc.tensors, desc.tensor_stride, i);
  }

  // ------------------------------------------------------------------------------------------- what is refused
  static bn_status check_description(const bn_model_desc* desc, const bn_plan* plan, bn_error* error) {
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

  // Everything that changes results must be known (rule 4).
  static bn_status check_known(const bn_arch& a, const bn_plan& plan, bn_error* error) {
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

  static bn_status check_sizes(const bn_arch& a, const bn_plan& plan, bn_error* error) {
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

  // One tensor of the model: what it must be, and where it is kept.
  struct Slot {
    uint32_t role;
    std::string name;
    uint32_t layer, rows, cols;
    bool is_ternary;
    KeptTensor* matrix;  // or
    KeptGain* gain;      // [cols]
    bool optional;
  };

  // Every tensor that bn_arch promises.
  std::vector<Slot> slots() {
    const uint32_t D = arch.n_embd, F = arch.n_ff, V = arch.n_vocab;
    const uint32_t HD = arch.n_heads * arch.head_dim, GD = arch.n_kv_heads * arch.head_dim;
    std::vector<Slot> list;
    const auto gain = [&](uint32_t role, const std::string& name, uint32_t layer, uint32_t n, KeptGain* kept) {
      list.push_back({role, name, layer, 1, n, false, nullptr, kept, false});
    };
    const auto dense = [&](uint32_t role, const char* name, KeptTensor* kept) {
      list.push_back({role, name, BN_NO_LAYER, V, D, false, kept, nullptr, false});
    };
    // The seven projections: the roles of their input norms and biases follow in the same order.
    const auto matrix = [&](uint32_t role, const std::string& name, uint32_t layer, uint32_t rows, uint32_t cols,
                            KeptLinear* kept) {
      const uint32_t index = role < BN_T_FFN_GATE ? role - BN_T_ATTN_Q : role - BN_T_FFN_GATE + 4;
      list.push_back({role, name, layer, rows, cols, true, kept, nullptr, false});
      if (has(BN_M_IN_NORMS)) gain(BN_T_ATTN_Q_NORM_IN + index, name + "_norm_in", layer, cols, &kept->norm_in);
      if (has(BN_M_BIASES))
        list.push_back({BN_T_ATTN_Q_BIAS + index, name + ".bias", layer, 1, rows, false, nullptr, &kept->bias, true});
    };
    dense(BN_T_TOKEN_EMBD, "token_embd", &token_embd);
    if (!has(BN_M_TIED_HEAD | BN_M_NO_HEAD)) dense(BN_T_OUTPUT, "output", &output);
    gain(BN_T_OUTPUT_NORM, "output_norm", BN_NO_LAYER, D, &output_norm);
    layers.resize(arch.n_layers);
    for (uint32_t n = 0; n < arch.n_layers; ++n) {
      ReferenceLayer& l = layers[n];
      gain(BN_T_ATTN_NORM, "attn_norm", n, D, &l.attn_norm);
      matrix(BN_T_ATTN_Q, "attn_q", n, HD, D, &l.attn_q);
      matrix(BN_T_ATTN_K, "attn_k", n, GD, D, &l.attn_k);
      matrix(BN_T_ATTN_V, "attn_v", n, GD, D, &l.attn_v);
      if (has(BN_M_QK_NORM)) gain(BN_T_ATTN_Q_NORM, "attn_q_norm", n, arch.head_dim, &l.attn_q_norm);
      if (has(BN_M_QK_NORM)) gain(BN_T_ATTN_K_NORM, "attn_k_norm", n, arch.head_dim, &l.attn_k_norm);
      if (has(BN_M_ATTN_SUB_NORM)) gain(BN_T_ATTN_SUB_NORM, "attn_sub_norm", n, HD, &l.attn_sub_norm);
      matrix(BN_T_ATTN_OUTPUT, "attn_output", n, D, HD, &l.attn_output);
      if (has(BN_M_POST_NORMS)) gain(BN_T_POST_ATTN_NORM, "post_attention_norm", n, D, &l.post_attn_norm);
      gain(BN_T_FFN_NORM, "ffn_norm", n, D, &l.ffn_norm);
      matrix(BN_T_FFN_GATE, "ffn_gate", n, F, D, &l.ffn_gate);
      matrix(BN_T_FFN_UP, "ffn_up", n, F, D, &l.ffn_up);
      if (has(BN_M_FFN_SUB_NORM)) gain(BN_T_FFN_SUB_NORM, "ffn_sub_norm", n, F, &l.ffn_sub_norm);
      matrix(BN_T_FFN_DOWN, "ffn_down", n, D, F, &l.ffn_down);
      if (has(BN_M_POST_NORMS)) gain(BN_T_POST_FFN_NORM, "post_ffw_norm", n, D, &l.post_ffn_norm);
    }
    return list;
  }

  bn_status check_tensors(const bn_model_desc& desc, bn_error* error) {
    if (desc.n_tensors < arch.n_layers) {
      return set_error(error, BN_E_DATA, "model: %llu tensors for %u layers", static_cast<unsigned long long>(desc.n_tensors),
                       arch.n_layers);
    }
    for (const Slot& slot : slots()) {
      if (const bn_status bad = check_tensor(desc, slot, error); bad != BN_OK) return bad;
    }
    return BN_OK;
  }

  static bn_status check_tensor(const bn_model_desc& desc, const Slot& s, bn_error* error) {
    const int layer = static_cast<int>(s.layer);  // -1: none
    const uint64_t index = find(desc, s);
    if (index == desc.n_tensors && s.optional) return BN_OK;
    if (index == desc.n_tensors) return set_error(error, BN_E_DATA, "model: no tensor %s (layer %d)", s.name.c_str(), layer);
    const bn_tensor& t = at(desc, index);
    const bool shape = s.gain ? uint64_t{t.rows} * t.cols == s.cols : t.rows == s.rows && t.cols == s.cols;
    if (!shape) {
      return set_error(error, BN_E_DATA, "model: %s (layer %d) is %ux%u, expected %ux%u", s.name.c_str(), layer, t.rows, t.cols,
                       s.rows, s.cols);
    }
    const bool known = s.gain ? t.dtype == BN_DT_F32 : s.is_ternary ? t.dtype == BN_DT_TERNARY : is_dense(t);
    if (!known) {
      return set_error(error, BN_E_UNSUPPORTED, "model: %s (layer %d) has dtype %u, which cannot be used here", s.name.c_str(),
                       layer, t.dtype);
    }
    const bool has_scales = t.scales != nullptr && (t.n_scales == 1 || t.n_scales == t.rows);
    if ((t.dtype == BN_DT_TERNARY || t.dtype == BN_DT_I8_ROW) && !has_scales) {
      return set_error(error, BN_E_DATA, "model: %s (layer %d) has %u scales for %u rows", s.name.c_str(), layer, t.n_scales,
                       t.rows);
    }
    return BN_OK;
  }

  // Index of the tensor, or n_tensors.
  static uint64_t find(const bn_model_desc& desc, const Slot& s) {
    uint64_t i = 0;
    while (i < desc.n_tensors && (at(desc, i).role != s.role || at(desc, i).layer != s.layer)) ++i;
    return i;
  }

  static bool is_dense(const bn_tensor& t) {
    const DenseDtype d = dense_dtype(t.dtype);
    return d.block != 0 && t.cols % d.block == 0;
  }
  static bool has_known_layout(const bn_tensor& t) {
    const Layout layout = layout_of(t.format);
    return t.data != nullptr && (layout == Layout::kT2 || (layout == Layout::kI2s128 && t.cols % 128 == 0));
  }

  // --------------------------------------------------------------------------------------------- what is kept
  bn_status keep_all(const bn_model_desc& desc, const bn_call* call, bn_error* error) {
    CallWatch watch(call);
    const uint64_t n_angles = uint64_t{n_ctx} * (arch.rope_dim / 2);
    if (n_angles != 0 && (desc.rope_cos == nullptr || desc.rope_sin == nullptr)) {
      return set_error(error, BN_E_INVALID, "model: no RoPE tables");
    }
    rope_cos.assign(desc.rope_cos, desc.rope_cos + n_angles);
    rope_sin.assign(desc.rope_sin, desc.rope_sin + n_angles);
    for (const Slot& slot : slots()) {
      if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
      const uint64_t index = find(desc, slot);
      if (index == desc.n_tensors) continue;  // optional
      const bn_status bad = slot.gain ? keep_gain(at(desc, index), slot, error) : keep_matrix(desc, index, slot, watch, error);
      if (bad != BN_OK) return bad;
    }
    return BN_OK;
  }

  static bn_status no_bytes(const Slot& s, bn_error* error) {
    return set_error(error, BN_E_DATA, "model: %s (layer %d) has too few bytes", s.name.c_str(), static_cast<int>(s.layer));
  }

  static bn_status keep_gain(const bn_tensor& t, const Slot& s, bn_error* error) {
    if (t.data == nullptr || t.bytes < 4ull * s.cols) return no_bytes(s, error);
    s.gain->resize(s.cols);
    std::memcpy(s.gain->data(), t.data, 4ull * s.cols);
    return BN_OK;
  }

  // A struct of the caller, who may know fewer fields than this header (rule 3): those are zero.
  template <class T>
  static void copy_known(T* to, const T& from) {
    *to = T{};
    std::memcpy(to, &from, from.struct_size < sizeof(T) ? from.struct_size : sizeof(T));
    to->struct_size = sizeof(T);
  }

  static bn_status keep_matrix(const bn_model_desc& desc, uint64_t index, const Slot& s, CallWatch& watch, bn_error* error) {
    KeptTensor& kept = *s.matrix;
    bn_tensor& t = kept.tensor;
    copy_known(&t, at(desc, index));
    kept.scales.assign(t.scales, t.scales + t.n_scales);
    t.scales = kept.scales.data();
    if (s.is_ternary && !has_known_layout(t)) return pull_t2(desc, index, s, watch, error);
    const uint64_t stored = t.rows * (s.is_ternary ? row_bytes(layout_of(t.format), t.cols) : dense_row_bytes(t.dtype, t.cols));
    if (t.data == nullptr || t.bytes < stored) return no_bytes(s, error);
    if (s.is_ternary) copy_known(&kept.format, *t.format), t.format = &kept.format;
    if ((t.flags & BN_TENSOR_PERSISTENT) == 0) {
      const uint8_t* source = static_cast<const uint8_t*>(t.data);
      kept.bytes.assign(source, source + stored);
      t.data = kept.bytes.data();
    }
    return BN_OK;
  }

  // A matrix as bn.t2, about a million weights at a time.
  static bn_status pull_t2(const bn_model_desc& desc, uint64_t index, const Slot& s, CallWatch& watch, bn_error* error) {
    KeptTensor& kept = *s.matrix;
    const uint64_t row = row_bytes(Layout::kT2, s.cols);
    if (desc.read_t2 == nullptr) return set_error(error, BN_E_INVALID, "model: no read_t2");
    kept.bytes.resize(row * s.rows);
    const uint32_t piece = std::max(1u, (1u << 20) / s.cols);
    for (uint32_t r = 0; r < s.rows; r += std::min(piece, s.rows - r)) {
      if (const bn_status stop = watch.poll(error); stop != BN_OK) return stop;
      const uint32_t n = std::min(piece, s.rows - r);
      const bn_status bad = desc.read_t2(desc.read_ctx, index, r, r + n, kept.bytes.data() + r * row, n * row);
      if (bad != BN_OK) {
        return set_error(error, bad, "model: rows %u to %u of %s (layer %d) could not be read", r, r + n, s.name.c_str(),
                         static_cast<int>(s.layer));
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
