// tokenizer/byte_level_bpe.h - byte-level BPE: pre-tokenize, then join the pair of lowest merge rank, leftmost on ties.
//
// Source  GPT-2's scheme as GGUF files of model "gpt2" describe it.
// Invalid UTF-8  each byte of it becomes the token of that byte; the text on both sides is cut as if it began and ended there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/text_encoder.h"
#include "tokenizer/vocabulary.h"

namespace bitnet {

// What happens to a pair of adjacent tokens.
struct MergeRule {
  int32_t left = -1;
  int32_t right = -1;
  uint32_t rank = UINT32_MAX;  // UINT32_MAX: not joined
  int32_t result = -1;
};

// Merge rules by pair.
class MergeTable {
 public:
  // Throws Error{kInvalidModel} naming the first rule that is no pair of tokens or whose result is no token. A rule that
  // involves a token which merging may not yield is left out, since it could never apply. Of equal pairs the first counts.
  MergeTable(const TokenizerData& data, const Vocabulary& vocabulary);

  const MergeRule& find(int32_t left, int32_t right) const;

 private:
  size_t slot_of(int32_t left, int32_t right) const;
  void insert(const MergeRule& rule);

  std::vector<MergeRule> table_;  // open addressing; a power of two long
};

class ByteLevelBpe final : public TextEncoder {
 public:
  // The vocabulary must outlive the encoder; data is read here and not kept.
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
