// engine/sampler.cpp - penalties, candidate selection, draw.
#include "engine/sampler.h"

#include <algorithm>
#include <unordered_map>

#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::engine {
namespace {

struct Candidate {
  float logit;
  int32_t id;
};

bool before(const Candidate& a, const Candidate& b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

void apply_penalties(std::span<float> logits, std::span<const int32_t> history, const SamplerSettings& s) {
  if (s.repeat_penalty == 1.0f && s.presence_penalty == 0.0f && s.frequency_penalty == 0.0f) return;
  size_t window = history.size();
  if (s.repeat_last_n >= 0) window = std::min(window, static_cast<size_t>(s.repeat_last_n));
  std::unordered_map<int32_t, uint32_t> counts;
  for (int32_t id : history.last(window)) ++counts[id];
  for (const auto& [id, count] : counts) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    float& logit = logits[static_cast<size_t>(id)];
    logit = logit > 0 ? logit / s.repeat_penalty : logit * s.repeat_penalty;
    logit -= s.presence_penalty + s.frequency_penalty * static_cast<float>(count);
  }
}

int32_t argmax(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<int32_t>(best);
}

// The k best of all logits, sorted. k <= 0: all.
std::vector<Candidate> best_candidates(std::span<const float> logits, int32_t k) {
  std::vector<Candidate> candidates(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates[i] = {logits[i], static_cast<int32_t>(i)};
  const size_t keep = k <= 0 ? candidates.size() : std::min(candidates.size(), static_cast<size_t>(k));
  if (keep < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(keep), candidates.end(), before);
    candidates.resize(keep);
  }
  std::sort(candidates.begin(), candidates.end(), before);
  return candidates;
}

// Weight of a candidate relative to the best one.
double weight(const std::vector<Candidate>& candidates, size_t i, float temperature) {
  return static_cast<double>(bn::kit::exp1((candidates[i].logit - candidates[0].logit) / temperature));
}

// Keeps the smallest head of the list whose probability reaches top_p, then drops what is below min_p times the best.
void cut_tail(std::vector<Candidate>& candidates, const SamplerSettings& s) {
  if (s.top_p < 1.0f) {
    double total = 0, sum = 0;
    for (size_t i = 0; i < candidates.size(); ++i) total += weight(candidates, i, 1.0f);
    size_t keep = 0;
    do {
      sum += weight(candidates, keep++, 1.0f);
    } while (keep < candidates.size() && sum < static_cast<double>(s.top_p) * total);
    candidates.resize(keep);
  }
  size_t keep = 1;
  while (keep < candidates.size() && weight(candidates, keep, 1.0f) >= static_cast<double>(s.min_p)) ++keep;
  candidates.resize(keep);
}

}  // namespace

PhiloxBlock philox(PhiloxBlock c, uint64_t key) {
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

int32_t sample(std::span<float> logits, std::span<const int32_t> history, const SamplerSettings& s) {
  for (const auto& [id, bias] : s.logit_bias) {
    if (id >= 0 && static_cast<size_t>(id) < logits.size()) logits[static_cast<size_t>(id)] += bias;
  }
  apply_penalties(logits, history, s);
  if (s.temperature <= 0.0f) return argmax(logits);
  std::vector<Candidate> candidates = best_candidates(logits, s.top_k);
  cut_tail(candidates, s);
  double total = 0;
  for (size_t i = 0; i < candidates.size(); ++i) total += weight(candidates, i, s.temperature);
  const uint64_t position = history.size();
  const PhiloxBlock random = philox({{static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), 0, 0}}, s.seed);
  const uint64_t bits = (static_cast<uint64_t>(random.word[0]) << 32 | random.word[1]) >> 11;
  double left = static_cast<double>(bits) * 0x1p-53 * total;
  for (size_t i = 0; i + 1 < candidates.size(); ++i) {
    left -= weight(candidates, i, s.temperature);
    if (left < 0) return candidates[i].id;
  }
  return candidates.back().id;
}

}  // namespace bitnet::engine
