// engine/rows.cpp - top-k and z by the definitions of the SDK.
#include "engine/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "bitnet/kit/sampler.hpp"

namespace bitnet::engine {

const char* why_unusable(const float* row, uint32_t n_vocab) {
  bool all_equal = n_vocab > 1;
  for (uint32_t i = 0; i < n_vocab; ++i) {
    uint32_t bits;
    std::memcpy(&bits, row + i, sizeof bits);
    if ((bits & 0x7F800000u) == 0x7F800000u) return "produced logits that are not finite";
    all_equal = all_equal && row[i] == row[0];
  }
  return all_equal ? "produced logits that are all equal" : nullptr;
}

void check_row(const float* row, uint32_t n_vocab) {
  if (const char* reason = why_unusable(row, n_vocab)) throw UnusableLogits(reason);
}

void check_hidden(std::span<const float> rows, uint32_t n_embd) {
  for (; !rows.empty(); rows = rows.subspan(n_embd)) {
    const auto row = rows.first(n_embd);
    if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); })) {
      throw UnusableLogits("produced hidden states that are not finite");
    }
    if (std::all_of(row.begin(), row.end(), [](float x) { return x == 0; })) {
      throw UnusableLogits("produced hidden states that are all zero");
    }
  }
}

void summarize_rows(const Output& output, const float* logits, uint32_t n_rows, uint32_t n_vocab) {
  for (uint64_t row = 0; row < n_rows; ++row, logits += n_vocab) {
    if (output.top_k != 0 && why_unusable(logits, n_vocab) != nullptr) {
      std::fill_n(output.top_id + row * output.top_k, output.top_k, 0);
      std::fill_n(output.top_logit + row * output.top_k, output.top_k, std::numeric_limits<float>::quiet_NaN());
    } else if (output.top_k != 0) {
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
