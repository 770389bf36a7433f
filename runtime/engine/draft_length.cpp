// engine/draft_length.cpp - running means, and the size with the most tokens for its time.
#include "engine/draft_length.h"

#include <algorithm>
#include <bit>

namespace bitnet::engine {
namespace {

constexpr double kIncome = 0.015;    // of a step, for each token
constexpr double kLeastGain = 1.1;   // a batch has to promise so many times the tokens of single steps
constexpr double kFirstGuess = 0.5;  // of a step, what one more token of a batch costs until it was measured

size_t length_class(uint32_t match) { return static_cast<size_t>(std::bit_width(std::min(match, 32u))); }

// Other work on the machine only ever adds to a time: downwards a mean follows quickly, upwards slowly and never far at once.
void follow(double& mean, double value) {
  const double most = 2 * mean;
  mean += (std::min(value, most) - mean) * (value < mean ? 0.25 : 1.0 / 16);
}

}  // namespace

size_t DraftLength::size_class(uint32_t n) {
  return static_cast<size_t>(std::lower_bound(kSizes.begin(), kSizes.end(), n) - kSizes.begin());
}

// Of a batch of n tokens, of a size not seen yet.
double DraftLength::first_guess(uint32_t n) const { return step_ * (1 + kFirstGuess * (n - 1)); }

double DraftLength::seconds_of(uint32_t n) const {
  const double seen = batch_[size_class(n)];
  return seen > 0 ? seen : first_guess(n);
}

uint32_t DraftLength::choose(uint32_t match, uint32_t most) const {
  if (step_ <= 0) return 0;
  most = std::min(most, kMost);
  const double doubt = 1 - right_[length_class(match)];  // that the first guess is wrong, and with it all
  uint32_t best = 0;
  double best_gain = kLeastGain, all_right = 1, tokens = 1, price = 1;
  for (uint32_t k = 1; k <= most; ++k) {
    all_right *= right_[length_class(match + k - 1)];
    tokens += all_right;
    if (k != most && kSizes[size_class(k + 1)] != k + 1) continue;
    price = std::max(price, seconds_of(k + 1) / step_);  // of a larger batch: no less than of a smaller one
    if ((price - 1) * doubt > purse_) break;
    if (tokens / price > best_gain) best = k, best_gain = tokens / price;
  }
  return best;
}

void DraftLength::saw_guess(uint32_t match, bool right) {
  double& share = right_[length_class(match)];
  share += ((right ? 1 : 0) - share) / 16;
}

// A size that was slow once, perhaps because of other work, gets another chance after some dozens of steps; the purse pays.
void DraftLength::forgive() {
  for (size_t i = 0; i < kSizes.size(); ++i) {
    if (batch_[i] > first_guess(kSizes[i])) batch_[i] += (first_guess(kSizes[i]) - batch_[i]) / 64;
  }
}

void DraftLength::saw_step(double seconds) {
  if (step_ <= 0) step_ = seconds;
  follow(step_, seconds);
  purse_ = std::min(purse_ + kIncome, kPurse);
  forgive();
}

void DraftLength::saw_batch(uint32_t n, uint32_t n_useful, double seconds) {
  if (step_ <= 0) return;
  forgive();
  seconds = std::min(seconds, n * step_);  // one by one they would not take more
  double& known = batch_[size_class(n)];
  if (known <= 0) known = seconds;
  follow(known, seconds);
  purse_ = std::min(purse_ + n_useful * (1 + kIncome) - seconds / step_, kPurse);
}

}  // namespace bitnet::engine
