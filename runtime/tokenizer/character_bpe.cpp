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
  merge_piece(piece, work);
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

// Returns the rank of the last rule that was applied.
uint32_t CharacterBpe::merge_piece(std::string_view piece, Workspace& work) const {
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
  return merges_.apply(work.symbols, work.candidates);
}

// How many symbols the rules leave of a text.
size_t CharacterBpe::length_as_pieces(std::string_view text, Workspace& work, uint32_t& last_rank) const {
  size_t count = 0;
  while (!text.empty()) {
    const size_t end = split_at_spaces_ ? piece_length(text) : text.size();
    last_rank = merge_piece(text.substr(0, end), work);
    for (int32_t i = 0; i >= 0; i = work.symbols[static_cast<size_t>(i)].next) ++count;
    text.remove_prefix(end);
  }
  return count;
}

// What the rules do inside a stretch of text does not depend on what is around it, as long as nothing is joined across its
// ends. So two neighbours L and R in any text are two symbols that the rules leave, at some time, of the text LR alone. If the
// rules make one token T = LR of that text, the last step is the only one with two symbols left: whatever the context, T is
// made of that one pair, and only then do T's two parts stand side by side. Joining by scores looks for neighbours that make a
// token: it finds the same pairs, and with scores in the order of the last rules' ranks takes them in the same order, the
// leftmost first among equals. That fails only for a token of which the rules leave two symbols for good: scores would join
// them. With three or more no two neighbours ever make it.
std::vector<float> CharacterBpe::scores() const {
  struct Made {
    uint32_t rank;
    int32_t id;
  };
  std::vector<Made> made;
  Workspace work;
  std::vector<float> scores(vocabulary_.size(), 0.0f);
  for (int32_t id = 0; vocabulary_.contains(id); ++id) {
    const std::string_view text = vocabulary_.text(id);
    if (text.empty() || vocabulary_.find(text) != id || utf8_sequence(text).length == text.size()) continue;
    uint32_t rank = UINT32_MAX;
    const size_t left = length_as_pieces(text, work, rank);
    if (left == 1) {
      made.push_back({rank, id});
    } else if (left == 2 || whole_piece_first_) {
      fail(ErrorKind::kUsage,
           "GGUF keys have scores in the place of merge rules, and none give the same tokens: the rules of this file never "
           "make token "
           "{}, \"{}\", {}",
           id, printable(text),
           left == 2 ? "of two tokens that scores would join" : "which it takes for whole words (ignore_merges)");
    } else {
      scores[static_cast<size_t>(id)] = -static_cast<float>(vocabulary_.size());
    }
  }
  std::sort(made.begin(), made.end(), [](const Made& a, const Made& b) { return a.rank < b.rank; });
  for (size_t i = 0; i < made.size(); ++i) scores[static_cast<size_t>(made[i].id)] = -static_cast<float>(i + 1);
  return scores;
}

}  // namespace bitnet
