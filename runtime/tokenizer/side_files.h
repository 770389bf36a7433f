// tokenizer/side_files.h - what stands beside a tokenizer.json or tokenizer.model: which tokens have a role, which were added.
//
// Files   tokenizer_config.json (roles, added tokens), added_tokens.json, generation_config.json (ids that end a generation).
//         Each may be missing. Only these names in the tokenizer's own folder are opened.
// Errors  Error{kInvalidModel} naming file and field.
#pragma once

#include <deque>
#include <string>

#include "tokenizer/vocabulary.h"

namespace bitnet {

// What the side files say wins over what data has. New texts are kept in strings, which must live as long as data is used.
void read_side_files(const std::string& folder, TokenizerData& data, std::deque<std::string>& strings);

}  // namespace bitnet
