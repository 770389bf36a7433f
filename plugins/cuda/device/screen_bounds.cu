// device/screen_bounds.cu - the digits of x, and bounds of every logit from the int8 copy of the head.
//
// A warp takes 32 rows, four at a time: a load of 512 bytes of each is in flight while nothing waits for x, which lies in
// shared memory as two int8 digits. With 32 warps a processor 64 KB are in flight. 128256 x 2560 are 328.8 MB: 76 us of an
// H200's bandwidth, predicted 82; the integer dots (two per four weights) need 11 us of their units, shared memory 6. The
// vector takes 3 us.
#include "order.h"
#include "screen.h"
#include "screen_bound.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kVectorThreads = 1024, kThreads = 128, kTogether = 4;

// ------------------------------------------------------------------------------------------------ the vector, one block
template <class T, class F>
BN_DEVICE T over_block(T v, F&& join) {
  T* of_warp = shared_memory<T>();
  for (uint32_t m = 16; m > 0; m /= 2) v = join(v, shuffle_xor(v, m));
  sync_block();
  if (lane_index() == 0) of_warp[warp_index()] = v;
  sync_block();
  v = of_warp[lane_index()];
  for (uint32_t m = 16; m > 0; m /= 2) v = join(v, shuffle_xor(v, m));
  return v;
}

BN_GLOBAL void screen_vector(ScreenArgs a) {
  dependency_wait();
  dependents_may_start();
  const uint32_t n = a.head.n_embd;
  uint32_t bits = 0;
  for (uint32_t c = thread_index(); c < n; c += kVectorThreads) {
    const uint32_t b = bn::kit::bits_of(a.head.x[c]) & 0x7FFFFFFFu;
    bits = b > bits ? b : bits;
  }
  const float largest = bn::kit::float_of(over_block(bits, [](uint32_t p, uint32_t q) { return p > q ? p : q; }));
  const bool usable = largest >= kLeastLargest && largest <= kMostLargest;  // false for NaN
  const float scale = usable ? largest / static_cast<float>(kDigitMax) : 1.0f;
  double squares = 0, missed = 0;
  for (uint32_t c = thread_index(); c < (n + 255) / 256 * 256; c += kVectorThreads) {
    const float x = usable && c < n ? a.head.x[c] : 0.0f;
    float code = bn::kit::round_half_even(x / scale);
    code = code > kDigitMax ? kDigitMax : code < -kDigitMax ? -kDigitMax : code;
    const int32_t integer = static_cast<int32_t>(code), low = ((integer + 128) & 255) - 128;
    if (c < a.screen.q_stride) {
      a.digits[c] = static_cast<int8_t>(low);
      a.digits[a.screen.q_stride + c] = static_cast<int8_t>((integer - low) / 256);
    }
    a.x[c] = x;
    const double full = static_cast<double>(x), left = full - static_cast<double>(scale) * static_cast<double>(code);
    squares += full * full;
    missed += left * left;
  }
  const auto sum = [](double p, double q) { return p + q; };
  squares = over_block(squares, sum);
  missed = over_block(missed, sum);
  if (thread_index() != 0) return;
  const double norm = norm_above(squares);
  *a.vector = {static_cast<double>(scale), norm, norm_above(missed) + rounding_share(n) * norm, n * 0x1p-149, usable, 0, 0};
}

// ------------------------------------------------------------------------------------------------------- the bounds
// Sums over the warp: of 8 values per lane, value i ends in lanes 4i..4i+3.
BN_DEVICE int32_t sum_8_over_warp(const int32_t (&value)[8]) {
  int32_t v[8];
  BN_UNROLL
  for (int i = 0; i < 8; ++i) v[i] = value[i];
  BN_UNROLL
  for (uint32_t n = 4, mask = 16; n > 0; n /= 2, mask /= 2) {
    const bool upper = (lane_index() & mask) != 0;
    BN_UNROLL
    for (uint32_t i = 0; i < n; ++i) {
      const int32_t keep = upper ? v[i + n] : v[i], give = upper ? v[i] : v[i + n];
      v[i] = keep + shuffle_xor(give, mask);
    }
  }
  v[0] += shuffle_xor(v[0], 2);
  return v[0] + shuffle_xor(v[0], 1);
}

// The dots of 4 rows with both digits: the low one's of row i in lanes 8i..8i+3, the high one's in 8i+4..8i+7.
BN_DEVICE int32_t dots_of_4(const ScreenArgs& a, uint32_t r, const Words4* digits) {
  const uint32_t words = a.screen.q_stride / 16, last = a.head.n_vocab - 1;
  const int8_t* row[kTogether];
  BN_UNROLL
  for (uint32_t i = 0; i < kTogether; ++i) {
    row[i] = a.screen.q + uint64_t{r + i < last ? r + i : last} * a.screen.q_stride;
  }
  int32_t sum[2 * kTogether] = {};
  for (uint32_t c = lane_index(); c < words; c += 32) {
    Words4 q[kTogether];
    BN_UNROLL
    for (uint32_t i = 0; i < kTogether; ++i) q[i] = load_stream(row[i] + 16 * c);
    const Words4 low = digits[c], high = digits[words + c];
    BN_UNROLL
    for (uint32_t i = 0; i < kTogether; ++i) {
      BN_UNROLL
      for (uint32_t j = 0; j < 4; ++j) {
        sum[2 * i] = dot4_signed(q[i].w[j], low.w[j], sum[2 * i]);
        sum[2 * i + 1] = dot4_signed(q[i].w[j], high.w[j], sum[2 * i + 1]);
      }
    }
  }
  return sum_8_over_warp(sum);
}

BN_GLOBAL void screen_bounds(ScreenArgs a) {
  const uint32_t group = block_x() * (kThreads / 32) + warp_index(), first = group * kGroupRows;
  const uint64_t table_bytes = uint64_t{a.head.n_vocab} * a.screen.q_stride;
  const uint64_t ahead = uint64_t{first} * a.screen.q_stride + 128 * lane_index();
  if (ahead < table_bytes) prefetch_l2(a.screen.q + ahead);
  dependency_wait();
  dependents_may_start();
  Words4* digits = shared_memory<Words4>();
  for (uint32_t i = thread_index(); i < a.screen.q_stride / 8; i += kThreads) {
    digits[i] = reinterpret_cast<const Words4*>(a.digits)[i];
  }
  sync_block();
  if (first >= a.head.n_vocab) return;
  int32_t low = 0, high = 0;  // of row first + lane
  for (uint32_t i = 0; i < kGroupRows / kTogether; ++i) {
    const int32_t dots = dots_of_4(a, first + i * kTogether, digits);
    const uint32_t from = lane_index() % kTogether * 8;
    const int32_t low_dot = shuffle(dots, from), high_dot = shuffle(dots, from + 4);
    if (lane_index() / kTogether == i) {
      low = low_dot;
      high = high_dot;
    }
  }
  const uint32_t r = first + lane_index();
  float lower = -__builtin_huge_valf();
  if (r < a.head.n_vocab) {
    const int64_t dot = static_cast<int64_t>(high) * 256 + low;
    LogitRange range = logit_range(dot, a.screen.scale[r], a.screen.error[r], a.screen.norm[r], *a.vector);
    if (a.estimates && is_bounded(range.upper)) {
      range.lower = range.upper = static_cast<float>(logit_estimate(dot, a.screen.scale[r], *a.vector));
    }
    a.upper[r] = range.upper;
    lower = range.lower;
  }
  for (uint32_t m = 16; m > 0; m /= 2) {
    const float other = shuffle_xor(lower, m);
    lower = other > lower ? other : lower;
  }
  if (lane_index() != 0) return;
  a.group[group] = lower;
  if (a.k == 1) atomic_max(&a.vector->best, ordered(lower));
}

}  // namespace

const Kernel& screen_vector_kernel() {
  static const Kernel kernel = KernelOf<ScreenArgs>::make<screen_vector>("screen_vector");
  return kernel;
}
Shape screen_vector_shape() { return {1, 1, kVectorThreads, 8 * 32}; }

const Kernel& screen_bounds_kernel() {
  static const Kernel kernel = KernelOf<ScreenArgs>::make<screen_bounds>("screen_bounds");
  return kernel;
}
Shape screen_bounds_shape(const ScreenArgs& a) {
  const uint32_t per_block = kThreads / 32;
  return {(screen_groups(a.head.n_vocab) + per_block - 1) / per_block, 1, kThreads, 2 * a.screen.q_stride};
}

}  // namespace bn_cuda
