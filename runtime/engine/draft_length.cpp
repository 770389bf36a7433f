// engine/draft_length.cpp - what batches cost, how often guesses come true, and the size with the most tokens for its time.
#include "engine/draft_length.h"

#include <algorithm>
#include <bit>

namespace bitnet::engine {
namespace {

constexpr double kIncome = 0.012;     // of a step, for each token
constexpr double kLeastGain = 1.1;    // a batch has to promise so many times the tokens of single steps
constexpr double kFirstGuess = 0.35;  // of a step, what one more token of a batch costs until it was measured
constexpr uint32_t kFirstBatch = 8;   // tokens, before anything was measured
constexpr uint64_t kFresh = 256;      // decode steps, as long as the time of a batch is believed
constexpr uint32_t kEnough = 3;       // times of a size; fewer may all be other work's fault
constexpr uint32_t kWeight = 16;      // guesses that a share stands for at most, so that it follows the text

size_t length_class(uint32_t match) { return static_cast<size_t>(std::bit_width(std::min(match, 32u))); }

}  // namespace

void DraftLength::Times::add(double seconds, uint64_t now) {
  std::move_backward(newest.begin(), newest.end() - 1, newest.end());
  newest[0] = {seconds, now};
  n = std::min(n + 1, kTimes);
}

uint32_t DraftLength::Times::since(uint64_t start) const {
  uint32_t count = 0;
  while (count < n && newest[count].when >= start) ++count;
  return count;
}

double DraftLength::Times::median(uint32_t count) const {
  std::array<double, kTimes> sorted{};
  for (uint32_t i = 0; i < count; ++i) sorted[i] = newest[i].seconds;
  std::sort(sorted.begin(), sorted.begin() + count);
  return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

size_t DraftLength::size_class(uint32_t n) {
  return static_cast<size_t>(std::lower_bound(kSizes.begin(), kSizes.end(), n) - kSizes.begin());
}

// The first decode step whose time is still believed.
uint64_t DraftLength::oldest() const { return now_ > kFresh ? now_ - kFresh : 0; }

// Of a batch of n tokens, in steps: between and beyond the sizes that were measured, on straight lines.
double DraftLength::price(uint32_t n) const {
  const double step = step_.median(step_.n);
  double below = 1, below_price = 1, slope = kFirstGuess;
  for (size_t i = 0; i < kSizes.size(); ++i) {
    const uint32_t count = batch_[i].since(oldest());
    if (count == 0) continue;
    const double size = kSizes[i], guess = 1 + kFirstGuess * (size - 1);
    double seen = batch_[i].median(count) / step;
    if (count < kEnough) seen = std::min(seen, guess);
    if (n <= kSizes[i]) return below_price + (seen - below_price) * (n - below) / (size - below);
    below = size, below_price = seen, slope = (seen - 1) / (size - 1);
  }
  return below_price + slope * (n - below);
}

// One size beyond those that were measured: the time of a batch may jump where kernels change.
uint32_t DraftLength::largest_to_try() const {
  size_t next = size_class(kFirstBatch);
  for (size_t i = 0; i + 1 < kSizes.size(); ++i) {
    if (batch_[i].since(oldest()) != 0) next = std::max(next, i + 1);
  }
  return kSizes[next];
}

uint32_t DraftLength::choose(uint32_t match, uint32_t most) const {
  if (step_.n == 0) return 0;
  most = std::min({most, kMost, largest_to_try() - 1});
  const double doubt = 1 - right_[length_class(match)].part;  // that the first guess is wrong, and with it all
  uint32_t best = 0;
  double best_gain = kLeastGain, all_right = 1, tokens = 1, cost = 1;
  for (uint32_t k = 1; k <= most; ++k) {
    all_right *= right_[length_class(match + k - 1)].part;
    tokens += all_right;
    if (k != most && kSizes[size_class(k + 1)] != k + 1) continue;
    cost = std::max(cost, price(k + 1));  // of a larger batch: no less than of a smaller one
    if ((cost - 1) * doubt > purse_) break;
    if (tokens / cost > best_gain) best = k, best_gain = tokens / cost;
  }
  return best;
}

void DraftLength::saw_guess(uint32_t match, bool right) {
  Share& share = right_[length_class(match)];
  share.weight = std::min(share.weight + 1, kWeight);
  share.part += ((right ? 1 : 0) - share.part) / share.weight;
}

void DraftLength::saw_step(double seconds) {
  step_.add(seconds, ++now_);
  purse_ = std::min(purse_ + kIncome, kPurse);
}

void DraftLength::saw_batch(uint32_t n, uint32_t n_useful, double seconds) {
  if (step_.n == 0) return;
  Times& times = batch_[size_class(n)];
  times.add(seconds, ++now_);
  // What else the machine does at the same time is not this batch's fault, as far as earlier ones tell.
  const double cost = times.median(times.since(oldest())) / step_.median(step_.n);
  purse_ = std::min(purse_ + n_useful * (1 + kIncome) - cost, kPurse);
}

}  // namespace bitnet::engine
