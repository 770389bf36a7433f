// engine/speculation.h - tokens that probably come next, to be computed together: guesses from the text itself, and the book
// about them.
//
// Lossless: a guess becomes text only where the sampler draws the same token, so it changes the time and nothing else.
// Threads one at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/draft_length.h"
#include "engine/prompt_lookup.h"

namespace bitnet::engine {

struct SpeculationCounts {
  uint64_t steps = 0;     // all, one by one and batches
  uint64_t batches = 0;   // of these, with guesses
  uint64_t drafted = 0;   // guesses computed
  uint64_t accepted = 0;  // of these, became text

  SpeculationCounts& operator+=(const SpeculationCounts& other) {
    steps += other.steps, batches += other.batches, drafted += other.drafted, accepted += other.accepted;
    return *this;
  }
};

class Speculation {
 public:
  // draft_min, draft_max: guesses of a batch, at least (where there are any) and at most; n_ctx: tokens of the longest text.
  Speculation(uint32_t draft_min, uint32_t draft_max, uint32_t n_ctx)
      : draft_min_(draft_min), draft_max_(draft_max), lookup_(n_ctx) {}

  // Guesses to compute with the next token, at most `most`; none: a plain step is the better choice. Valid until the next call.
  std::span<const int32_t> draft(std::span<const int32_t> text, uint32_t most);
  // The step after draft() gave these tokens, at least one.
  void saw(std::span<const int32_t> came, double seconds);
  // The text has been cut to its first n tokens.
  void forget(uint32_t n);

  const SpeculationCounts& counts() const { return counts_; }

 private:
  PromptLookup::Match resumed(std::span<const int32_t> text) const;

  uint32_t draft_min_, draft_max_;
  PromptLookup lookup_;
  DraftLength length_;
  PromptLookup::Match match_;   // of the last draft(); next 0: none
  uint32_t size_ = 0;           // of the text then
  uint32_t n_lost_ = 0;         // tokens since it last went as at the match
  std::vector<int32_t> guess_;  // at least one of a match, also when a plain step was advised
  uint32_t n_drafted_ = 0;      // of these, to be computed
  SpeculationCounts counts_;
};

}  // namespace bitnet::engine
