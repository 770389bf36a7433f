// tokenizer/fingerprints.h - tells which published vocabulary a list of tokens is, for files that do not name their
// pre-tokenizer.
#pragma once

#include <span>
#include <string_view>

namespace bitnet {

struct KnownVocabulary {
  std::string_view name;  // for messages: "Llama 3"
  std::string_view pre;   // its pre-tokenizer
};

// By the number of tokens and some of them at their ids, spelled as in files; null when it is none of the known ones.
const KnownVocabulary* find_known_vocabulary(std::span<const std::string_view> tokens);

}  // namespace bitnet
