// convert/tokenizer_output.h - puts the tokenizer of a model beside the checkpoint that is made of it.
//
// From a GGUF file: written from its keys, read again, and kept only if nothing differs. From a checkpoint: its files, copied.
// Errors  Error{kFailure}: I/O. A tokenizer that cannot be written is no error: the reason is returned.
#pragma once

#include <string>

#include "convert/source.h"

namespace bitnet::convert {

// Empty, or why the folder has no tokenizer.
std::string write_tokenizer(const Source& source, const std::string& folder);

}  // namespace bitnet::convert
