// tokenizer/character_bpe.h - BPE by merge rules over characters, with byte fallback: how tokenizer.json writes Llama 2 and
// Gemma.
//
// Source  model BPE with byte_fallback in tokenizer.json. The rules decide, where SentencePieceBpe goes by scores; for
//         vocabularies whose rules were made from scores both give the same tokens.
// Spaces, bytes  as in sentencepiece_bpe.h. With split_at_spaces the text is cut in front of every space before merging.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/text_encoder.h"
#include "tokenizer/vocabulary.h"

namespace bitnet {

class CharacterBpe final : public TextEncoder {
 public:
  // The vocabulary must outlive the encoder; data is read here and not kept.
  CharacterBpe(const TokenizerData& data, const Vocabulary& vocabulary, SpacePrefix space_prefix);

  void encode(std::string_view text, TextPosition position, size_t max_tokens, std::vector<int32_t>& out) const override;

  // Scores, one per token, by which SentencePieceBpe gives the tokens of this encoder for every text.
  // Errors  Error{kUsage} naming a token for which there are none.
  std::vector<float> scores() const;

 private:
  struct Workspace;
  uint32_t merge_piece(std::string_view piece, Workspace& work) const;
  size_t length_as_pieces(std::string_view text, Workspace& work, uint32_t& last_rank) const;
  size_t piece_length(std::string_view text) const;
  void encode_piece(std::string_view piece, Workspace& work, std::vector<int32_t>& out) const;

  const Vocabulary& vocabulary_;
  MergeTable merges_;
  SpacePrefix space_prefix_;
  bool split_at_spaces_;
  bool cut_at_words_;  // makes no difference but in speed
  bool whole_piece_first_;
};

}  // namespace bitnet
