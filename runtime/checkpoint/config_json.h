// checkpoint/config_json.h - the config.json that a model's keys amount to: the way back from hf_config.h.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "checkpoint/hf_config.h"

namespace bitnet::checkpoint {

// What the names of tensors do not say.
struct ModelNumbers {
  uint32_t context_length = 0;
  double norm_eps = 0, rope_base = 0, rope_scale = 1;  // rope_scale: positions are divided by it
  bool relu2 = false;
};

// Packed weights, multiplier scales. The architecture is bitnet, llama, qwen3 or gemma3.
nlohmann::json config_json(const HfConfig& config, const ModelNumbers& numbers);

}  // namespace bitnet::checkpoint
