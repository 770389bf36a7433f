// model/ordinary_model.h - what is said about a model without ternary matrices: what it is, and what runs it.
#pragma once

#include <string>

#include "gguf/reader.h"

namespace bitnet::model {

// Half a sentence; empty for a file that has a ternary matrix, or none at all in its first block.
std::string ordinary_model_text(const gguf::File& file);

}  // namespace bitnet::model
