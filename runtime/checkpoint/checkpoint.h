// checkpoint/checkpoint.h - a Hugging Face checkpoint opened as the GGUF file that a converter would have made of it.
//
// Input   a folder with config.json and model.safetensors or its index with shards; or the path of that file or index.
// Result  keys and tensors under their GGUF names; ternary matrices are packed or master weights (gguf/checkpoint_rows.h), used
//         where they lie in the mapped files. The scale of packed matrices is their weight_scale, or its reciprocal where the
//         configuration says so; that of master weights is computed here, all of them read once, in parallel.
// Errors  Error{kInvalidModel}: file, tensor, expected and found; a list of the tensors that have no place in the model.
// Source  formats of transformers' BitNet integration.
#pragma once

#include <string>

#include "gguf/reader.h"

namespace bitnet::checkpoint {

// Whether the path is meant for open_checkpoint(): a folder, a .safetensors file, an index.
bool is_checkpoint(const std::string& path);

gguf::File open_checkpoint(const std::string& path);

}  // namespace bitnet::checkpoint
