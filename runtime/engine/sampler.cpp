// engine/sampler.cpp - bias and penalties in front of the canonical sampler.
#include "engine/sampler.h"

#include <algorithm>
#include <unordered_map>

namespace bitnet::engine {
namespace {

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

}  // namespace

int32_t sample(std::span<float> logits, std::span<const int32_t> history, const SamplerSettings& s) {
  for (const auto& [id, bias] : s.logit_bias) {
    if (id >= 0 && static_cast<size_t>(id) < logits.size()) logits[static_cast<size_t>(id)] += bias;
  }
  apply_penalties(logits, history, s);
  bn_sampler canonical{};
  canonical.struct_size = sizeof canonical;
  canonical.top_k = static_cast<uint32_t>(std::max(s.top_k, 0));
  canonical.temperature = s.temperature;
  canonical.top_p = s.top_p;
  canonical.min_p = s.min_p;
  canonical.seed = s.seed;
  return bn::kit::sample_logits(canonical, history.size(), logits.data(), static_cast<uint32_t>(logits.size()));
}

}  // namespace bitnet::engine
