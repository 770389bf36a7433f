// checkpoint/config_json.cpp - the fields that transformers' BitNet, Llama, Qwen3 and Gemma3 configurations have.
#include "checkpoint/config_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace bitnet::checkpoint {
namespace {

using nlohmann::json;

struct Family {
  std::string_view architecture;
  const char *model_type, *with_head, *without_head;  // the last two: classes of transformers
};
constexpr Family kFamilies[] = {{"bitnet", "bitnet", "BitNetForCausalLM", "BitNetModel"},
                                {"llama", "llama", "LlamaForCausalLM", "LlamaModel"},
                                {"qwen3", "qwen3", "Qwen3ForCausalLM", "Qwen3Model"},
                                {"gemma3", "gemma3_text", "Gemma3ForCausalLM", "Gemma3TextModel"}};

// Left out, transformers would look back over a window in most layers, and rotate those with a base of their own.
void add_gemma_fields(json& out, const HfConfig& c, const ModelNumbers& n) {
  out["hidden_activation"] = "gelu_pytorch_tanh";
  out["query_pre_attn_scalar"] = c.head_dim;
  out["sliding_window"] = n.context_length;
  out["layer_types"] = std::vector<std::string>(c.n_layers, "full_attention");
  out["rope_local_base_freq"] = n.rope_base;
  out["attn_logit_softcapping"] = nullptr;
  out["final_logit_softcapping"] = nullptr;
  out["use_bidirectional_attention"] = false;
}

}  // namespace

json config_json(const HfConfig& c, const ModelNumbers& n) {
  const Family& family = *std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                       [&](const Family& f) { return f.architecture == c.architecture; });
  json scaling = nullptr;
  if (n.rope_scale != 1.0) scaling = {{"rope_type", "linear"}, {"factor", n.rope_scale}};
  json out = {{"architectures", {c.head ? family.with_head : family.without_head}},
              {"model_type", family.model_type},
              {"hidden_size", c.n_embd},
              {"intermediate_size", c.n_ff},
              {"num_hidden_layers", c.n_layers},
              {"num_attention_heads", c.n_heads},
              {"num_key_value_heads", c.n_kv_heads},
              {"head_dim", c.head_dim},
              {"vocab_size", c.n_vocab},
              {"max_position_embeddings", n.context_length},
              {"rms_norm_eps", n.norm_eps},
              {"rope_theta", n.rope_base},
              {"rope_scaling", scaling},
              {"attention_bias", c.attention_biases},
              {"tie_word_embeddings", c.tied},
              {"torch_dtype", "bfloat16"},
              {"quantization_config",
               {{"quant_method", "bitnet"},
                {"linear_class", "autobitlinear"},
                {"quantization_mode", "offline"},
                {"modules_to_not_convert", nullptr}}}};
  if (c.mlp_biases) out["mlp_bias"] = true;
  if (c.in_norms) {
    out["quantization_config"]["use_rms_norm"] = true;
    out["quantization_config"]["rms_norm_eps"] = n.norm_eps;
  }
  if (c.architecture == "gemma3") {
    add_gemma_fields(out, c, n);
  } else {
    out["hidden_act"] = n.relu2 ? "relu2" : "silu";
  }
  return out;
}

}  // namespace bitnet::checkpoint
