// validate/validate.h - checks a model file without running it, and goes on after a fault wherever there is more to find.
//
// Steps   header (magic, version, counts, keys and descriptions can be read); metadata (the keys that a model needs, in range);
//         tensors (alignment, bounds, overlaps, types, every weight decoded); bitnet (which tensors are ternary, one type, its
//         groups); cross references (keys against tensors, vocabulary against embeddings, what is too many).
//         Only a broken header ends the report.
// Input   a GGUF file or a checkpoint (checkpoint/checkpoint.h).
// Errors  Error{kInvalidModel} when the path cannot be opened or is no regular file; all else is in the report.
// Source  acceptance.md, AC6.
#pragma once

#include <string>

#include "model/weights.h"
#include "validate/report.h"

namespace bitnet::validate {

struct Options {
  bool strict = false;             // Report::valid() is false with warnings too
  bool strict_tokenizers = false;  // doubts about the tokenizer are errors
  model::ReadOptions reading = {};
};

Report validate_model(const std::string& path, const Options& options);

}  // namespace bitnet::validate
