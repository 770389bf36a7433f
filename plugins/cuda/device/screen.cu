// device/screen.cu - from bounds to the exact best: the rows that may be among them, their logits, the order; the whole chain.
//
// A candidate costs a warp about 2 us: its row is asked for at once, and all its chunks are multiplied side by side. Predicted
// for 100 candidates among 128256 rows on an H200: 4 us to find and compute, 2 us to sort; 2048 candidates: 10 and 4 us.
#include "bitnet/engine.h"
#include "carver.h"
#include "dense_lanes.h"
#include "order.h"
#include "screen.h"
#include "screen_bound.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kThreads = 128, kSortThreads = 1024;

// S16 of row r and x by a warp; all lanes get it. Lanes 2i and 2i+1 take every 16th chunk from the i-th on.
template <class Lanes>
BN_DEVICE float exact_logit(const ScreenArgs& a, uint32_t r) {
  const uint32_t n = a.head.n_embd, part = lane_index() % 2;
  const uint64_t row_bytes = bn::kit::dense_row_bytes(a.head.dtype, n);
  const uint8_t* row = a.head.table + r * row_bytes;
  for (uint64_t i = 128 * lane_index(); i < row_bytes; i += 128 * 32) prefetch_l2(row + i);
  float total[8] = {};
  for (uint32_t c0 = 0; c0 < n; c0 += 16 * 256) {
    const uint32_t c = c0 + 256 * (lane_index() / 2);
    float lane[1][8] = {};
    if (c < n) add_half_chunk<Lanes, 1, 4>(a.head, row, c, part, a.x + c, 0, lane);
    for (uint32_t i = 0; i < 16 && c0 + 256 * i < n; ++i) {
      BN_UNROLL
      for (uint32_t j = 0; j < 8; ++j) total[j] += shuffle(lane[0][j], 2 * i + part);
    }
  }
  return fold_pair(total);
}

// ordered() of a number that at least k logits reach.
BN_DEVICE uint32_t threshold(const ScreenArgs& a) { return a.k == 1 ? a.vector->best : ordered(a.group_best[a.k - 1]); }

// One candidate. A logit above its bound means that copy or table were damaged: then the list is not used.
template <class Lanes>
BN_DEVICE void take_candidate(const ScreenArgs& a, uint32_t r, uint32_t slot) {
  const float z = a.estimates && is_bounded(a.upper[r]) ? a.upper[r] : exact_logit<Lanes>(a, r);
  if (lane_index() != 0) return;
  a.candidate[slot] = static_cast<int32_t>(r);
  a.candidate_logit[slot] = z;
  if (a.head.not_finite != nullptr && !is_finite(z)) *a.head.not_finite = 1;
  if (z > a.upper[r]) *a.overflow = 1;
}

template <class Lanes>
BN_GLOBAL void screen_candidates(ScreenArgs a) {
  dependency_wait();
  dependents_may_start();
  if (a.vector->usable == 0) return;
  const uint32_t first = (block_x() * (kThreads / 32) + warp_index()) * 32, r = first + lane_index();
  uint32_t found = ballot(r < a.head.n_vocab && ordered(a.upper[r]) >= threshold(a));
  if (found == 0) return;
  uint32_t slot = lane_index() == 0 ? atomic_add(&a.vector->n_candidates, bit_count(found)) : 0;
  slot = shuffle(slot, 0);
  for (uint32_t i = 0; found != 0 && slot < kMaxCandidates; ++i) {
    if ((found >> i & 1u) == 0) continue;
    found &= ~(1u << i);
    take_candidate<Lanes>(a, first + i, slot++);
  }
}

BN_GLOBAL void screen_sort(ScreenArgs a) {
  dependency_wait();
  dependents_may_start();
  uint64_t* key = shared_memory<uint64_t>();
  const uint32_t n = a.vector->n_candidates;
  if (a.vector->usable == 0 || n > kMaxCandidates || n < a.k) {
    if (thread_index() == 0) *a.overflow = 1;
    return;
  }
  const uint32_t sorted = next_power_of_two(n);
  for (uint32_t i = thread_index(); i < sorted; i += kSortThreads) {
    key[i] = i < n ? rank_key(a.candidate_logit[i], static_cast<uint32_t>(a.candidate[i])) : 0;
  }
  sort_falling(key, sorted);
  for (uint32_t i = thread_index(); i < a.k; i += kSortThreads) {
    a.top_id[i] = static_cast<int32_t>(id_of_key(key[i]));
    a.top_logit[i] = from_ordered(static_cast<uint32_t>(key[i] >> 32));
  }
}

ScreenTable lay_out_table(Carver& carver, uint32_t n_vocab, uint32_t n_embd) {
  ScreenTable t{};
  t.q_stride = padded_cols(n_embd, 16);
  t.q = carver.take<int8_t>(uint64_t{n_vocab} * t.q_stride);
  t.scale = carver.take<float>(n_vocab);
  t.error = carver.take<float>(n_vocab);
  t.norm = carver.take<float>(n_vocab);
  return t;
}

void lay_out_work(Carver& carver, uint32_t n_vocab, uint32_t n_embd, ScreenArgs* a) {
  a->vector = carver.take<ScreenVector>(1);
  a->x = carver.take<float>(padded_cols(n_embd, 256));
  a->digits = carver.take<int8_t>(2ull * padded_cols(n_embd, 16));
  a->upper = carver.take<float>(n_vocab);
  a->group = carver.take<float>(screen_groups(n_vocab));
  a->group_id = carver.take<int32_t>(BN_TOPK_MAX);
  a->group_best = carver.take<float>(BN_TOPK_MAX);
  a->candidate = carver.take<int32_t>(kMaxCandidates);
  a->candidate_logit = carver.take<float>(kMaxCandidates);
}

}  // namespace

uint64_t screen_bytes(uint32_t n_vocab, uint32_t n_embd) {
  Carver carver;
  lay_out_table(carver, n_vocab, n_embd);
  return carver.used();
}

ScreenTable screen_table(void* memory, uint32_t n_vocab, uint32_t n_embd) {
  Carver carver{static_cast<uint8_t*>(memory)};
  return lay_out_table(carver, n_vocab, n_embd);
}

uint64_t screen_work_bytes(uint32_t n_vocab, uint32_t n_embd) {
  Carver carver;
  ScreenArgs a{};
  lay_out_work(carver, n_vocab, n_embd, &a);
  return carver.used();
}

void screen_layout(ScreenArgs* a, void* work) {
  Carver carver{static_cast<uint8_t*>(work)};
  lay_out_work(carver, a->head.n_vocab, a->head.n_embd, a);
}

bool can_screen(uint32_t dtype, uint32_t n_vocab, uint32_t n_embd, uint32_t k) {
  const bool plain = dtype == BN_DT_F32 || dtype == BN_DT_F16 || dtype == BN_DT_BF16;
  return plain && n_embd % 8 == 0 && n_embd <= 16384 && k >= 1 && k <= BN_TOPK_MAX && k <= n_vocab / kGroupRows;
}

const Kernel& screen_candidates_kernel(uint32_t dtype) {
  static const Kernel f32 = KernelOf<ScreenArgs>::make<screen_candidates<F32Lanes>>("screen_candidates_f32"),
                      f16 = KernelOf<ScreenArgs>::make<screen_candidates<F16Lanes>>("screen_candidates_f16"),
                      bf16 = KernelOf<ScreenArgs>::make<screen_candidates<Bf16Lanes>>("screen_candidates_bf16");
  return dtype == BN_DT_F32 ? f32 : dtype == BN_DT_F16 ? f16 : bf16;
}
Shape screen_candidates_shape(const ScreenArgs& a) { return {(a.head.n_vocab + kThreads - 1) / kThreads, 1, kThreads, 0}; }

const Kernel& screen_sort_kernel() {
  static const Kernel kernel = KernelOf<ScreenArgs>::make<screen_sort>("screen_sort");
  return kernel;
}
Shape screen_sort_shape() { return {1, 1, kSortThreads, 8 * kMaxCandidates}; }

uint32_t screen_steps(const ScreenArgs* a, TopArgs* groups, ScreenStep (&steps)[kScreenSteps]) {
  *groups = {a->group, a->group_id, a->group_best, screen_groups(a->head.n_vocab), a->k};
  uint32_t n = 0;
  steps[n++] = {&screen_vector_kernel(), screen_vector_shape(), a};
  steps[n++] = {&screen_bounds_kernel(), screen_bounds_shape(*a), a};
  if (a->k > 1) steps[n++] = {&top_kernel(), top_shape(1), groups};
  steps[n++] = {&screen_candidates_kernel(a->head.dtype), screen_candidates_shape(*a), a};
  steps[n++] = {&screen_sort_kernel(), screen_sort_shape(), a};
  return n;
}

}  // namespace bn_cuda
