// convert/checkpoint_config.h - which config.json stands for a model: its family, its parts and its numbers.
//
// Errors  Error{kUsage}: "this model cannot be written as a checkpoint: " and the part that configurations have no word for.
// Threads all functions are pure.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/config_json.h"
#include "checkpoint/hf_config.h"
#include "gguf/reader.h"
#include "model/config.h"

namespace bitnet::convert {

struct CheckpointConfig {
  checkpoint::HfConfig config;  // what the reader of checkpoints is to find
  checkpoint::ModelNumbers numbers;
  std::optional<uint32_t> pooling;  // of an embedding model, a value of the key pooling_type
};

CheckpointConfig checkpoint_config(const model::Config& model, const gguf::File& file);

[[noreturn]] void refuse_checkpoint(const std::string& what);

// The first number or part that a model read again does not have as it was: "rope_base would be 10000, not 5000". Empty: none.
std::string config_difference(const model::Config& before, const model::Config& after);

}  // namespace bitnet::convert
