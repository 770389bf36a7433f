// engine/rows.cpp - top-k and z by the definitions of the SDK.
#include "engine/rows.h"

#include <algorithm>
#include <cstring>

#include "bitnet/kit/sampler.hpp"

namespace bitnet::engine {

void check_row(const float* row, uint32_t n_vocab) {
  bool all_equal = n_vocab > 1;
  for (uint32_t i = 0; i < n_vocab; ++i) {
    uint32_t bits;
    std::memcpy(&bits, row + i, sizeof bits);
    if ((bits & 0x7F800000u) == 0x7F800000u) throw UnusableLogits("produced logits that are not finite");
    all_equal = all_equal && row[i] == row[0];
  }
  if (all_equal) throw UnusableLogits("produced logits that are all equal");
}

void summarize_rows(const Output& output, const float* logits, uint32_t n_rows, uint32_t n_vocab) {
  for (uint64_t row = 0; row < n_rows; ++row, logits += n_vocab) {
    if (output.top_k != 0) {
      const std::vector<bn::kit::Candidate> best = bn::kit::top_candidates(logits, n_vocab, output.top_k);
      for (size_t i = 0; i < best.size(); ++i) {
        output.top_id[row * output.top_k + i] = best[i].id;
        output.top_logit[row * output.top_k + i] = best[i].logit;
      }
    }
    if (output.z != nullptr) {
      const float top = *std::max_element(logits, logits + n_vocab);
      float lane[16] = {};
      for (uint32_t i = 0; i < n_vocab; ++i) lane[i % 16] += bn::kit::exp1(logits[i] - top);
      output.z[2 * row] = top;
      output.z[2 * row + 1] = bn::kit::fold16(lane);
    }
  }
}

}  // namespace bitnet::engine
