// model/best_rows.h - the k best logits of a step, exact, from a screened head: most rows of the stored head are not read.
//
// Of every row r the copy gives an estimate E[r] and a bound b[r] = coefficient[r] |x| + absolute with |z[r] - E[r]| <= b[r],
// z the logit that the full head would compute. T, the k-th largest of fl(E - b), is at most the k-th largest logit: k rows
// have logits of at least T. So a row with fl(E + b) < T is not among the best; the others, the candidates, are gathered and
// multiplied by the same op in the same dtype as the full head: first the k with the largest E, then of the others those
// with fl(E + b) not below the smallest logit of these k, a T that needs no bounds. The sums may be rounded because z is itself
// a float: rounding never carries E + b below it, or E - b above it. Rows that tie with the k-th are candidates, too, so ties
// fall as they would.
//
// The full head is used for a token instead when
//   - its x is zero, not finite, or so large that the bound is not proven;
//   - an estimate is not finite;
//   - all rows are candidates, or more than an eighth of them and than 2 k. All are when all logits are equal, so that case is
//     seen where all logits are checked;
//   - a candidate's logit is outside its bound: then copy or backend are broken, and the copy is not used again.
//
// Memory  [k][rows][members] floats, and candidates; nothing is allocated in a step once the vectors have grown. Candidates
//         are read from the file, and a step that reads all of the stored head gives its pages back as it goes, so that it does
//         not become resident beside its copy.
// Threads run() by all members of the team, inside a region; the rest outside.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "bitnet/engine.h"
#include "bitnet/kit/sampler.hpp"
#include "model/screened_head.h"

namespace bitnet::model {

// What the head did since the model was loaded; a token is one row of logits.
struct HeadUse {
  uint64_t screen_bytes = 0;     // of the copy, 0: there is none
  bool is_cached = false;        // the copy was mapped from the prepack cache
  uint64_t screened = 0;         // tokens whose best logits came from the copy and candidates
  uint64_t candidates = 0;       // rows computed exactly for them, together
  uint64_t most_candidates = 0;  // for one token
  uint64_t fell_back = 0;        // tokens meant to be screened for which the full head was needed
};

class BestRows {
 public:
  using Candidate = bn::kit::Candidate;
  // Tokens of a step at most: with more, multiplying costs more than reading, and the copy saves none of that.
  static constexpr uint32_t kMostTokens = 16;

  BestRows(const ScreenedHead& head, backend::Ops& ops);

  bool can(uint32_t n_tokens, uint32_t k) const { return !broken_ && n_tokens <= kMostTokens && k >= 1 && k <= BN_TOPK_MAX; }

  // Before and after a region of run(); k as in can(), at most n_vocab.
  void begin(uint32_t n_tokens, uint32_t k);
  void end();
  // x [n_tokens] rows of n_embd; logits: room for [n_tokens][n_vocab].
  void run(uint32_t member, backend::Activations x, float* logits);
  // After end(): the k best of a token in order, or empty: then the token's row of logits is complete.
  std::span<const Candidate> best(uint32_t token) const { return tokens_[token].best; }

  // All logits of all tokens, as Ops::dense. Between begin_full() and the end of the region.
  void begin_full();
  void run_full(uint32_t member, backend::Activations x, float* logits, uint32_t n_tokens);

  const HeadUse& use() const { return use_; }

 private:
  struct Token {
    float norm = 0;                   // |x|, enlarged by what the products with it lose
    float threshold = 0;              // T
    std::atomic<bool> full{false};    // the full head is needed
    std::atomic<bool> broken{false};  // a logit was outside its bound
    std::vector<Candidate> candidates, best;
  };
  struct alignas(64) Member {
    std::vector<float> largest[kMostTokens];   // lower bounds, a heap with the smallest in front
    std::vector<uint32_t> found[kMostTokens];  // candidates
    AlignedBuffer rows;                        // gathered
  };

  void measure(Token& token, const float* x) const;
  void note_largest(uint32_t member, uint32_t t, const float* estimates, uint32_t row0, uint32_t row1);
  void set_threshold(uint32_t t);
  void note_candidates(uint32_t member, uint32_t t, const float* estimates, uint32_t row0, uint32_t row1);
  void join_candidates(uint32_t t, const float* estimates);
  void drop_candidates(Token& token, const float* estimates) const;
  bn_status compute(uint32_t member, Token& token, const float* x, const float* estimates, uint32_t begin, uint32_t end,
                    void* scratch);
  void choose(Token& token);
  void multiply_full(uint32_t member, backend::Activations x, backend::Activations y, uint32_t n_tokens, bool release);
  void release_stored(uint32_t row0, uint32_t row1) const;

  const ScreenedHead& head_;
  backend::Ops& op_;
  uint64_t row_bytes_;  // of the stored head
  uint32_t n_tokens_ = 0, k_ = 0;
  Token tokens_[kMostTokens];
  std::vector<Member> members_;
  HeadUse use_;
  bool broken_ = false;
  uint32_t full_in_a_row_ = 0;  // steps that wanted all logits, one after the other
};

}  // namespace bitnet::model
