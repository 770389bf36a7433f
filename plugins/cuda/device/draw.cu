// device/draw.cu - the canonical sampler on a sorted list, and the end of a step. One block.
//
// The weights are computed by all threads. Their sums are one thread's: they are defined as additions of doubles in the order
// of the list. Predicted on an H200: 2 us greedy or with 40 candidates, 25 us with 1024.
#include "bitnet/kit/sampler.hpp"
#include "head.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kThreads = 128;

// How many of the n candidates stay; weight: of temperature 1. cut_tail() of the kit.
BN_DEVICE uint32_t cut(const float* weight, uint32_t n, float top_p, float min_p) {
  if (top_p < 1.0f) {
    double total = 0, sum = 0;
    for (uint32_t i = 0; i < n; ++i) total += static_cast<double>(weight[i]);
    uint32_t keep = 0;
    do {
      sum += static_cast<double>(weight[keep++]);
    } while (keep < n && sum < static_cast<double>(top_p) * total);
    n = keep;
  }
  uint32_t keep = 1;
  while (keep < n && static_cast<double>(weight[keep]) >= static_cast<double>(min_p)) ++keep;
  return keep;
}

// The place in the list; weight: of the sampler's temperature. sample_candidates() of the kit.
BN_DEVICE uint32_t pick(const float* weight, uint32_t n, uint64_t seed, uint64_t position) {
  double total = 0;
  for (uint32_t i = 0; i < n; ++i) total += static_cast<double>(weight[i]);
  double left = bn::kit::uniform_at(seed, position) * total;
  for (uint32_t i = 0; i + 1 < n; ++i) {
    left -= static_cast<double>(weight[i]);
    if (left < 0) return i;
  }
  return n - 1;
}

// Takes the value of a flag that an earlier kernel may have set.
BN_DEVICE bool take(uint32_t* flag) {
  if (flag == nullptr || *flag == 0) return false;
  *flag = 0;
  return true;
}

BN_DEVICE void tell_host(uint32_t* word, uint32_t value) {
  fence_system();
  *static_cast<volatile uint32_t*>(word) = value;
}

BN_DEVICE void end_chain(const DrawArgs& a, uint32_t why) {
  a.state->stopped = why;
  tell_host(a.ring_end, why);
}

// What keeps this step from drawing. Thread 0 only.
BN_DEVICE uint32_t obstacle(const DrawArgs& a) {
  const bool overflow = take(a.overflow), not_finite = take(a.not_finite);
  if (not_finite) return kNotFinite;
  return overflow ? kNeedsFull : kGoingOn;
}

BN_DEVICE bool is_stop(const DrawArgs& a, int32_t token) {
  for (uint32_t i = 0; i < a.n_stop; ++i) {
    if (a.stop[i] == token) return true;
  }
  return false;
}

BN_DEVICE void commit(const DrawArgs& a, int32_t token) {
  StepState& s = *a.state;
  const uint32_t n = s.n_drawn;
  a.tokens[s.position + 1] = token;
  s.position += 1;
  s.n_drawn = n + 1;
  s.steps_left -= 1;
  *static_cast<volatile int32_t*>(&a.ring[n % kRing]) = token;
  tell_host(a.ring_count, n + 1);
  if (is_stop(a, token)) {
    end_chain(a, kStopToken);
  } else if (s.steps_left == 0) {
    end_chain(a, kAllDrawn);
  }
}

BN_GLOBAL void draw(DrawArgs a) {
  dependency_wait();
  float *plain = shared_memory<float>(), *warm = plain + a.k;  // weights of temperature 1 and of the sampler's
  if (a.temperature > 0) {
    for (uint32_t i = thread_index(); i < a.k; i += kThreads) {
      const float below = a.top_logit[i] - a.top_logit[0];
      plain[i] = bn::kit::exp1(below / 1.0f);
      warm[i] = bn::kit::exp1(below / a.temperature);
    }
  }
  sync_block();
  if (thread_index() != 0) return;
  const uint32_t why_not = obstacle(a);
  const StepState s = *a.state;
  if (s.stopped != kGoingOn || s.steps_left == 0) return;
  if (static_cast<uint32_t>(s.position) + 1 >= a.n_ctx) return end_chain(a, kNoRoom);
  if (why_not != kGoingOn) return end_chain(a, why_not);
  uint32_t place = 0;
  if (a.temperature > 0) {
    const uint32_t n = cut(plain, a.k, a.top_p, a.min_p);
    place = pick(warm, n, a.seed, static_cast<uint64_t>(s.position) + 1);
  }
  commit(a, a.top_id[place]);
}

}  // namespace

const Kernel& draw_kernel() {
  static const Kernel kernel = KernelOf<DrawArgs>::make<draw>("draw");
  return kernel;
}

Shape draw_shape(const DrawArgs& a) { return {1, 1, kThreads, a.temperature > 0 ? 8 * a.k : 16}; }

}  // namespace bn_cuda
