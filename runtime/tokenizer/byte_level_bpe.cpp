// tokenizer/byte_level_bpe.cpp - pieces of a text, byte by byte, through the merge rules.
#include "tokenizer/byte_level_bpe.h"

#include "base/error.h"
#include "tokenizer/utf8.h"

namespace bitnet {

// Memory that the pieces of one text share.
struct ByteLevelBpe::Workspace {
  std::vector<MergeSymbol> symbols;  // one per byte of the piece
  std::vector<uint64_t> candidates;
};

ByteLevelBpe::ByteLevelBpe(const TokenizerData& data, const Vocabulary& vocabulary, const PreTokenizerRule& rule)
    : vocabulary_(vocabulary),
      merges_(data, vocabulary),
      pre_tokenizer_(rule),
      whole_piece_first_(data.ignore_merges.value_or(rule.whole_piece_first)) {}

void ByteLevelBpe::encode(std::string_view text, TextPosition, size_t max_tokens, std::vector<int32_t>& out) const {
  Workspace work;
  const auto take = [&](std::string_view piece) {
    encode_piece(piece, work, out);
    return out.size() < max_tokens;
  };
  while (!text.empty() && out.size() < max_tokens) {
    const std::string_view valid = text.substr(0, valid_utf8_prefix(text));
    if (!pre_tokenizer_.split(valid, take)) return;
    text.remove_prefix(valid.size());
    if (text.empty()) return;
    out.push_back(vocabulary_.byte_token_or_unknown(static_cast<uint8_t>(text[0])));
    text.remove_prefix(1);
  }
}

void ByteLevelBpe::encode_piece(std::string_view piece, Workspace& work, std::vector<int32_t>& out) const {
  if (whole_piece_first_) {
    if (const int32_t id = vocabulary_.find(piece); id >= 0) {
      out.push_back(id);
      return;
    }
  }
  merge(piece, work);
  for (int32_t i = 0; i >= 0; i = work.symbols[static_cast<size_t>(i)].next) {
    const int32_t id = work.symbols[static_cast<size_t>(i)].id;
    // A symbol without a token has never been joined: it is a single byte.
    out.push_back(id >= 0 ? id : vocabulary_.byte_token_or_unknown(static_cast<uint8_t>(piece[static_cast<size_t>(i)])));
  }
}

void ByteLevelBpe::merge(std::string_view piece, Workspace& work) const {
  if (piece.size() > static_cast<size_t>(INT32_MAX)) {
    fail(ErrorKind::kUsage, "the text has a word of {} bytes, expected less than 2 GiB", piece.size());
  }
  const auto n = static_cast<int32_t>(piece.size());
  work.symbols.resize(piece.size());
  for (int32_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    work.symbols[at] = {vocabulary_.byte_token(static_cast<uint8_t>(piece[at])), i - 1, i + 1 < n ? i + 1 : -1};
  }
  merges_.apply(work.symbols, work.candidates);
}

}  // namespace bitnet
