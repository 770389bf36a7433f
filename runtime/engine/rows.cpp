// engine/rows.cpp - top-k, z and sampling by the definitions of the SDK.
#include "engine/rows.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "bitnet/kit/arithmetic.hpp"
#include "engine/sampler.h"

namespace bitnet::engine {

void summarize_rows(const Output& output, const float* logits, uint32_t n_rows, uint32_t n_vocab) {
  std::vector<int32_t> order(n_vocab);
  for (uint32_t row = 0; row < n_rows; ++row, logits += n_vocab) {
    if (output.top_k != 0) {
      const uint32_t k = std::min(output.top_k, n_vocab);
      std::iota(order.begin(), order.end(), 0);
      const auto before = [&](int32_t a, int32_t b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); };
      std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
      for (uint32_t i = 0; i < k; ++i) {
        output.top_id[static_cast<size_t>(row) * output.top_k + i] = order[i];
        output.top_logit[static_cast<size_t>(row) * output.top_k + i] = logits[order[i]];
      }
    }
    if (output.z != nullptr) {
      const float top = *std::max_element(logits, logits + n_vocab);
      float sum = 0;
      for (uint32_t i = 0; i < n_vocab; ++i) sum += bn::kit::exp1(logits[i] - top);
      output.z[2 * row] = top;
      output.z[2 * row + 1] = sum;
    }
  }
}

int32_t sample_row(std::span<const float> logits, uint64_t position, const bn_sampler& sampler) {
  SamplerSettings s;
  s.seed = sampler.seed;
  s.temperature = sampler.temperature;
  s.top_k = static_cast<int32_t>(sampler.top_k);
  s.top_p = sampler.top_p;
  s.min_p = sampler.min_p;
  std::vector<float> work(logits.begin(), logits.end());
  return sample(work, std::vector<int32_t>(position), s);
}

}  // namespace bitnet::engine
