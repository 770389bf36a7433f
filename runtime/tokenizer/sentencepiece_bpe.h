// tokenizer/sentencepiece_bpe.h - SentencePiece-style BPE: join the pair whose text is the token of highest score.
//
// Source  formats of model "llama" in GGUF; T. Kudo and J. Richardson, SentencePiece (2018). No normalization, no collapsing.
// Spaces  a text is encoded as if a space stood in front of it, unless the file turns that off; decoding takes it away.
// Bytes   characters without a token become byte tokens. So does U+2581 itself, which the vocabulary uses to mean a space:
//         SentencePiece would turn it into one and lose it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/text_encoder.h"
#include "tokenizer/vocabulary.h"

namespace bitnet {

class SentencePieceBpe final : public TextEncoder {
 public:
  // The vocabulary must outlive the encoder; data is read here and not kept. Throws Error{kInvalidModel} when the scores
  // are missing, not one per token, or not numbers.
  SentencePieceBpe(const TokenizerData& data, const Vocabulary& vocabulary, SpacePrefix space_prefix);

  void encode(std::string_view text, TextPosition position, size_t max_tokens, std::vector<int32_t>& out) const override;

 private:
  struct Symbol;
  struct Candidate;
  struct Workspace;
  void encode_piece(std::string_view piece, Workspace& work, std::vector<int32_t>& out) const;
  void merge(std::string_view text, Workspace& work) const;

  const Vocabulary& vocabulary_;
  std::vector<float> scores_;
  SpacePrefix space_prefix_;
  bool cut_at_words_;  // makes no difference but in speed
};

}  // namespace bitnet
