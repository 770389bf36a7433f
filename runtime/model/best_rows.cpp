// model/best_rows.cpp - estimates, threshold, candidates, their logits: each shared by the members of the team.
#include "model/best_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/log.h"
#include "bitnet/kit/dense_rows.hpp"
#include "model/row_screen.h"

namespace bitnet::model {
namespace {

constexpr uint32_t kBlock = 64;       // rows looked at together, in loops that compilers vectorise
constexpr uint32_t kGathered = 8;     // rows multiplied together
constexpr uint32_t kShareOfRows = 8;  // more candidates than rows / this, and than 2 k: the full head
constexpr uint32_t kReleased = 2048;  // rows of the full head whose pages are given back together

// The bound of one row. norm and absolute are large enough for the roundings of this line.
float bound(float coefficient, float norm, float absolute) { return coefficient * norm + absolute; }

}  // namespace

BestRows::BestRows(const ScreenedHead& head, backend::Ops& ops)
    : head_(head),
      op_(ops),
      row_bytes_(bn::kit::dense_row_bytes(head.stored.dtype, head.stored.cols)),
      members_(ops.team().size()) {
  for (Member& member : members_) member.rows = AlignedBuffer(kGathered * row_bytes_);
  use_.screen_bytes = head.bytes;
  use_.is_cached = head.is_cached;
}

void BestRows::begin(uint32_t n_tokens, uint32_t k) {
  n_tokens_ = n_tokens;
  k_ = k;
  if (full_in_a_row_ > 1) release_stored(0, head_.stored.rows);
  full_in_a_row_ = 0;
  for (uint32_t t = 0; t < n_tokens; ++t) {
    Token& token = tokens_[t];
    token.full = false;
    token.broken = false;
    token.candidates.clear();
    token.best.clear();
    for (Member& member : members_) member.largest[t].clear(), member.found[t].clear();
  }
}

void BestRows::end() {
  for (uint32_t t = 0; t < n_tokens_; ++t) {
    const Token& token = tokens_[t];
    if (token.broken && !broken_) {
      broken_ = true;
      log(LogLevel::kWarning, "output head: a logit is outside what its int8 copy allows; the copy is not used any more");
    }
    if (token.full) {
      ++use_.fell_back;
      continue;
    }
    ++use_.screened;
    use_.candidates += token.candidates.size();
    use_.most_candidates = std::max<uint64_t>(use_.most_candidates, token.candidates.size());
  }
}

void BestRows::run(uint32_t m, backend::Activations x, float* logits) {
  const uint32_t rows = head_.stored.rows;
  const auto x_of = [&](uint32_t t) { return x.data + static_cast<uint64_t>(t) * x.stride; };
  const auto row_of = [&](uint32_t t) { return logits + static_cast<uint64_t>(t) * rows; };
  const auto each_token = [&](const char* name, auto&& f) {
    op_.share(m, name, n_tokens_, 1, [&](uint32_t t0, uint32_t t1, void*) {
      for (uint32_t t = t0; t < t1; ++t) f(t);
      return BN_OK;
    });
  };
  const auto each_slice = [&](const char* name, auto&& f) {
    op_.share(m, name, rows, kBlock, [&](uint32_t r0, uint32_t r1, void*) {
      for (uint32_t t = 0; t < n_tokens_; ++t) {
        if (!tokens_[t].full) f(t, r0, r1);
      }
      return BN_OK;
    });
    op_.team().barrier();
  };
  each_token("output_norms", [&](uint32_t t) { measure(tokens_[t], x_of(t)); });
  op_.dense(m, "output_screen", {logits, rows}, head_.screen, x, n_tokens_);  // estimates[T,vocab]
  each_slice("output_bounds", [&](uint32_t t, uint32_t r0, uint32_t r1) { note_largest(m, t, row_of(t), r0, r1); });
  each_token("output_threshold", [&](uint32_t t) { set_threshold(t); });
  op_.team().barrier();
  each_slice("output_candidates", [&](uint32_t t, uint32_t r0, uint32_t r1) { note_candidates(m, t, row_of(t), r0, r1); });
  each_token("output_candidates", [&](uint32_t t) { join_candidates(t, row_of(t)); });
  op_.team().barrier();
  const auto compute_some = [&](bool likely) {  // the likely ones, or the others
    for (uint32_t t = 0; t < n_tokens_; ++t) {
      Token& token = tokens_[t];
      const uint32_t n = static_cast<uint32_t>(token.candidates.size());
      const uint32_t begin = likely ? 0 : k_, end = token.full ? begin : likely ? k_ : n;
      op_.share(m, "output", end - begin, kGathered, [&](uint32_t c0, uint32_t c1, void* scratch) {
        return compute(m, token, x_of(t), row_of(t), begin + c0, begin + c1, scratch);
      });
    }
    op_.team().barrier();
  };
  compute_some(true);
  each_token("output_candidates", [&](uint32_t t) { drop_candidates(tokens_[t], row_of(t)); });
  op_.team().barrier();
  compute_some(false);
  each_token("output_best", [&](uint32_t t) { choose(tokens_[t]); });
  op_.team().barrier();
  for (uint32_t t = 0; t < n_tokens_; ++t) {
    if (tokens_[t].full) multiply_full(m, {x_of(t), x.stride}, {row_of(t), rows}, 1, true);
  }
}

void BestRows::measure(Token& token, const float* x) const {
  const double norm = norm_above(x, head_.stored.cols);
  if (!(norm > 0 && norm < head_.limit)) token.full = true;
  token.norm = static_cast<float>(norm * (1 + 0x1p-20));
}

// The largest lower bounds in [row0, row1), and whether every estimate is finite.
void BestRows::note_largest(uint32_t m, uint32_t t, const float* estimates, uint32_t row0, uint32_t row1) {
  std::vector<float>& heap = members_[m].largest[t];
  const float* coefficients = head_.coefficients;
  const float norm = tokens_[t].norm, absolute = 2 * head_.absolute;
  float poison = 0;
  for (uint32_t r = row0; r < row1; r += kBlock) {
    const uint32_t n = std::min(kBlock, row1 - r);
    float low[kBlock];
    float zero[8] = {};
    for (uint32_t i = 0; i < n; ++i) low[i] = estimates[r + i] - bound(coefficients[r + i], norm, absolute);
    for (uint32_t i = 0; i < n; ++i) zero[i % 8] += low[i] * 0.0f;  // NaN when one is not finite
    for (const float z : zero) poison += z;
    const float least = heap.size() < k_ ? -HUGE_VALF : heap.front();
    bool any = false;
    for (uint32_t i = 0; i < n; ++i) any |= low[i] > least;
    for (uint32_t i = 0; any && i < n; ++i) {
      if (heap.size() == k_) {
        if (!(low[i] > heap.front())) continue;
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        heap.pop_back();
      }
      heap.push_back(low[i]);
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  }
  if (poison != 0) tokens_[t].full = true;
}

void BestRows::set_threshold(uint32_t t) {
  if (tokens_[t].full) return;
  std::vector<float>& all = members_[0].largest[t];
  for (size_t i = 1; i < members_.size(); ++i) {
    all.insert(all.end(), members_[i].largest[t].begin(), members_[i].largest[t].end());
  }
  std::nth_element(all.begin(), all.begin() + (k_ - 1), all.end(), std::greater<>());
  tokens_[t].threshold = all[k_ - 1];
}

void BestRows::note_candidates(uint32_t m, uint32_t t, const float* estimates, uint32_t row0, uint32_t row1) {
  std::vector<uint32_t>& found = members_[m].found[t];
  const float* coefficients = head_.coefficients;
  const float norm = tokens_[t].norm, absolute = 2 * head_.absolute, threshold = tokens_[t].threshold;
  for (uint32_t r = row0; r < row1; r += kBlock) {
    const uint32_t n = std::min(kBlock, row1 - r);
    const auto reaches = [&](uint32_t i) { return estimates[r + i] + bound(coefficients[r + i], norm, absolute) >= threshold; };
    bool any = false;
    for (uint32_t i = 0; i < n; ++i) any |= reaches(i);
    for (uint32_t i = 0; any && i < n; ++i) {
      if (reaches(i)) found.push_back(r + i);
    }
  }
}

// The k with the largest estimates first.
void BestRows::join_candidates(uint32_t t, const float* estimates) {
  Token& token = tokens_[t];
  if (token.full) return;
  for (const Member& member : members_) {
    for (const uint32_t r : member.found[t]) token.candidates.push_back({estimates[r], static_cast<int32_t>(r)});
  }
  const uint32_t rows = head_.stored.rows, n = static_cast<uint32_t>(token.candidates.size());
  if (n == rows || n > std::max(2 * k_, rows / kShareOfRows)) token.full = true;
  if (token.full) return;
  const auto middle = token.candidates.begin() + static_cast<std::ptrdiff_t>(k_);
  std::nth_element(token.candidates.begin(), middle - 1, token.candidates.end(), bn::kit::ranks_before);
}

// The logits of the first k are known; k rows have at least the smallest of them, so it is a threshold, too, and a higher one.
void BestRows::drop_candidates(Token& token, const float* estimates) const {
  if (token.full || token.broken) return;
  const auto others = token.candidates.begin() + static_cast<std::ptrdiff_t>(k_);
  float threshold = HUGE_VALF;
  for (auto c = token.candidates.begin(); c != others; ++c) threshold = std::min(threshold, c->logit);
  const auto is_below = [&](const Candidate& c) {
    return estimates[c.id] + bound(head_.coefficients[c.id], token.norm, 2 * head_.absolute) < threshold;
  };
  token.candidates.erase(std::remove_if(others, token.candidates.end(), is_below), token.candidates.end());
}

// The logits of candidates [begin, end).
bn_status BestRows::compute(uint32_t m, Token& token, const float* x, const float* estimates, uint32_t begin, uint32_t end,
                            void* scratch) {
  const auto* stored = static_cast<const uint8_t*>(head_.stored.data);
  uint8_t* rows = members_[m].rows.as<uint8_t>();
  bn_tensor gathered = head_.stored;
  gathered.data = rows;
  gathered.flags = 0;  // the next ones lie in the same place
  for (uint32_t c = begin; c < end; c += kGathered) {
    const uint32_t n = std::min(kGathered, end - c);
    float logits[kGathered];
    for (uint32_t i = 0; i < n; ++i) {
      const uint8_t* row = stored + static_cast<uint64_t>(token.candidates[c + i].id) * row_bytes_;
      if (head_.file != nullptr) {
        head_.file->copy(row, row_bytes_, rows + i * row_bytes_);
      } else {
        std::memcpy(rows + i * row_bytes_, row, row_bytes_);
      }
    }
    gathered.rows = n;
    gathered.bytes = n * row_bytes_;
    const bn_dense args{sizeof(bn_dense), 1, &gathered, x, logits, head_.stored.cols, n};
    if (const bn_status status = op_.dense_rows(args, 0, n, scratch); status != BN_OK) return status;
    for (uint32_t i = 0; i < n; ++i) {
      Candidate& candidate = token.candidates[c + i];
      candidate.logit = logits[i];
      const float b = bound(head_.coefficients[candidate.id], token.norm, 2 * head_.absolute);
      if (!(std::fabs(logits[i] - estimates[candidate.id]) <= 1.0001f * b)) token.broken = true;
    }
  }
  return BN_OK;
}

void BestRows::choose(Token& token) {
  if (token.broken) token.full = true;
  if (token.full) return;
  token.best = token.candidates;
  const auto middle = token.best.begin() + static_cast<std::ptrdiff_t>(k_);
  std::partial_sort(token.best.begin(), middle, token.best.end(), bn::kit::ranks_before);
  token.best.resize(k_);
}

// ------------------------------------------------------------------------------------------------ the full head
void BestRows::begin_full() { ++full_in_a_row_; }

void BestRows::run_full(uint32_t m, backend::Activations x, float* logits, uint32_t n_tokens) {
  // Who wants all logits step after step keeps the pages.
  multiply_full(m, x, {logits, head_.stored.rows}, n_tokens, full_in_a_row_ <= 1);
}

void BestRows::multiply_full(uint32_t m, backend::Activations x, backend::Activations y, uint32_t n_tokens, bool release) {
  const bn_dense args{sizeof(bn_dense), n_tokens, &head_.stored, x.data, y.data, x.stride, y.stride};
  op_.share(
      m, "output", head_.stored.rows, op_.table().row_granule,
      [&](uint32_t r0, uint32_t r1, void* scratch) {
        bn_status status = BN_OK;
        for (uint32_t r = r0; r < r1 && status == BN_OK; r += kReleased) {
          const uint32_t end = std::min(r1, r + kReleased);
          status = op_.dense_rows(args, r, end, scratch);
          if (release) release_stored(r, end);
        }
        return status;
      },
      backend::Ops::most_dense_rows(args));
  op_.team().barrier();
}

void BestRows::release_stored(uint32_t row0, uint32_t row1) const {
  if (head_.file == nullptr) return;
  head_.file->release(static_cast<const uint8_t*>(head_.stored.data) + row0 * row_bytes_, (row1 - row0) * row_bytes_);
}

}  // namespace bitnet::model
