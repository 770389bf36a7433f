// checkpoint/hf_config.h - config.json of a Hugging Face checkpoint as the keys that a GGUF file of the model would have.
//
// Source  the fields of transformers' BitNet and Llama configurations and their quantization_config.
// Models  model_type "bitnet" (2B-4T), BitnetForCausalLM (large, xl, 3B), and "llama" whose quantization_config says "bitnet"
//         (Llama3-8B-1.58, Falcon3, Falcon-E). A llama without that is not ternary and is refused.
// Errors  Error{kInvalidModel} naming file, field, expected and found.
#pragma once

#include <cstdint>
#include <string>

#include "gguf/key_values.h"

namespace bitnet::checkpoint {

struct HfConfig {
  std::string architecture;  // general.architecture
  uint32_t n_layers = 0, n_embd = 0, n_ff = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0, n_vocab = 0;
  bool tied = false;            // the output head is the embedding
  bool sub_norms = false;       // attn_sub_norm and ffn_sub_norm are there
  bool pairs = false;           // GGUF keeps attn_q and attn_k in pairs (gguf/checkpoint_rows.h)
  bool inverse_scales = false;  // weight_scale is 1/s
  bool master_allowed = false;  // matrices in floating point stand for their ternary values
};

// Adds general.* and the model's keys to `keys`.
HfConfig read_hf_config(const std::string& path, const std::string& name, gguf::KeyValues& keys);

}  // namespace bitnet::checkpoint
