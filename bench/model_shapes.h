// bench/model_shapes.h - dimensions and keys of the published ternary models, by the names that --shape takes.
//
// Source  the models' configurations. rope_base, norm_eps and n_ctx of Falcon-E are not published: Falcon3's are taken.
// Threads all functions are pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bitnet::bench {

struct Shape {
  const char* name;
  const char* architecture;  // general.architecture
  uint32_t n_layers, n_embd, n_ff, n_heads, n_kv_heads, head_dim, n_vocab;
  float norm_eps, rope_base;
  uint32_t n_ctx;

  // The bitnet family has norms in front of attn_output and ffn_down, and logits come from token_embd.
  bool is_bitnet() const { return std::string_view(architecture).starts_with("bitnet"); }
  // These have norms on every projection's input and on heads, and no output head.
  bool is_embedding() const { return std::string_view(architecture) == "qwen3" || is_gemma(); }
  bool is_gemma() const { return std::string_view(architecture) == "gemma3"; }
};

// The published models, and four of a few hundred kilobytes for tests: tiny (as 2b-4t), tiny-llama (as llama3-8b), tiny-odd
// (head dimension and columns that no vector unit likes) and tiny-embedding (as embedding-270m).
std::span<const Shape> all_shapes();
std::optional<Shape> find_shape(std::string_view name);
// "2b-4t, large, ..." for messages.
std::string shape_names();

}  // namespace bitnet::bench
