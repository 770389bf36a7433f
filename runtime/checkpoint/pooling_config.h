// checkpoint/pooling_config.h - whether a checkpoint is an embedding model, and how it makes one vector of a text.
//
// Source  modules.json and the folder of its Pooling module, as Sentence Transformers keeps them beside config.json.
// Errors  Error{kInvalidModel} naming file and field: a way of pooling that is not supported, or several at once.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bitnet::checkpoint {

// Values of the key pooling_type.
constexpr uint32_t kPoolingMean = 1, kPoolingFirst = 2, kPoolingLast = 3;

// One of them. Empty: the model writes text. An embedding model
// that says nothing (its architecture is that of a bare model, without "ForCausalLM") pools the last token, as the BitNet ones
// do.
std::optional<uint32_t> read_pooling(const std::string& config_path, const nlohmann::json& config);

// The files, by their path in the folder, that say so of a model whose vectors have `width` numbers and are scaled to length 1:
// the way back from read_pooling().
std::vector<std::pair<std::string, nlohmann::json>> pooling_files(uint32_t pooling, uint32_t width);

}  // namespace bitnet::checkpoint
