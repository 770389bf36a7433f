// tokenizer/to_gguf.h - the tokenizer of a checkpoint as the tokenizer.ggml.* keys of a GGUF file: the way back from from_gguf.
#pragma once

#include <string>

#include "gguf/key_values.h"
#include "tokenizer/vocabulary.h"

namespace bitnet {

// Rules that merge characters (tokenizer.json of Llama 2 or Gemma) become scores that give the same tokens.
// Errors  Error{kUsage} for what the keys have no words for: rules for which there are no such scores, and spaces put elsewhere
//         than they say.
gguf::KeyValues to_keys(const TokenizerData& data);

// Of a tokenizer.json or tokenizer.model and the files beside it; model: gives roles that they do not name, may be null.
// Errors  as above, and Error{kInvalidModel} as Tokenizer::from_file().
gguf::KeyValues tokenizer_keys(const std::string& path, const gguf::File* model);

}  // namespace bitnet
