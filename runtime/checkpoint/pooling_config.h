// checkpoint/pooling_config.h - whether a checkpoint is an embedding model, and how it makes one vector of a text.
//
// Source  modules.json and the folder of its Pooling module, as Sentence Transformers keeps them beside config.json.
// Errors  Error{kInvalidModel} naming file and field: a way of pooling that is not supported, or several at once.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace bitnet::checkpoint {

// The value of the key pooling_type: 1 mean, 2 first token, 3 last token. Empty: the model writes text. An embedding model
// that says nothing (its architecture is that of a bare model, without "ForCausalLM") pools the last token, as the BitNet ones
// do.
std::optional<uint32_t> read_pooling(const std::string& config_path, const nlohmann::json& config);

}  // namespace bitnet::checkpoint
