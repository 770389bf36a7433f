// checkpoint/hf_names.cpp - the tables of names.
#include "checkpoint/hf_names.h"

#include <fmt/format.h>

namespace bitnet::checkpoint {
namespace {

class Layer {
 public:
  Layer(uint32_t n, std::vector<Place>& out) : n_(n), out_(out) {}

  void gain(const char* name, uint64_t size, std::initializer_list<const char*> hf) {
    add(name, Role::kGain, 1, size, false, hf);
  }
  void matrix(const char* name, uint64_t rows, uint64_t cols, const char* hf, bool pairs = false) {
    add(name, Role::kMatrix, rows, cols, pairs, {hf});
  }

 private:
  void add(const char* name, Role role, uint64_t rows, uint64_t cols, bool pairs, std::initializer_list<const char*> hf) {
    Place place{fmt::format("blk.{}.{}.weight", n_, name), role, rows, cols, pairs, {}};
    for (const char* candidate : hf) place.candidates.push_back(fmt::format("model.layers.{}.{}.weight", n_, candidate));
    out_.push_back(std::move(place));
  }

  uint32_t n_;
  std::vector<Place>& out_;
};

}  // namespace

std::vector<Place> places(const HfConfig& c) {
  const uint64_t q = uint64_t{c.n_heads} * c.head_dim, kv = uint64_t{c.n_kv_heads} * c.head_dim;
  std::vector<Place> all;
  all.push_back({"token_embd.weight", Role::kDense, c.n_vocab, c.n_embd, false, {"model.embed_tokens.weight"}});
  for (uint32_t n = 0; n < c.n_layers; ++n) {
    Layer layer(n, all);
    layer.gain("attn_norm", c.n_embd, {"input_layernorm"});
    layer.matrix("attn_q", q, c.n_embd, "self_attn.q_proj", c.pairs);
    layer.matrix("attn_k", kv, c.n_embd, "self_attn.k_proj", c.pairs);
    layer.matrix("attn_v", kv, c.n_embd, "self_attn.v_proj");
    if (c.sub_norms) layer.gain("attn_sub_norm", q, {"self_attn.attn_sub_norm", "self_attn.inner_attn_ln"});
    layer.matrix("attn_output", c.n_embd, q, "self_attn.o_proj");
    layer.gain("ffn_norm", c.n_embd, {"post_attention_layernorm"});
    layer.matrix("ffn_gate", c.n_ff, c.n_embd, "mlp.gate_proj");
    layer.matrix("ffn_up", c.n_ff, c.n_embd, "mlp.up_proj");
    if (c.sub_norms) layer.gain("ffn_sub_norm", c.n_ff, {"mlp.ffn_sub_norm", "mlp.ffn_layernorm"});
    layer.matrix("ffn_down", c.n_embd, c.n_ff, "mlp.down_proj");
  }
  all.push_back({"output_norm.weight", Role::kGain, 1, c.n_embd, false, {"model.norm.weight"}});
  if (!c.tied) all.push_back({"output.weight", Role::kDense, c.n_vocab, c.n_embd, false, {"lm_head.weight"}});
  return all;
}

bool is_unused(std::string_view hf_name) { return hf_name.ends_with("rotary_emb.inv_freq"); }

}  // namespace bitnet::checkpoint
