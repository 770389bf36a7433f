// checkpoint/config_json.cpp - the fields that transformers' BitNet and Llama configurations have.
#include "checkpoint/config_json.h"

#include <nlohmann/json.hpp>

namespace bitnet::checkpoint {

using nlohmann::json;

json config_json(const HfConfig& c, const ModelNumbers& n) {
  json scaling = nullptr;
  if (n.rope_scale != 1.0) scaling = {{"rope_type", "linear"}, {"factor", n.rope_scale}};
  return {{"architectures", {c.pairs ? "LlamaForCausalLM" : "BitNetForCausalLM"}},
          {"model_type", c.pairs ? "llama" : "bitnet"},
          {"hidden_act", n.relu2 ? "relu2" : "silu"},
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
          {"tie_word_embeddings", c.tied},
          {"torch_dtype", "bfloat16"},
          {"quantization_config",
           {{"quant_method", "bitnet"},
            {"linear_class", "autobitlinear"},
            {"quantization_mode", "offline"},
            {"modules_to_not_convert", nullptr}}}};
}

}  // namespace bitnet::checkpoint
