// device/top.cu - the best k of complete rows of logits, a block a row.
//
// Every thread finds the best key of its share. The k-th best of these is at most the k-th best of all, and mostly only a few
// more than k keys reach it: they are collected and sorted. Where more than kMaxCandidates do, the range of keys is narrowed by
// histograms of 2048 bins until they fit; keys are distinct, so they will. Predicted for 128256 logits (in the L2) and k 40 on
// an H200: two readings of 5 us each and two sorts of 2 us.
#include "head.h"
#include "order.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kThreads = 1024, kBins = 2048;

struct TopShared {
  uint64_t key[kMaxCandidates];
  uint32_t bin[kBins];
  uint64_t low, high;  // the k-th best key is in [low, high]
  uint32_t above;      // keys above high, fewer than k
  uint32_t n;          // keys that reach low
};

template <class F>
BN_DEVICE void each_key(const float* logits, uint32_t n, F&& f) {
  for (uint32_t i = thread_index(); i < n; i += kThreads) f(rank_key(logits[i], i));
}

BN_DEVICE uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

// The best key into s.key[0].
BN_DEVICE void find_best(TopShared& s, uint64_t best) {
  for (uint32_t m = 16; m > 0; m /= 2) best = larger(best, shuffle_xor(best, m));
  if (lane_index() == 0) s.key[warp_index()] = best;
  sync_block();
  if (warp_index() == 0) {
    best = s.key[lane_index()];
    for (uint32_t m = 16; m > 0; m /= 2) best = larger(best, shuffle_xor(best, m));
    if (lane_index() == 0) s.key[0] = best;
  }
  sync_block();
}

// Warp 0: of the bins of width 2^shift from s.low on, the one that holds the k-th best key becomes the range.
BN_DEVICE void choose_bin(TopShared& s, uint32_t k, uint32_t shift) {
  constexpr uint32_t kEach = kBins / 32;
  const uint32_t first = (31 - lane_index()) * kEach;  // lane 0 has the highest bins
  uint32_t mine = 0;
  for (uint32_t b = 0; b < kEach; ++b) mine += s.bin[first + b];
  uint32_t before = mine;  // and of the lanes before
  for (uint32_t m = 1; m < 32; m *= 2) {
    const uint32_t other = shuffle(before, lane_index() - m);
    if (lane_index() >= m) before += other;
  }
  before -= mine;
  uint32_t above = s.above + before;
  const uint64_t low = s.low, high = s.high;
  sync_warp();
  if (above >= k || above + mine < k) return;
  uint32_t b = first + kEach - 1;
  while (above + s.bin[b] < k) above += s.bin[b--];
  const uint64_t last = low + (uint64_t{b + 1} << shift) - 1;
  s.above = above;
  s.low = low + (uint64_t{b} << shift);
  s.high = last < high ? last : high;
}

BN_DEVICE void narrow(TopShared& s, const float* logits, uint32_t n, uint32_t k) {
  const uint64_t low = s.low, high = s.high;
  uint32_t shift = 0;
  while ((high - low) >> shift >= kBins) ++shift;
  for (uint32_t b = thread_index(); b < kBins; b += kThreads) s.bin[b] = 0;
  sync_block();
  each_key(logits, n, [&](uint64_t key) {
    if (key >= low && key <= high) atomic_add(&s.bin[(key - low) >> shift], 1u);
  });
  sync_block();
  if (warp_index() == 0) choose_bin(s, k, shift);
  sync_block();
}

// All keys that reach s.low into s.key, as many as fit; their number into s.n.
BN_DEVICE void collect(TopShared& s, const float* logits, uint32_t n) {
  if (thread_index() == 0) s.n = 0;
  sync_block();
  each_key(logits, n, [&](uint64_t key) {
    if (key < s.low) return;
    const uint32_t slot = atomic_add(&s.n, 1u);
    if (slot < kMaxCandidates) s.key[slot] = key;
  });
  sync_block();
}

BN_DEVICE void find_best_k(TopShared& s, const float* logits, uint32_t n, uint32_t k, uint64_t best) {
  s.key[thread_index()] = best;
  sort_falling(s.key, kThreads);
  if (thread_index() == 0) {
    s.low = s.key[k - 1];
    s.high = s.key[0];
    s.above = 0;
  }
  sync_block();
  collect(s, logits, n);
  while (s.n > kMaxCandidates) {
    narrow(s, logits, n, k);
    collect(s, logits, n);
  }
  const uint32_t sorted = next_power_of_two(s.n);
  for (uint32_t i = s.n + thread_index(); i < sorted; i += kThreads) s.key[i] = 0;
  sort_falling(s.key, sorted);
}

BN_GLOBAL void top(TopArgs a) {
  dependency_wait();
  dependents_may_start();
  TopShared& s = *shared_memory<TopShared>();
  const float* logits = a.logits + uint64_t{block_y()} * a.n_vocab;
  uint64_t best = 0;
  each_key(logits, a.n_vocab, [&](uint64_t key) { best = larger(best, key); });
  if (a.k == 1) {
    find_best(s, best);
  } else {
    find_best_k(s, logits, a.n_vocab, a.k, best);
  }
  for (uint32_t i = thread_index(); i < a.k; i += kThreads) {
    const uint32_t id = id_of_key(s.key[i]);
    a.top_id[uint64_t{block_y()} * a.k + i] = static_cast<int32_t>(id);
    a.top_logit[uint64_t{block_y()} * a.k + i] = logits[id];
  }
}

}  // namespace

const Kernel& top_kernel() {
  static const Kernel kernel = KernelOf<TopArgs>::make<top>("top");
  return kernel;
}

Shape top_shape(uint32_t n_tokens) { return {1, n_tokens, kThreads, sizeof(TopShared)}; }

}  // namespace bn_cuda
