// engine/prompt_lookup.h - finds the last place where a text went as it goes at its end: what followed there may follow again.
//
// Every run of 2, 3 and 4 tokens is remembered by its hash with the place behind its latest occurrence, older ones and those
// that share a slot are forgotten. A look-up and a new token cost the same however long the text is. What is found is compared
// token by token: a hash alone proves nothing.
// Errors  std::bad_alloc. Threads one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnet::engine {

class PromptLookup {
 public:
  // n_most: tokens of the longest text.
  explicit PromptLookup(uint32_t n_most);

  struct Match {
    uint32_t next = 0;    // position of the token that followed there
    uint32_t length = 0;  // tokens before it that equal the end of the text, counted to kLongest; 0: no match
  };
  static constexpr uint32_t kLongest = 32;

  // The latest match for the longest of the runs at the end of text. The text is that of the last call, with more tokens.
  Match find(std::span<const int32_t> text);

  // The text has been cut to its first n tokens. What the rest pushed out of the tables is put in again by the next look-up.
  void forget(uint32_t n) { n_known_ = n < n_known_ ? 0 : n_known_; }

 private:
  static constexpr std::array<uint32_t, 3> kRuns = {4, 3, 2};
  uint32_t& slot(size_t run, const int32_t* end);

  uint32_t n_known_ = 0;  // runs that end at positions up to this one are in the tables
  uint32_t mask_;
  std::array<std::vector<uint32_t>, kRuns.size()> tables_;  // position behind a run; 0: none
};

// What followed a match: token i of the continuation of text from `next`, which goes on with itself where the text ends.
int32_t followed_by(std::span<const int32_t> text, uint32_t next, uint32_t i);

}  // namespace bitnet::engine
