// tokenizer/text_encoder.h - what the tokenizer asks of a merging scheme: plain text to token ids.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace bitnet {

// Where a stretch of text stands: SentencePiece puts a space in front of some.
enum class TextPosition { kStart, kBehindControl, kBehindUserDefined };

inline bool wants_space(SpacePrefix prefix, TextPosition position) {
  switch (prefix) {
    case SpacePrefix::kNever:
      return false;
    case SpacePrefix::kStart:
      return position == TextPosition::kStart;
    case SpacePrefix::kOpenings:
      return position != TextPosition::kBehindUserDefined;
    case SpacePrefix::kAlways:
      return true;
  }
  return false;
}

// Implementations are pure: const, safe from any thread.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;

  // Appends the tokens of text, which holds no special tokens and may hold any bytes. Decoding them gives text again. May
  // stop once out holds max_tokens, with some tokens more than that. Cost O(n log n) in bytes, constant stack.
  // Errors: Error{kUsage} when a byte cannot be expressed or the text is longer than 2 GiB, Error{kNoMemory}.
  virtual void encode(std::string_view text, TextPosition position, size_t max_tokens, std::vector<int32_t>& out) const = 0;
};

}  // namespace bitnet
