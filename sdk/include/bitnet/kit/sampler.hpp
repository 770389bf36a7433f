// bitnet/kit/sampler.hpp - the canonical sampler of exact-1: the next token from logits, greedy or drawn.
//
// A pure function of (logits, bn_sampler, position): no generator state exists, so any engine can go on where another stopped
// and draws the same. position: how many tokens the sequence has; the token drawn will be at that index.
// Order   top-k, top-p, min-p, temperature, draw. sdk/README.md says it in words.
// Input   logits are not NaN, at least one is finite.
// Memory  a list of the candidates is allocated: std::bad_alloc.
// Build   uses templates of the standard library: include it in sources compiled for the baseline CPU.
// Source  Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011. min-p: arXiv 2407.01082.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bitnet/engine.h"
#include "bitnet/kit/arithmetic.hpp"
#include "bitnet/kit/plugin.hpp"

namespace bn::kit {

struct Candidate {
  float logit;
  int32_t id;
};

// The order of every list: falling logit, ties by rising id.
BN_KIT_FN bool ranks_before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// Philox4x32-10: four random words from a 128-bit counter and a 64-bit key.
struct PhiloxBlock {
  uint32_t word[4];
};
BN_KIT_FN PhiloxBlock philox(PhiloxBlock c, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xD2511F53ull * c.word[0], p1 = 0xCD9E8D57ull * c.word[2];
    c = {{static_cast<uint32_t>(p1 >> 32) ^ c.word[1] ^ k0, static_cast<uint32_t>(p1),
          static_cast<uint32_t>(p0 >> 32) ^ c.word[3] ^ k1, static_cast<uint32_t>(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// In [0, 1), a multiple of 2^-53: the random number of one position.
BN_KIT_FN double uniform_at(uint64_t seed, uint64_t position) {
  const PhiloxBlock r = philox({{static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), 0, 0}}, seed);
  return static_cast<double>((static_cast<uint64_t>(r.word[0]) << 32 | r.word[1]) >> 11) * 0x1p-53;
}

// The best logit's id, the lowest on ties.
static inline int32_t argmax(const float* logits, uint32_t n) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < n; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<int32_t>(best);
}

// The k best of n logits in order; k 0 or above n: all.
static inline std::vector<Candidate> top_candidates(const float* logits, uint32_t n, uint32_t k) {
  std::vector<Candidate> list(n);
  for (uint32_t i = 0; i < n; ++i) list[i] = {logits[i], static_cast<int32_t>(i)};
  if (k != 0 && k < n) {
    std::nth_element(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(k), list.end(), ranks_before);
    list.resize(k);
  }
  std::sort(list.begin(), list.end(), ranks_before);
  return list;
}

// Weight of a candidate relative to the best one.
static inline double candidate_weight(const std::vector<Candidate>& list, size_t i, float temperature) {
  return static_cast<double>(exp1((list[i].logit - list[0].logit) / temperature));
}

// Keeps the shortest head of the list whose share of the weights reaches top_p, then drops what is below min_p times the best.
// Both look at the weights of temperature 1.
static inline void cut_tail(std::vector<Candidate>& list, float top_p, float min_p) {
  if (top_p < 1.0f) {
    double total = 0, sum = 0;
    for (size_t i = 0; i < list.size(); ++i) total += candidate_weight(list, i, 1.0f);
    size_t keep = 0;
    do {
      sum += candidate_weight(list, keep++, 1.0f);
    } while (keep < list.size() && sum < static_cast<double>(top_p) * total);
    list.resize(keep);
  }
  size_t keep = 1;
  while (keep < list.size() && candidate_weight(list, keep, 1.0f) >= static_cast<double>(min_p)) ++keep;
  list.resize(keep);
}

// From a list in order, not empty, that holds all top_k candidates (top_k 0: the whole vocabulary).
static inline int32_t sample_candidates(const bn_sampler& s, uint64_t position, std::vector<Candidate> list) {
  if (s.temperature <= 0.0f) return list[0].id;
  if (s.top_k != 0 && s.top_k < list.size()) list.resize(s.top_k);
  cut_tail(list, s.top_p, s.min_p);
  double total = 0;
  for (size_t i = 0; i < list.size(); ++i) total += candidate_weight(list, i, s.temperature);
  double left = uniform_at(s.seed, position) * total;
  for (size_t i = 0; i + 1 < list.size(); ++i) {
    left -= candidate_weight(list, i, s.temperature);
    if (left < 0) return list[i].id;
  }
  return list.back().id;
}

// From all logits [n_vocab].
static inline int32_t sample_logits(const bn_sampler& s, uint64_t position, const float* logits, uint32_t n_vocab) {
  if (s.temperature <= 0.0f) return argmax(logits, n_vocab);
  return sample_candidates(s, position, top_candidates(logits, n_vocab, s.top_k));
}

// From an exact top-k list as bn_output gives it, k at least min(top_k, n_vocab). Of a greedy sampler one entry is enough;
// a sampler with top_k 0 needs the whole vocabulary.
static inline int32_t sample_top(const bn_sampler& s, uint64_t position, const int32_t* top_id, const float* top_logit,
                                 uint32_t k) {
  if (s.temperature <= 0.0f) return top_id[0];
  std::vector<Candidate> list(k);
  for (uint32_t i = 0; i < k; ++i) list[i] = {top_logit[i], top_id[i]};
  return sample_candidates(s, position, std::move(list));
}

static inline bool is_stop_token(const bn_sampler& s, int32_t token) {
  return std::find(s.stop, s.stop + s.n_stop, token) != s.stop + s.n_stop;
}

// What decode() has to refuse: sampler features it does not know, numbers out of range.
static inline bn_status check_sampler(const bn_sampler* s, bn_error* error) {
  const auto is_share = [](float x) { return x >= 0.0f && x <= 1.0f; };  // false for NaN
  if (s == nullptr || !BN_HAS(s, n_stop)) return set_error(error, BN_E_INVALID, "decode: no sampler, or one cut short");
  if (s->must != 0) {
    return set_error(error, BN_E_UNSUPPORTED, "decode: sampler feature bits 0x%llx are not known to this engine",
                     static_cast<unsigned long long>(s->must));
  }
  if (s->top_k > BN_TOPK_MAX) {
    return set_error(error, BN_E_INVALID, "decode: top_k %u is above %u (0 means all)", s->top_k, BN_TOPK_MAX);
  }
  if (!(s->temperature >= 0.0f) || s->temperature > 3.4e38f || !is_share(s->top_p) || !is_share(s->min_p)) {
    return set_error(error, BN_E_INVALID, "decode: temperature %g, top_p %g or min_p %g is out of range",
                     static_cast<double>(s->temperature), static_cast<double>(s->top_p), static_cast<double>(s->min_p));
  }
  if (s->n_stop != 0 && s->stop == nullptr) return set_error(error, BN_E_INVALID, "decode: stop tokens without a list");
  return BN_OK;
}

}  // namespace bn::kit
