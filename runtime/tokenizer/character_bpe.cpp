// tokenizer/character_bpe.cpp - characters of a text through the merge rules.
#include "tokenizer/character_bpe.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "tokenizer/utf8.h"
#include "tokenizer/word_edges.h"

namespace bitnet {

// Memory that the pieces of one text share.
struct CharacterBpe::Workspace {
  std::vector<MergeSymbol> symbols;  // one per character of the piece
  std::vector<uint64_t> candidates;
  std::vector<std::string_view> characters;
};

CharacterBpe::CharacterBpe(const TokenizerData& data, const Vocabulary& vocabulary, SpacePrefix space_prefix)
    : vocabulary_(vocabulary),
      merges_(data, vocabulary),
      space_prefix_(space_prefix),
      split_at_spaces_(data.split_at_spaces),
      cut_at_words_(tokens_keep_to_words(vocabulary)),
      whole_piece_first_(data.ignore_merges.value_or(false)) {}

void CharacterBpe::encode(std::string_view text, TextPosition position, size_t max_tokens, std::vector<int32_t>& out) const {
  if (text.empty()) return;
  if (text.size() >= static_cast<size_t>(INT32_MAX)) {
    fail(ErrorKind::kUsage, "the text has {} bytes, expected less than 2 GiB", text.size());
  }
  std::string prefixed;
  if (wants_space(space_prefix_, position)) {
    prefixed.reserve(text.size() + 1);
    prefixed.append(" ").append(text);
    text = prefixed;
  }
  Workspace work;
  while (!text.empty() && out.size() < max_tokens) {
    const size_t end = piece_length(text);
    encode_piece(text.substr(0, end), work, out);
    text.remove_prefix(end);
  }
}

size_t CharacterBpe::piece_length(std::string_view text) const {
  if (split_at_spaces_) return std::min(text.find(' ', 1), text.size());
  return cut_at_words_ && !whole_piece_first_ ? first_word_edge(text) : text.size();
}

void CharacterBpe::encode_piece(std::string_view piece, Workspace& work, std::vector<int32_t>& out) const {
  if (whole_piece_first_) {
    if (const int32_t id = vocabulary_.find(piece); id >= 0) {
      out.push_back(id);
      return;
    }
  }
  work.symbols.clear();
  work.characters.clear();
  while (!piece.empty()) {
    const std::string_view character = piece.substr(0, utf8_sequence(piece).length);
    const auto index = static_cast<int32_t>(work.symbols.size());
    work.symbols.push_back({vocabulary_.find(character), index - 1, index + 1});
    work.characters.push_back(character);
    piece.remove_prefix(character.size());
  }
  work.symbols.back().next = -1;
  merges_.apply(work.symbols, work.candidates);
  for (int32_t i = 0; i >= 0; i = work.symbols[static_cast<size_t>(i)].next) {
    const auto at = static_cast<size_t>(i);
    if (const int32_t id = work.symbols[at].id; id >= 0) {
      out.push_back(id);
      continue;
    }
    // A symbol without a token has never been joined: it is a single character.
    for (const char byte : work.characters[at]) out.push_back(vocabulary_.byte_token_or_unknown(static_cast<uint8_t>(byte)));
  }
}

}  // namespace bitnet
