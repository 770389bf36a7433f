// tokenizer/sentencepiece_bpe.cpp - merging code points with a linked list of symbols and a heap of candidate pairs.
#include "tokenizer/sentencepiece_bpe.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "tokenizer/utf8.h"
#include "tokenizer/word_edges.h"

namespace bitnet {

// A stretch of the text that is one token so far, or one code point.
struct SentencePieceBpe::Symbol {
  uint32_t begin;
  uint32_t length;  // bytes; 0: joined into the symbol before it
  int32_t prev;     // index, -1 at the ends
  int32_t next;
};

// The symbol `left` and the one behind it, which together are a token of this score.
struct SentencePieceBpe::Candidate {
  float score;
  int32_t left;
  uint32_t length;  // bytes of both

  // Heap order: the highest score comes first, then the leftmost.
  bool operator<(const Candidate& other) const { return score != other.score ? score < other.score : left > other.left; }
};

// Memory that the pieces of one text share.
struct SentencePieceBpe::Workspace {
  std::vector<Symbol> symbols;
  std::vector<Candidate> candidates;  // heap
};

SentencePieceBpe::SentencePieceBpe(const TokenizerData& data, const Vocabulary& vocabulary, SpacePrefix space_prefix)
    : vocabulary_(vocabulary),
      scores_(data.scores),
      space_prefix_(space_prefix),
      cut_at_words_(tokens_keep_to_words(vocabulary)) {
  if (scores_.size() != vocabulary.size()) {
    fail(ErrorKind::kInvalidModel, "{0}scores has {1} elements, expected {2} as {0}tokens", data.key_prefix, scores_.size(),
         vocabulary.size());
  }
  for (size_t i = 0; i < scores_.size(); ++i) {
    if (std::isnan(scores_[i])) fail(ErrorKind::kInvalidModel, "{}scores[{}] is not a number", data.key_prefix, i);
  }
}

void SentencePieceBpe::encode(std::string_view text, TextPosition position, size_t max_tokens,
                              std::vector<int32_t>& out) const {
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
    const size_t end = cut_at_words_ ? first_word_edge(text) : text.size();
    encode_piece(text.substr(0, end), work, out);
    text.remove_prefix(end);
  }
}

void SentencePieceBpe::encode_piece(std::string_view piece, Workspace& work, std::vector<int32_t>& out) const {
  merge(piece, work);
  for (int32_t i = 0; i >= 0; i = work.symbols[static_cast<size_t>(i)].next) {
    const Symbol& symbol = work.symbols[static_cast<size_t>(i)];
    const std::string_view bytes = piece.substr(symbol.begin, symbol.length);
    if (const int32_t id = vocabulary_.find(bytes); id >= 0) {
      out.push_back(id);
    } else {
      for (const char byte : bytes) out.push_back(vocabulary_.byte_token_or_unknown(static_cast<uint8_t>(byte)));
    }
  }
}

void SentencePieceBpe::merge(std::string_view text, Workspace& work) const {
  auto& symbols = work.symbols;
  auto& candidates = work.candidates;
  symbols.clear();
  candidates.clear();
  for (uint32_t begin = 0; begin < text.size();) {
    const auto length = static_cast<uint32_t>(utf8_sequence(text.substr(begin)).length);
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({begin, length, index - 1, index + 1});
    begin += length;
  }
  symbols.back().next = -1;

  const auto at = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  const auto add = [&](int32_t left) {
    const Symbol& symbol = at(left);
    if (symbol.next < 0) return;
    const uint32_t length = symbol.length + at(symbol.next).length;
    const int32_t id = vocabulary_.find(text.substr(symbol.begin, length));
    if (id < 0) return;
    candidates.push_back({scores_[static_cast<size_t>(id)], left, length});
    std::push_heap(candidates.begin(), candidates.end());
  };
  for (int32_t i = 0; static_cast<size_t>(i) < symbols.size(); ++i) add(i);

  while (!candidates.empty()) {
    std::pop_heap(candidates.begin(), candidates.end());
    const Candidate best = candidates.back();
    candidates.pop_back();
    Symbol& left = at(best.left);
    // Symbols only grow: if either of the two was joined with something else, the lengths no longer add up.
    if (left.length == 0 || left.next < 0 || left.length + at(left.next).length != best.length) continue;
    Symbol& right = at(left.next);
    left.length = best.length;
    left.next = right.next;
    right.length = 0;
    if (left.next >= 0) {
      at(left.next).prev = best.left;
      add(best.left);
    }
    if (left.prev >= 0) add(left.prev);
  }
}

}  // namespace bitnet
