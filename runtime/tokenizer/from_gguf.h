// tokenizer/from_gguf.h - the tokenizer.ggml.* keys: all of them, and those that give tokens a role.
#pragma once

#include "gguf/reader.h"
#include "tokenizer/vocabulary.h"

namespace bitnet {

// Unchecked but for their type: Error{kInvalidModel}.
TokenizerRoles read_roles(const gguf::File& file);

// What the keys say, unchecked; the views live as long as the file. Error{kInvalidModel} naming file and key for a missing or
// mistyped one.
TokenizerData read_tokenizer_data(const gguf::File& file);

}  // namespace bitnet
