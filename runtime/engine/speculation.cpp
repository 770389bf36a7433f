// engine/speculation.cpp - look up, choose, compare.
#include "engine/speculation.h"

#include <algorithm>

namespace bitnet::engine {

std::span<const int32_t> Speculation::draft(std::span<const int32_t> text, uint32_t most) {
  const PromptLookup::Match match = lookup_.find(text);
  match_ = match.length;
  most = std::min(most, draft_max_);
  n_drafted_ = match_ != 0 ? std::max(length_.choose(match_, most), std::min(draft_min_, most)) : 0;
  guess_.resize(match_ != 0 ? std::max(n_drafted_, 1u) : 0);
  for (uint32_t i = 0; i < guess_.size(); ++i) guess_[i] = followed_by(text, match.next, i);
  return std::span(guess_).first(n_drafted_);
}

void Speculation::saw(std::span<const int32_t> came, double seconds) {
  uint32_t n_right = 0;
  for (bool right = true; right && n_right < std::min(guess_.size(), came.size()); n_right += right ? 1 : 0) {
    right = came[n_right] == guess_[n_right];
    length_.saw_guess(match_ + n_right, right);
  }
  ++counts_.steps;
  if (n_drafted_ == 0) return length_.saw_step(seconds);
  ++counts_.batches;
  counts_.drafted += n_drafted_;
  counts_.accepted += n_right;
  length_.saw_batch(n_drafted_ + 1, static_cast<uint32_t>(came.size()), seconds);
}

}  // namespace bitnet::engine
