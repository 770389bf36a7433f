// checkpoint/hf_config.h - config.json of a Hugging Face checkpoint as the keys that a GGUF file of the model would have.
//
// Source  the fields of transformers' BitNet, Llama, Qwen3 and Gemma3 configurations and their quantization_config.
// Models  model_type "bitnet" (2B-4T), BitnetForCausalLM (large, xl, 3B), and "llama" whose quantization_config says "bitnet"
//         (Llama3-8B-1.58, Falcon3, Falcon-E). A llama without that is not ternary and is refused. "qwen3" and "gemma3_text"
//         (the embedding models) need it too, or norms in front of their matrices, which only the ternary ones have.
// Errors  Error{kInvalidModel} naming file, field, expected and found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf/key_values.h"

namespace bitnet::checkpoint {

struct HfConfig {
  std::string architecture;  // general.architecture
  uint32_t n_layers = 0, n_embd = 0, n_ff = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0, n_vocab = 0;
  bool tied = false;              // the output head is the embedding
  bool head = true;               // false: an embedding model
  bool sub_norms = false;         // attn_sub_norm and ffn_sub_norm are there
  bool in_norms = false;          // every matrix has a norm of its input
  bool in_norms_needed = false;   // nothing but those says that the model is ternary
  bool qk_norms = false;          // norms of the heads of q and k
  bool post_norms = false;        // norms of what goes to the residual stream
  bool gains_less_one = false;    // norms, other than in_norms, are stored as their gain minus 1
  bool attention_biases = false;  // of attn_q, attn_k, attn_v, attn_output
  bool mlp_biases = false;        // of ffn_gate, ffn_up, ffn_down
  bool pairs = false;             // GGUF keeps attn_q and attn_k in pairs (gguf/checkpoint_rows.h)
  bool inverse_scales = false;    // weight_scale is 1/s
  bool master_allowed = false;    // matrices in floating point stand for their ternary values
  std::string prefix = "model.";  // of the names of tensors; models stored without a head have none
  std::vector<std::string> warnings;
};

// Adds general.* and the model's keys to `keys`.
HfConfig read_hf_config(const std::string& path, const std::string& name, gguf::KeyValues& keys);

}  // namespace bitnet::checkpoint
