// checkpoint/hf_names.h - what a tensor of a Hugging Face checkpoint is called in a GGUF file, and its size there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/hf_config.h"

namespace bitnet::checkpoint {

enum class Role : uint8_t {
  kGain,    // [cols] of a norm
  kBias,    // [cols], as many as its matrix has rows
  kDense,   // [rows, cols] embedding or head
  kMatrix,  // [rows, cols] ternary
};

struct Place {
  std::string name;  // "blk.3.attn_q.weight"
  Role role = Role::kGain;
  uint64_t rows = 1, cols = 0;
  bool pairs = false;                   // rows are kept in pairs
  bool less_one = false;                // stored as its values minus 1
  std::vector<std::string> candidates;  // names in checkpoints, the first that is there counts
};

// Every tensor that a model of this configuration has, embedding first.
std::vector<Place> places(const HfConfig& config);

// Tensors that checkpoints carry and no graph needs: tables of frequencies.
bool is_unused(std::string_view hf_name);

}  // namespace bitnet::checkpoint
