// engine/weights.cpp - places weights.
#include "weights.h"

#include "../device/t2.h"
#include "bitnet/kit/model_description.hpp"

namespace bn_cuda {
namespace {

using bn::kit::find_tensor;
using bn::kit::tensor_at;

class Placement {
 public:
  Placement(const bn_model_desc& desc, const bn_plan& plan, Carver& carver, Copies& copies)
      : desc_(desc), arch_(*desc.arch), plan_(plan), carver_(carver), copies_(copies) {}

  Weights run() {
    Weights w{};
    w.token_embd = table(BN_T_TOKEN_EMBD);
    if (!has(BN_M_NO_HEAD)) w.head = has(BN_M_TIED_HEAD) ? w.token_embd : table(BN_T_OUTPUT);
    w.output_norm = gain(BN_T_OUTPUT_NORM, BN_NO_LAYER);
    const uint64_t n_angles = uint64_t{plan_.n_ctx} * (arch_.rope_dim / 2);
    w.rope_cos = copied<float>(desc_.rope_cos, n_angles);
    w.rope_sin = copied<float>(desc_.rope_sin, n_angles);
    for (uint32_t n = 0; n < arch_.n_layers; ++n) w.layers.push_back(layer(n));
    return w;
  }

 private:
  bool has(uint64_t bit) const { return (arch_.must & bit) != 0; }

  template <class T>
  T* copied(const void* from, uint64_t n) {
    T* const to = carver_.take<T>(n);
    if (n != 0) copies_.plain.push_back({to, from, n * sizeof(T)});
    return to;
  }

  DeviceTable table(uint32_t role) {
    const bn_tensor& t = tensor_at(desc_, find_tensor(desc_, role, BN_NO_LAYER));
    uint8_t* const rows = copied<uint8_t>(t.data, t.rows * bn::kit::dense_row_bytes(t.dtype, t.cols));
    const bool scaled = t.dtype == BN_DT_I8_ROW;
    return {rows, scaled ? copied<float>(t.scales, t.n_scales) : nullptr, t.dtype, scaled ? t.n_scales : 0};
  }

  // null: the model has none.
  float* gain(uint32_t role, uint32_t n) {
    const uint64_t index = find_tensor(desc_, role, n);
    if (index == desc_.n_tensors) return nullptr;
    const bn_tensor& t = tensor_at(desc_, index);
    return copied<float>(t.data, uint64_t{t.rows} * t.cols);
  }
  float* gain_if(uint64_t bit, uint32_t role, uint32_t n) { return has(bit) ? gain(role, n) : nullptr; }

  // The projections `roles` as one matrix of `rows` rows.
  DeviceLinear linear(const std::vector<uint32_t>& roles, uint32_t n, uint32_t rows, bool pairs, const char* name) {
    MatrixCopy m{};
    m.pairs = pairs;
    m.name = name;
    bool any_bias = false;
    for (const uint32_t role : roles) {
      const uint32_t index = bn::kit::projection_of(role);
      m.tensors.push_back(find_tensor(desc_, role, n));
      m.biases.push_back(has(BN_M_BIASES) ? find_tensor(desc_, BN_T_ATTN_Q_BIAS + index, n) : desc_.n_tensors);
      any_bias = any_bias || m.biases.back() != desc_.n_tensors;
    }
    const uint32_t cols = tensor_at(desc_, m.tensors[0]).cols;
    m.to = {carver_.take<uint8_t>(t2_bytes(rows, cols)),
            carver_.take<float>(rows),
            any_bias ? carver_.take<float>(rows) : nullptr,
            gain_if(BN_M_IN_NORMS, BN_T_ATTN_Q_NORM_IN + bn::kit::projection_of(roles[0]), n),
            rows,
            cols,
            0};
    copies_.matrices.push_back(m);
    return m.to;
  }

  // Apart: each at its own place of the output row.
  std::vector<DeviceLinear> apart(const std::vector<uint32_t>& roles, uint32_t n, const std::vector<uint32_t>& rows,
                                  const std::vector<uint32_t>& at, const char* name) {
    std::vector<DeviceLinear> list;
    for (size_t i = 0; i < roles.size(); ++i) {
      list.push_back(linear({roles[i]}, n, rows[i], false, name));
      list.back().y_at = at[i];
    }
    return list;
  }

  DeviceLayer layer(uint32_t n) {
    const uint32_t D = arch_.n_embd, F = arch_.n_ff, HD = arch_.n_heads * arch_.head_dim,
                   GD = arch_.n_kv_heads * arch_.head_dim;
    const uint32_t padded = (F + 7) / 8 * 8;
    const std::vector<uint32_t> qkv = {BN_T_ATTN_Q, BN_T_ATTN_K, BN_T_ATTN_V}, gate_up = {BN_T_FFN_GATE, BN_T_FFN_UP};
    DeviceLayer l{};
    l.attn_norm = gain(BN_T_ATTN_NORM, n);
    l.qkv = has(BN_M_IN_NORMS) ? apart(qkv, n, {HD, GD, GD}, {0, HD, HD + GD}, "attn_q, attn_k or attn_v")
                               : std::vector{linear(qkv, n, HD + 2 * GD, false, "attn_q, attn_k or attn_v")};
    l.q_norm = gain_if(BN_M_QK_NORM, BN_T_ATTN_Q_NORM, n);
    l.k_norm = gain_if(BN_M_QK_NORM, BN_T_ATTN_K_NORM, n);
    l.attn_sub_norm = gain_if(BN_M_ATTN_SUB_NORM, BN_T_ATTN_SUB_NORM, n);
    l.output = {linear({BN_T_ATTN_OUTPUT}, n, D, false, "attn_output")};
    l.post_attn_norm = gain_if(BN_M_POST_NORMS, BN_T_POST_ATTN_NORM, n);
    l.ffn_norm = gain(BN_T_FFN_NORM, n);
    l.gate_up = has(BN_M_IN_NORMS) ? apart(gate_up, n, {F, F}, {0, padded}, "ffn_gate or ffn_up")
                                   : std::vector{linear(gate_up, n, 2 * padded, true, "ffn_gate or ffn_up")};
    l.ffn_sub_norm = gain_if(BN_M_FFN_SUB_NORM, BN_T_FFN_SUB_NORM, n);
    l.down = {linear({BN_T_FFN_DOWN}, n, D, false, "ffn_down")};
    l.post_ffn_norm = gain_if(BN_M_POST_NORMS, BN_T_POST_FFN_NORM, n);
    return l;
  }

  const bn_model_desc& desc_;
  const bn_arch& arch_;
  const bn_plan& plan_;
  Carver& carver_;
  Copies& copies_;
};

}  // namespace

RowSource row_source(const bn_model_desc& desc, const MatrixCopy& m, uint32_t r) {
  const uint32_t n_parts = static_cast<uint32_t>(m.tensors.size());
  if (m.pairs) {
    const uint32_t row = r / 16 * 8 + r % 8;
    return row < tensor_at(desc, m.tensors[0]).rows ? RowSource{r % 16 / 8, row} : RowSource{n_parts, 0};
  }
  for (uint32_t part = 0; part < n_parts; ++part) {
    const uint32_t rows = tensor_at(desc, m.tensors[part]).rows;
    if (r < rows) return {part, r};
    r -= rows;
  }
  return {n_parts, 0};
}

Weights lay_out(const bn_model_desc& desc, const bn_plan& plan, Carver& carver, Copies* copies) {
  Copies unused;
  return Placement(desc, plan, carver, copies != nullptr ? *copies : unused).run();
}

}  // namespace bn_cuda
