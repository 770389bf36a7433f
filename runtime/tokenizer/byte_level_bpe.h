// tokenizer/byte_level_bpe.h - byte-level BPE: pre-tokenize, then join the pair of lowest merge rank, leftmost on ties.
//
// Source  GPT-2's scheme as GGUF files of model "gpt2" describe it.
// Invalid UTF-8  each byte of it becomes the token of that byte; the text on both sides is cut as if it began and ended there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/text_encoder.h"
#include "tokenizer/vocabulary.h"

namespace bitnet {

class ByteLevelBpe final : public TextEncoder {
 public:
  // The vocabulary must outlive the encoder; data is read here and not kept. Where data says ignore_merges or not, that
  // counts and not the rule's whole_piece_first.
  ByteLevelBpe(const TokenizerData& data, const Vocabulary& vocabulary, const PreTokenizerRule& rule);

  void encode(std::string_view text, TextPosition position, size_t max_tokens, std::vector<int32_t>& out) const override;

 private:
  struct Workspace;
  void encode_piece(std::string_view piece, Workspace& work, std::vector<int32_t>& out) const;
  void merge(std::string_view piece, Workspace& work) const;

  const Vocabulary& vocabulary_;
  MergeTable merges_;
  PreTokenizer pre_tokenizer_;
  bool whole_piece_first_;
};

}  // namespace bitnet
