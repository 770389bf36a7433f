// tokenizer/word_edges.cpp - looks for spaces behind other characters.
#include "tokenizer/word_edges.h"

namespace bitnet {

size_t first_word_edge(std::string_view text) {
  for (size_t at = text.find(' ', 1); at != text.npos; at = text.find(' ', at + 1)) {
    if (text[at - 1] != ' ') return at;
  }
  return text.size();
}

bool tokens_keep_to_words(const Vocabulary& vocabulary) {
  for (int32_t id = 0; vocabulary.contains(id); ++id) {
    const std::string_view text = vocabulary.text(id);
    if (vocabulary.is_mergeable(id) && !text.empty() && first_word_edge(text) < text.size()) return false;
  }
  return true;
}

}  // namespace bitnet
