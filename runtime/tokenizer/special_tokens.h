// tokenizer/special_tokens.h - finds the texts of special tokens inside a text.
//
// Cost    next(): bytes of text times the length of the longest special text in the worst case, usually one look per byte.
// Threads const functions are safe from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bitnet {

struct SpecialToken {
  std::string_view text;  // not empty; owned by the vocabulary
  int32_t id;
};

class SpecialTokens {
 public:
  explicit SpecialTokens(std::vector<SpecialToken> tokens);

  struct Cut {
    size_t begin;  // equal to text.size() when nothing more is found
    size_t end;
    int32_t id;
  };
  // The first special text at or after from; of several at the same place the longest.
  Cut next(std::string_view text, size_t from) const;

  // The same, counting only those that have no byte where marks, as long as text, is not 0.
  Cut next_unmarked(std::string_view text, std::string_view marks, size_t from) const;

  // Id of the special token with exactly this text, -1 when there is none.
  int32_t find(std::string_view text) const;

 private:
  const SpecialToken* longest_prefix_of(std::string_view text) const;

  std::vector<SpecialToken> tokens_;    // sorted by text, each text once, with its lowest id
  std::array<bool, 256> starts_one_{};  // by first byte
};

}  // namespace bitnet
