// engine/draft_length.h - how many guessed tokens are worth computing at once: from what batches cost here, and how often such
// guesses came true.
//
// A batch of the newest token and k guesses gives 1 + p1 + p1 p2 + ... tokens, in the time of several steps. Guesses are judged
// also when they were not computed, so learning how good they are costs nothing. A long match is trusted from the start.
//
// What sizes cost is known from the medians of their latest times, against the median of the latest single steps: other work on
// the machine makes some of them long. Sizes in between and beyond are put on straight lines, so one batch that was cheap leads
// to the next larger one.
//
// A batch that gives less than it takes is paid from a purse: it starts with the price of kStart steps, every token adds 1.2 %
// of one, and batches that paid off fill it to at most kPurse. A batch is computed only if the purse holds what it would cost
// in vain, times how likely that is; so whatever the text is like, n tokens lose about the time of a few steps and 0.012 n.
// Threads one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bitnet::engine {

class DraftLength {
 public:
  static constexpr uint32_t kMost = 63;  // guesses of a batch

  // Guesses to compute with the next token, at most `most`; 0: none. match: tokens that equal those at the place where the
  // guesses come from.
  uint32_t choose(uint32_t match, uint32_t most) const;

  // A guess behind `match` equal tokens came true, or did not.
  void saw_guess(uint32_t match, bool right);
  // A step that computed one token.
  void saw_step(double seconds);
  // A batch of n >= 2 tokens, of which n_useful became text.
  void saw_batch(uint32_t n, uint32_t n_useful, double seconds);

 private:
  static constexpr double kStart = 1.5, kPurse = 16;  // steps
  static constexpr std::array<uint32_t, 13> kSizes = {2,  3,  4,  5,  6,  8,        10,
                                                      12, 16, 24, 32, 48, kMost + 1};  // tokens of a batch
  static constexpr uint32_t kTimes = 5;
  struct Time {
    double seconds = 0;
    uint64_t when = 0;  // the number of the decode step
  };
  struct Times {
    std::array<Time, kTimes> newest{};  // first the last one
    uint32_t n = 0;
    void add(double seconds, uint64_t now);
    uint32_t since(uint64_t start) const;  // how many are not older
    double median(uint32_t count) const;   // seconds, of the last `count`, at least one
  };
  struct Share {
    double part;          // of the guesses that came true
    uint32_t weight = 4;  // guesses it stands for
  };

  static size_t size_class(uint32_t n);
  uint64_t oldest() const;
  double price(uint32_t n) const;
  uint32_t largest_to_try() const;  // tokens of a batch

  uint64_t now_ = 0;  // decode steps so far
  Times step_;        // of one token
  std::array<Times, kSizes.size()> batch_;
  double purse_ = kStart;                                                             // steps
  std::array<Share, 7> right_{{{0.3}, {0.3}, {0.4}, {0.7}, {0.85}, {0.95}, {0.97}}};  // by bits of the length of the match
};

}  // namespace bitnet::engine
