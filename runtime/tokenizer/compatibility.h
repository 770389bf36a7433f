// tokenizer/compatibility.h - does a tokenizer fit its model? A report, so that all faults are seen at once.
//
// Threads pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {

enum class TokenizerFault {
  kVocabSizeMismatch,     // tokens and rows of the embeddings differ in number
  kMissingSpecialToken,   // no token has a role that is needed
  kEncodingInconsistent,  // a text does not come back as it was
};

// "VocabSizeMismatch", ... for reports.
std::string_view fault_name(TokenizerFault fault);

struct TokenizerFinding {
  TokenizerFault fault;
  std::string message;  // one line
};

struct CompatibilityReport {
  std::optional<bool> vocab_size_match;  // empty: the file has no embeddings to compare with
  bool special_tokens_present = false;   // every role that this model needs
  bool encoding_consistency = false;     // probe texts, and the text of every token, come back byte for byte
  struct ModelExpectations {
    std::optional<uint64_t> expected;       // rows of the embeddings
    uint64_t actual = 0;                    // tokens
    std::optional<uint64_t> embedding_dim;  // width of a row
  } model_expectations;
  std::vector<TokenizerFinding> errors;
  std::vector<TokenizerFinding> warnings;  // doubts: errors where strict
  std::vector<TokenizerFinding> notes;     // what is missing and not needed: a token for padding, embeddings in a vocabulary

  bool passed() const { return errors.empty(); }
};

// The embeddings are token_embd.weight of `model`. With strict every warning is an error.
CompatibilityReport check_compatibility(const Tokenizer& tokenizer, const gguf::File& model, bool strict = false);

}  // namespace bitnet
