// bench/synthetic_vocabulary.h - a byte-level BPE vocabulary of any size that encodes every text.
//
// Ids     0..255 the bytes; then words of small letters, each the merge of two earlier tokens; special tokens last. A
// vocabulary
//         of 128256 has Llama 3's special tokens at their ids.
// Errors  Error{kUsage} for fewer tokens than bytes and special tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitnet::bench {

struct SyntheticVocabulary {
  std::vector<std::string> tokens;  // as tokenizer.ggml.tokens spells them
  std::vector<int32_t> types;       // 1 normal, 3 control
  std::vector<std::string> merges;  // "left right", best first
  uint32_t bos = 0, eos = 0, eot = 0;
};

SyntheticVocabulary make_vocabulary(uint32_t n_tokens);

}  // namespace bitnet::bench
