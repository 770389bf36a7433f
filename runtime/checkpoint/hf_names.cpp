// checkpoint/hf_names.cpp - the tables of names.
#include "checkpoint/hf_names.h"

#include <fmt/format.h>

namespace bitnet::checkpoint {
namespace {

class Layer {
 public:
  Layer(const HfConfig& config, uint32_t n, std::vector<Place>& out) : c_(config), n_(n), out_(out) {}

  void gain(const char* name, uint64_t size, std::initializer_list<const char*> hf) {
    Place& place = add(name, ".weight", Role::kGain, size, hf, ".weight");
    place.less_one = c_.gains_less_one;
  }
  void matrix(const char* name, uint64_t rows, uint64_t cols, const char* hf, bool biased, bool pairs = false) {
    if (c_.in_norms) add(name, "_norm_in.weight", Role::kGain, cols, {hf}, ".rms_norm.weight", ".norm.weight");
    Place& place = add(name, ".weight", Role::kMatrix, cols, {hf}, ".weight");
    place.rows = rows;
    place.pairs = pairs;
    if (biased) add(name, ".bias", Role::kBias, rows, {hf}, ".bias").pairs = pairs;
  }

 private:
  Place& add(const char* name, const char* ending, Role role, uint64_t cols, std::initializer_list<const char*> hf,
             const char* hf_ending, const char* other_ending = nullptr) {
    Place& place = out_.emplace_back(Place{fmt::format("blk.{}.{}{}", n_, name, ending), role, 1, cols, false, false, {}});
    for (const char* candidate : hf) {
      for (const char* end : {hf_ending, other_ending}) {
        if (end != nullptr) place.candidates.push_back(fmt::format("{}layers.{}.{}{}", c_.prefix, n_, candidate, end));
      }
    }
    return place;
  }

  const HfConfig& c_;
  uint32_t n_;
  std::vector<Place>& out_;
};

void add_layer(const HfConfig& c, uint32_t n, std::vector<Place>& all) {
  const uint64_t q = uint64_t{c.n_heads} * c.head_dim, kv = uint64_t{c.n_kv_heads} * c.head_dim;
  Layer layer(c, n, all);
  layer.gain("attn_norm", c.n_embd, {"input_layernorm"});
  layer.matrix("attn_q", q, c.n_embd, "self_attn.q_proj", c.attention_biases, c.pairs);
  layer.matrix("attn_k", kv, c.n_embd, "self_attn.k_proj", c.attention_biases, c.pairs);
  layer.matrix("attn_v", kv, c.n_embd, "self_attn.v_proj", c.attention_biases);
  if (c.qk_norms) layer.gain("attn_q_norm", c.head_dim, {"self_attn.q_norm"});
  if (c.qk_norms) layer.gain("attn_k_norm", c.head_dim, {"self_attn.k_norm"});
  if (c.sub_norms) layer.gain("attn_sub_norm", q, {"self_attn.attn_sub_norm", "self_attn.inner_attn_ln"});
  layer.matrix("attn_output", c.n_embd, q, "self_attn.o_proj", c.attention_biases);
  if (c.post_norms) layer.gain("post_attention_norm", c.n_embd, {"post_attention_layernorm"});
  layer.gain("ffn_norm", c.n_embd, {c.post_norms ? "pre_feedforward_layernorm" : "post_attention_layernorm"});
  layer.matrix("ffn_gate", c.n_ff, c.n_embd, "mlp.gate_proj", c.mlp_biases);
  layer.matrix("ffn_up", c.n_ff, c.n_embd, "mlp.up_proj", c.mlp_biases);
  if (c.sub_norms) layer.gain("ffn_sub_norm", c.n_ff, {"mlp.ffn_sub_norm", "mlp.ffn_layernorm"});
  layer.matrix("ffn_down", c.n_embd, c.n_ff, "mlp.down_proj", c.mlp_biases);
  if (c.post_norms) layer.gain("post_ffw_norm", c.n_embd, {"post_feedforward_layernorm"});
}

}  // namespace

std::vector<Place> places(const HfConfig& c) {
  std::vector<Place> all;
  const auto dense = [&](const char* name, const std::string& hf) {
    all.push_back({name, Role::kDense, c.n_vocab, c.n_embd, false, false, {hf}});
  };
  dense("token_embd.weight", c.prefix + "embed_tokens.weight");
  for (uint32_t n = 0; n < c.n_layers; ++n) add_layer(c, n, all);
  all.push_back({"output_norm.weight", Role::kGain, 1, c.n_embd, false, c.gains_less_one, {c.prefix + "norm.weight"}});
  if (c.head && !c.tied) dense("output.weight", "lm_head.weight");
  return all;
}

bool is_unused(std::string_view hf_name) { return hf_name.ends_with("rotary_emb.inv_freq"); }

}  // namespace bitnet::checkpoint
