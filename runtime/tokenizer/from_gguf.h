// tokenizer/from_gguf.h - the tokenizer.ggml.* keys that give tokens a role.
#pragma once

#include "gguf/reader.h"
#include "tokenizer/vocabulary.h"

namespace bitnet {

// Unchecked but for their type: Error{kInvalidModel}.
TokenizerRoles read_roles(const gguf::File& file);

}  // namespace bitnet
