// engine/sampler.h - the next token from logits: bias and penalties, then the SDK's canonical sampler (kit/sampler.hpp).
//
// A pure function of (logits, tokens so far, settings, position): no generator state exists, so a run can be continued
// anywhere, on any backend, and draws the same. Order: logit bias, penalties, top-k, top-p, min-p, temperature, draw.
// Threads pure.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "bitnet/kit/sampler.hpp"

namespace bitnet::engine {

using bn::kit::philox;
using bn::kit::PhiloxBlock;

struct SamplerSettings {
  uint64_t seed = 0;
  float temperature = 0.8f;     // 0: greedy
  int32_t top_k = 40;           // <= 0: off
  float top_p = 0.95f;          // 1: off; 0 keeps the best token
  float min_p = 0.05f;          // 0: off
  float repeat_penalty = 1.0f;  // > 1: tokens of the window are less likely
  int32_t repeat_last_n = 64;   // window in tokens; -1: all
  float presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::pair<int32_t, float>> logit_bias;  // (id, added to its logit)
};

// logits: [n], changed in place by bias and penalties; ids >= n are never sampled. history: the tokens of the sequence; its
// length is the position. At least one logit must be finite.
int32_t sample(std::span<float> logits, std::span<const int32_t> history, const SamplerSettings& settings);

}  // namespace bitnet::engine
