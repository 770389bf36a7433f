// conformance/toy_model.cpp - see toy_model.h.
#include "toy_model.h"

#include <algorithm>
#include <cstring>

#include "bitnet/kit/rope_tables.hpp"

namespace bitnet::conformance {
namespace {

using bn::kit::Layout;
using bn::kit::row_bytes;

constexpr uint32_t kWidth = 128, kFf = 160, kLayers = 2;

const bn_format kT2 = {sizeof(bn_format), 2, 1, 1, 1, 4, 0, "bn.t2", BN_FINGERPRINT_T2};
const bn_format kI2s128 = {sizeof(bn_format), 2, 1, 1, 1, 128, 0, "bn.i2s128", BN_FINGERPRINT_I2S128};
const bn_format kStrange = {sizeof(bn_format), 2, 1, 1, 1, 4, 0, "strange", {1, 2, 3}};

constexpr uint64_t kSubNorms = BN_M_ATTN_SUB_NORM | BN_M_FFN_SUB_NORM;

}  // namespace

const ToyShape kUsualToy = {"usual", kSubNorms | BN_M_TIED_HEAD};

const std::vector<ToyShape> kToyFamilies = {
    {"bitnet", kSubNorms | BN_M_TIED_HEAD},
    {"bitnet_silu", kSubNorms | BN_M_TIED_HEAD, BN_ACT_SILU},
    {"llama_pairs", 0, BN_ACT_SILU, BN_ROPE_PAIRS},
    {"llama_halves", 0, BN_ACT_SILU, BN_ROPE_HALVES, 6, 3, 16, 16},
    {"gelu", 0, BN_ACT_GELU_TANH},
    {"attn_sub_norm_only", BN_M_ATTN_SUB_NORM},
    {"ffn_sub_norm_only", BN_M_FFN_SUB_NORM},
    {"window", kSubNorms, BN_ACT_RELU2, BN_ROPE_HALVES, 4, 2, 20, 16, 50},
    {"kv_f16", kSubNorms, BN_ACT_RELU2, BN_ROPE_HALVES, 4, 2, 20, 16, 0, BN_DT_F16},
    {"f16_head", kSubNorms | BN_M_TIED_HEAD, BN_ACT_RELU2, BN_ROPE_HALVES, 4, 2, 20, 16, 0, BN_DT_F32, BN_DT_F16},
    {"embd_scale", 0, BN_ACT_SILU, BN_ROPE_HALVES, 4, 4, 20, 20, 0, BN_DT_F32, BN_DT_F32, 11.3f},
    {"in_norms", kSubNorms | BN_M_IN_NORMS},
    {"qk_norms", BN_M_QK_NORM},
    {"post_norms", BN_M_POST_NORMS},
    {"biases", BN_M_BIASES},
    {"embedding", BN_M_IN_NORMS | BN_M_QK_NORM | BN_M_POST_NORMS | BN_M_TIED_HEAD, BN_ACT_GELU_TANH, BN_ROPE_HALVES, 2, 1, 256,
     256}};

ToyModel::ToyModel(const ToyShape& shape) : random_(shape.must + shape.act * 100 + shape.head_dim) {
  arch.struct_size = sizeof arch;
  arch.n_layers = kLayers, arch.n_embd = kWidth, arch.n_ff = kFf, arch.n_vocab = kVocabulary, arch.n_ctx_max = kContext;
  arch.n_heads = shape.n_heads, arch.n_kv_heads = shape.n_kv_heads, arch.head_dim = shape.head_dim;
  arch.act = shape.act, arch.act_quant = BN_AQ_TOKEN_I8, arch.rope_kind = shape.rope_kind, arch.rope_dim = shape.rope_dim;
  arch.window = shape.window;
  arch.norm_eps = 1e-5f, arch.attn_scale = 0.25f, arch.embd_scale = shape.embd_scale, arch.rope_base = 1e4;
  arch.must = shape.must;
  std::strcpy(arch.family, "toy");
  plan = {sizeof(bn_plan), kContext, 2, 64, shape.kv_dtype, 0};
  cosine_.resize(size_t{kContext} * (shape.rope_dim / 2)), sine_.resize(cosine_.size());
  bn::kit::fill_rope_tables(0, kContext, shape.rope_dim, 1e4, 1.0, nullptr, cosine_.data(), sine_.data());
  const uint32_t q = shape.n_heads * shape.head_dim, kv = shape.n_kv_heads * shape.head_dim;
  add_dense(BN_T_TOKEN_EMBD, BN_NO_LAYER, kVocabulary, kWidth, shape.head_dtype);
  if ((shape.must & (BN_M_TIED_HEAD | BN_M_NO_HEAD)) == 0)
    add_dense(BN_T_OUTPUT, BN_NO_LAYER, kVocabulary, kWidth, shape.head_dtype);
  add_dense(BN_T_OUTPUT_NORM, BN_NO_LAYER, 1, kWidth);
  for (uint32_t n = 0; n < kLayers; ++n) {
    add_dense(BN_T_ATTN_NORM, n, 1, kWidth), add_dense(BN_T_FFN_NORM, n, 1, kWidth);
    if ((shape.must & BN_M_ATTN_SUB_NORM) != 0) add_dense(BN_T_ATTN_SUB_NORM, n, 1, q);
    if ((shape.must & BN_M_FFN_SUB_NORM) != 0) add_dense(BN_T_FFN_SUB_NORM, n, 1, kFf);
    add_ternary(BN_T_ATTN_Q, n, q, kWidth, Layout::kI2s128, true);
    add_ternary(BN_T_ATTN_K, n, kv, kWidth, Layout::kT2, true);
    add_ternary(BN_T_ATTN_V, n, kv, kWidth, Layout::kT2, false);
    add_ternary(BN_T_ATTN_OUTPUT, n, kWidth, q, Layout::kUnknown, false);
    add_ternary(BN_T_FFN_GATE, n, kFf, kWidth, Layout::kI2s128, false);
    add_ternary(BN_T_FFN_UP, n, kFf, kWidth, Layout::kUnknown, false);
    add_ternary(BN_T_FFN_DOWN, n, kWidth, kFf, Layout::kT2, true);
    const uint32_t cols[] = {kWidth, kWidth, kWidth, q, kWidth, kWidth, kFf};  // of the seven projections
    for (uint32_t i = 0; (shape.must & BN_M_IN_NORMS) != 0 && i < 7; ++i) add_dense(BN_T_ATTN_Q_NORM_IN + i, n, 1, cols[i]);
    if ((shape.must & BN_M_QK_NORM) != 0) add_dense(BN_T_ATTN_Q_NORM, n, 1, shape.head_dim);
    if ((shape.must & BN_M_QK_NORM) != 0) add_dense(BN_T_ATTN_K_NORM, n, 1, shape.head_dim);
    if ((shape.must & BN_M_POST_NORMS) != 0) add_dense(BN_T_POST_ATTN_NORM, n, 1, kWidth);
    if ((shape.must & BN_M_POST_NORMS) != 0) add_dense(BN_T_POST_FFN_NORM, n, 1, kWidth);
    if ((shape.must & BN_M_BIASES) != 0) add_dense(BN_T_ATTN_K_BIAS, n, 1, kv);  // a bias is optional: two of seven have one
    if ((shape.must & BN_M_BIASES) != 0) add_dense(BN_T_FFN_DOWN_BIAS, n, 1, kWidth);
  }
}

bn_model_desc ToyModel::description() {
  bn_model_desc d = {};
  d.struct_size = sizeof d;
  d.tensor_stride = sizeof(bn_tensor);
  d.arch = &arch;
  d.tensors = tensors.data();
  d.n_tensors = tensors.size();
  d.rope_cos = cosine_.data(), d.rope_sin = sine_.data();
  d.model_id[0] = 1;
  d.read_ctx = this;
  d.read_t2 = read_t2;
  return d;
}

void ToyModel::spoil_what_is_not_persistent() {
  for (std::vector<uint8_t>* bytes : passing_) std::fill(bytes->begin(), bytes->end(), uint8_t{0xFF});
  for (std::vector<float>& scales : scales_) std::fill(scales.begin(), scales.end(), -1.0f);
  std::fill(cosine_.begin(), cosine_.end(), 9.0f);
}

std::vector<int32_t> ToyModel::prompt(uint32_t n) const {
  Random random(n + 17);
  std::vector<int32_t> tokens(n);
  for (int32_t& id : tokens) id = static_cast<int32_t>(random.below(kVocabulary));
  return tokens;
}

bn_tensor& ToyModel::add(uint32_t role, uint32_t layer, uint32_t rows, uint32_t cols) {
  bn_tensor t = {};
  t.struct_size = sizeof t;
  t.role = role, t.layer = layer, t.rows = rows, t.cols = cols;
  tensors.push_back(t);
  return tensors.back();
}

// F32 or F16; a norm's gains are around 1. Embeddings are small, so that many tokens have a chance.
void ToyModel::add_dense(uint32_t role, uint32_t layer, uint32_t rows, uint32_t cols, uint32_t dtype) {
  std::vector<float>& values = values_.emplace_back(size_t{rows} * cols);
  for (float& v : values) v = rows == 1 ? random_.uniform(0.7f, 1.3f) : random_.uniform(-0.3f, 0.3f);
  std::vector<uint8_t>& bytes = stored_.emplace_back(values.size() * (dtype == BN_DT_F16 ? 2 : 4));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = bn::kit::f32_to_f16(values[i]);
    dtype == BN_DT_F16 ? std::memcpy(&bytes[2 * i], &half, 2) : std::memcpy(&bytes[4 * i], &values[i], 4);
  }
  bn_tensor& t = add(role, layer, rows, cols);
  t.dtype = dtype;
  t.data = bytes.data(), t.bytes = bytes.size(), t.flags = BN_TENSOR_PERSISTENT;
  t2_.emplace_back();
}

void ToyModel::add_ternary(uint32_t role, uint32_t layer, uint32_t rows, uint32_t cols, Layout layout, bool persistent) {
  std::vector<int8_t> trits(cols);
  std::vector<uint8_t>& t2 = t2_.emplace_back(rows * row_bytes(Layout::kT2, cols));
  std::vector<uint8_t>& stored = stored_.emplace_back(rows * row_bytes(layout, cols));
  for (uint32_t r = 0; r < rows; ++r) {
    for (int8_t& w : trits) w = random_.trit();
    bn::kit::write_row_t2(trits.data(), cols, &t2[r * row_bytes(Layout::kT2, cols)]);
    uint8_t* row = &stored[r * row_bytes(layout, cols)];
    (layout == Layout::kI2s128 ? bn::kit::write_row_i2s128 : bn::kit::write_row_t2)(trits.data(), cols, row);
  }
  std::vector<float>& scales = scales_.emplace_back(role == BN_T_FFN_UP ? rows : 1);
  for (float& s : scales) s = random_.uniform(0.05f, 0.15f);
  bn_tensor& t = add(role, layer, rows, cols);
  t.dtype = BN_DT_TERNARY;
  t.n_scales = static_cast<uint32_t>(scales.size()), t.scales = scales.data();
  t.format = layout == Layout::kT2 ? &kT2 : layout == Layout::kI2s128 ? &kI2s128 : &kStrange;
  if (layout != Layout::kUnknown) t.data = stored.data(), t.bytes = stored.size();
  if (persistent) t.flags = BN_TENSOR_PERSISTENT;
  if (!persistent) passing_.push_back(&stored);
}

bn_status ToyModel::read_t2(void* context, uint64_t tensor, uint32_t row0, uint32_t row1, void* dst, uint64_t bytes) {
  const ToyModel& m = *static_cast<const ToyModel*>(context);
  if (tensor >= m.tensors.size() || row0 > row1 || row1 > m.tensors[tensor].rows) return BN_E_INVALID;
  const uint64_t row = row_bytes(bn::kit::Layout::kT2, m.tensors[tensor].cols);
  if (m.reads_fail || bytes < (row1 - row0) * row) return BN_E_DATA;
  std::memcpy(dst, &m.t2_[tensor][row0 * row], (row1 - row0) * row);
  return BN_OK;
}

}  // namespace bitnet::conformance
