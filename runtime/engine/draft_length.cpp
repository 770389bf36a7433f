// engine/draft_length.cpp - running means, and the size with the most tokens for its time.
#include "engine/draft_length.h"

#include <algorithm>
#include <bit>

namespace bitnet::engine {
namespace {

constexpr double kIncome = 0.015;     // of a step, for each token
constexpr double kLeastGain = 1.05;   // a batch has to promise so many times the tokens of single steps
constexpr double kFirstGuess = 0.35;  // of a step, what one more token of a batch costs until it was measured

size_t length_class(uint32_t match) { return static_cast<size_t>(std::bit_width(std::min(match, 32u))); }

// Time that other work on the machine took does not count for more than this many times what was expected.
constexpr double kOutlier = 2;

void move_towards(double& mean, double value, double weight) { mean += (std::min(value, kOutlier * mean) - mean) * weight; }

}  // namespace

size_t DraftLength::size_class(uint32_t n) {
  return static_cast<size_t>(std::lower_bound(kSizes.begin(), kSizes.end(), n) - kSizes.begin());
}

// Steps that a batch of n tokens takes: as measured; for sizes not seen yet a guess, but no less than a smaller one took.
double DraftLength::ratio(uint32_t n) const {
  const size_t size = size_class(n);
  if (ratio_[size] > 0) return ratio_[size];
  double least = 1 + kFirstGuess * (n - 1);
  for (size_t i = 0; i < size; ++i) least = std::max(least, ratio_[i]);
  return least;
}

uint32_t DraftLength::choose(uint32_t match, uint32_t most) const {
  if (step_ <= 0) return 0;
  most = std::min(most, kMost);
  uint32_t best = 0;
  double best_gain = kLeastGain, all_right = 1, tokens = 1;
  for (uint32_t k = 1; k <= most; ++k) {
    all_right *= right_[length_class(match + k - 1)];
    tokens += all_right;
    if (k != most && kSizes[size_class(k + 1)] != k + 1) continue;
    const double price = ratio(k + 1);
    if (price - 1 > purse_) break;
    if (tokens / price > best_gain) best = k, best_gain = tokens / price;
  }
  return best;
}

void DraftLength::saw_guess(uint32_t match, bool right) {
  double& share = right_[length_class(match)];
  share += ((right ? 1 : 0) - share) / 16;
}

void DraftLength::saw_step(double seconds) {
  constexpr uint32_t kMemory = 16;  // steps
  n_steps_ = std::min(n_steps_ + 1, kMemory);
  if (n_steps_ == 1) step_ = seconds;
  move_towards(step_, seconds, 1.0 / n_steps_);
  purse_ = std::min(purse_ + kIncome, kPurse);
}

void DraftLength::saw_batch(uint32_t n, uint32_t n_useful, double seconds) {
  if (step_ <= 0) return;
  const double steps = std::min(seconds / step_, static_cast<double>(n));  // one by one they would not take more
  double& known = ratio_[size_class(n)];
  if (known <= 0) known = steps;
  move_towards(known, steps, 0.25);
  purse_ = std::min(purse_ + n_useful * (1 + kIncome) - steps, kPurse);
}

}  // namespace bitnet::engine
