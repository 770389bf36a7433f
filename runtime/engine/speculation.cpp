// engine/speculation.cpp - look up, choose, compare.
#include "engine/speculation.h"

#include <algorithm>

namespace bitnet::engine {

namespace {

constexpr uint32_t kLost = 4;  // tokens of its own that a text may have before its last place is given up

}  // namespace

// The place of the last match, moved along with the text: behind a word that was changed the text often goes on as there.
PromptLookup::Match Speculation::resumed(std::span<const int32_t> text) const {
  const uint32_t n = static_cast<uint32_t>(text.size());
  if (match_.next == 0 || n < size_ || n_lost_ > kLost || match_.next + (n - size_) >= n) return {};
  PromptLookup::Match match{match_.next + (n - size_), 0};
  const uint32_t most = std::min(match.next, PromptLookup::kLongest);
  while (match.length < most && text[match.next - 1 - match.length] == text[n - 1 - match.length]) ++match.length;
  return match;
}

std::span<const int32_t> Speculation::draft(std::span<const int32_t> text, uint32_t most) {
  const PromptLookup::Match found = lookup_.find(text), last = resumed(text);
  const uint32_t n = static_cast<uint32_t>(text.size());
  const bool is_last = last.next != 0 && last.length >= found.length;
  n_lost_ = is_last && last.length == 0 ? n_lost_ + n - size_ : 0;
  match_ = is_last ? last : found;
  size_ = n;
  most = std::min(most, draft_max_);
  const bool any = match_.next != 0;
  const uint32_t least = match_.length != 0 ? std::min(draft_min_, most) : 0;
  n_drafted_ = any ? std::max(length_.choose(match_.length, most), least) : 0;
  guess_.resize(any ? std::max(n_drafted_, 1u) : 0);
  for (uint32_t i = 0; i < guess_.size(); ++i) guess_[i] = followed_by(text, match_.next, i);
  return std::span(guess_).first(n_drafted_);
}

void Speculation::forget(uint32_t n) {
  lookup_.forget(n);
  match_ = {};
}

void Speculation::saw(std::span<const int32_t> came, double seconds) {
  uint32_t n_right = 0;
  for (bool right = true; right && n_right < std::min(guess_.size(), came.size()); n_right += right ? 1 : 0) {
    right = came[n_right] == guess_[n_right];
    length_.saw_guess(match_.length + n_right, right);
  }
  ++counts_.steps;
  if (n_drafted_ == 0) return length_.saw_step(seconds);
  ++counts_.batches;
  counts_.drafted += n_drafted_;
  counts_.accepted += n_right;
  length_.saw_batch(n_drafted_ + 1, static_cast<uint32_t>(came.size()), seconds);
}

}  // namespace bitnet::engine
