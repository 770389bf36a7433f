// kit/toy_model.h - a decoder of a few thousand random weights as a bn_model_desc, and shorthands for an engine's arguments.
//
// Its matrices lie in every way an engine meets: i2s128 in place, bn.t2 in place, bn.t2 that is not persistent, read_t2 only.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "bitnet/engine.h"
#include "bitnet/kit/rope_tables.hpp"
#include "bitnet/kit/ternary.hpp"

namespace bitnet::toy {

using bn::kit::Layout;

inline bn_error empty_error() {
  bn_error e = {};
  e.struct_size = sizeof e;
  return e;
}

class Model {
 public:
  explicit Model(uint64_t must = BN_M_ATTN_SUB_NORM | BN_M_FFN_SUB_NORM) {
    arch = {};
    arch.struct_size = sizeof arch;
    arch.n_layers = 2, arch.n_embd = 128, arch.n_ff = 160, arch.n_vocab = 60, arch.n_ctx_max = 300;
    arch.n_heads = 4, arch.n_kv_heads = 2, arch.head_dim = 20;
    arch.act = BN_ACT_RELU2, arch.act_quant = BN_AQ_TOKEN_I8, arch.rope_kind = BN_ROPE_HALVES, arch.rope_dim = 16;
    arch.norm_eps = 1e-5f, arch.attn_scale = 0.25f, arch.embd_scale = 1.0f, arch.rope_base = 1e4;
    arch.must = must;
    plan = {sizeof(bn_plan), 300, 1, 64, BN_DT_F32, 0};
    cosine_.resize(300 * 8), sine_.resize(300 * 8);
    bn::kit::fill_rope_tables(0, 300, 16, 1e4, 1.0, nullptr, cosine_.data(), sine_.data());
    fill();
  }

  bn_arch arch;
  bn_plan plan;
  std::vector<bn_tensor> tensors;
  bool reads_fail = false;

  bn_model_desc desc() {
    bn_model_desc d = {};
    d.struct_size = sizeof d;
    d.tensor_stride = sizeof(bn_tensor);
    d.arch = &arch;
    d.tensors = tensors.data();
    d.n_tensors = tensors.size();
    d.rope_cos = cosine_.data(), d.rope_sin = sine_.data();
    d.read_ctx = this;
    d.read_t2 = read_t2;
    return d;
  }

  bn_tensor& tensor(uint32_t role, uint32_t layer) {
    for (bn_tensor& t : tensors) {
      if (t.role == role && t.layer == layer) return t;
    }
    throw std::runtime_error("no such tensor");
  }
  // After load(): what is not persistent must not be looked at again.
  void spoil_what_is_not_persistent() {
    for (std::vector<uint8_t>* bytes : passing_) std::fill(bytes->begin(), bytes->end(), uint8_t{0xFF});
    for (std::vector<float>& scales : scales_) std::fill(scales.begin(), scales.end(), -1.0f);
    std::fill(cosine_.begin(), cosine_.end(), 9.0f);
  }

 private:
  // In [-1, 1), never the same twice.
  float next() { return static_cast<float>(static_cast<int32_t>(state_ = state_ * 1664525u + 1013904223u)) * 0x1p-31f; }

  void fill() {
    const uint32_t D = arch.n_embd, F = arch.n_ff, HD = 80, GD = 40, V = arch.n_vocab;
    dense(BN_T_TOKEN_EMBD, BN_NO_LAYER, V, D);
    if ((arch.must & BN_M_TIED_HEAD) == 0) dense(BN_T_OUTPUT, BN_NO_LAYER, V, D);
    dense(BN_T_OUTPUT_NORM, BN_NO_LAYER, 1, D);
    for (uint32_t n = 0; n < arch.n_layers; ++n) {
      dense(BN_T_ATTN_NORM, n, 1, D), dense(BN_T_FFN_NORM, n, 1, D);
      if ((arch.must & BN_M_ATTN_SUB_NORM) != 0) dense(BN_T_ATTN_SUB_NORM, n, 1, HD);
      if ((arch.must & BN_M_FFN_SUB_NORM) != 0) dense(BN_T_FFN_SUB_NORM, n, 1, F);
      ternary(BN_T_ATTN_Q, n, HD, D, Layout::kI2s128, true);
      ternary(BN_T_ATTN_K, n, GD, D, Layout::kT2, true);
      ternary(BN_T_ATTN_V, n, GD, D, Layout::kT2, false);
      ternary(BN_T_ATTN_OUTPUT, n, D, HD, Layout::kUnknown, false);
      ternary(BN_T_FFN_GATE, n, F, D, Layout::kI2s128, false);
      ternary(BN_T_FFN_UP, n, F, D, Layout::kUnknown, false);
      ternary(BN_T_FFN_DOWN, n, D, F, Layout::kT2, true);
    }
  }

  bn_tensor& add(uint32_t role, uint32_t layer, uint32_t rows, uint32_t cols) {
    bn_tensor t = {};
    t.struct_size = sizeof t;
    t.role = role, t.layer = layer, t.rows = rows, t.cols = cols;
    tensors.push_back(t);
    return tensors.back();
  }

  // F32, a norm's gains around 1.
  void dense(uint32_t role, uint32_t layer, uint32_t rows, uint32_t cols) {
    std::vector<float>& values = values_.emplace_back(size_t{rows} * cols);
    for (float& v : values) v = rows == 1 ? 1.0f + 0.3f * next() : next();
    bn_tensor& t = add(role, layer, rows, cols);
    t.dtype = BN_DT_F32;
    t.data = values.data(), t.bytes = 4 * values.size(), t.flags = BN_TENSOR_PERSISTENT;
    t2_.emplace_back();
  }

  void ternary(uint32_t role, uint32_t layer, uint32_t rows, uint32_t cols, Layout layout, bool persistent) {
    static const bn_format formats[] = {{sizeof(bn_format), 2, 1, 1, 1, 4, 0, "bn.t2", BN_FINGERPRINT_T2},
                                        {sizeof(bn_format), 2, 1, 1, 1, 128, 0, "bn.i2s128", BN_FINGERPRINT_I2S128},
                                        {sizeof(bn_format), 2, 1, 1, 1, 4, 0, "strange", {1, 2, 3}}};
    std::vector<int8_t> trits(cols);
    std::vector<uint8_t>& t2 = t2_.emplace_back(rows * bn::kit::row_bytes(Layout::kT2, cols));
    std::vector<uint8_t>& stored = stored_.emplace_back(rows * bn::kit::row_bytes(layout, cols));
    for (uint32_t r = 0; r < rows; ++r) {
      for (int8_t& w : trits) w = static_cast<int8_t>((next() > 0.3f) - (next() > 0.3f));
      bn::kit::write_row_t2(trits.data(), cols, &t2[r * bn::kit::row_bytes(Layout::kT2, cols)]);
      uint8_t* row = &stored[r * bn::kit::row_bytes(layout, cols)];
      layout == Layout::kI2s128 ? bn::kit::write_row_i2s128(trits.data(), cols, row)
                                : bn::kit::write_row_t2(trits.data(), cols, row);
    }
    std::vector<float>& scales = scales_.emplace_back(role == BN_T_FFN_UP ? rows : 1);
    for (float& s : scales) s = 0.1f + 0.05f * next();
    bn_tensor& t = add(role, layer, rows, cols);
    t.dtype = BN_DT_TERNARY;
    t.n_scales = static_cast<uint32_t>(scales.size()), t.scales = scales.data();
    t.format = &formats[layout == Layout::kT2 ? 0 : layout == Layout::kI2s128 ? 1 : 2];
    if (layout != Layout::kUnknown) t.data = stored.data(), t.bytes = stored.size();
    if (persistent) t.flags = BN_TENSOR_PERSISTENT;
    if (!persistent) passing_.push_back(&stored);
  }

  static bn_status read_t2(void* context, uint64_t tensor, uint32_t row0, uint32_t row1, void* dst, uint64_t bytes) {
    const Model& m = *static_cast<const Model*>(context);
    const uint64_t row = bn::kit::row_bytes(Layout::kT2, m.tensors[tensor].cols);
    if (m.reads_fail || bytes != (row1 - row0) * row) return BN_E_DATA;
    std::memcpy(dst, &m.t2_[tensor][row0 * row], bytes);
    return BN_OK;
  }

  uint32_t state_ = 12345;
  std::deque<std::vector<float>> values_, scales_;
  std::deque<std::vector<uint8_t>> t2_, stored_;
  std::vector<std::vector<uint8_t>*> passing_;
  std::vector<float> cosine_, sine_;
};

}  // namespace bitnet::toy
