// tokenizer/word_edges.h - where a text of SentencePiece's kind can be cut without changing its tokens.
//
// Data    in the published vocabularies no token has a space behind a letter, so no merge joins what lies on both sides of such
// a
//         place. A text is then encoded word by word, in memory that stays in the cache, and only as far as tokens are wanted.
#pragma once

#include <string_view>

#include "tokenizer/vocabulary.h"

namespace bitnet {

// Whether no token that merging may yield has a space right behind something else than a space.
bool tokens_keep_to_words(const Vocabulary& vocabulary);

// Bytes in front of the first such place of text; text.size() where there is none.
size_t first_word_edge(std::string_view text);

}  // namespace bitnet
