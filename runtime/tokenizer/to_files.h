// tokenizer/to_files.h - the tokenizer.ggml.* keys of a GGUF file as the files that Hugging Face keeps beside a model.
//
// Byte-level vocabularies become a tokenizer.json, SentencePiece ones a tokenizer.model; tokenizer_config.json and
// generation_config.json hold roles, the chat template and what ends an answer. Nothing is approximated: what these files have
// no words for is a reason not to write them, and whoever writes them compares what they give with difference(). Threads pure.
#pragma once

#include <string>
#include <vector>

#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {

struct TokenizerFiles {
  struct Named {
    std::string name, content;
  };
  std::vector<Named> files;  // the tokenizer first
  std::string reason;        // why there are none
};

// Error{kInvalidModel} as Tokenizer::from_gguf().
TokenizerFiles tokenizer_files(const gguf::File& model);

// The first thing that two tokenizers do not have in common: a token, a role, what ends a generation, the tokens of a text made
// of many tokens. Empty: nothing was found.
std::string difference(const Tokenizer& a, const Tokenizer& b);

}  // namespace bitnet
