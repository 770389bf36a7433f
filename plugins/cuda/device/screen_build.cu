// device/screen_build.cu - the int8 copy of the head, a warp a row: codes, scale, and the norms of what the codes miss.
//
// The row is read twice, the second time from the L2. Its three sums are doubles: at 1/64 of the rate of floats, as on a 4090,
// that is still below 20 ms for 128256 x 2560, once at load.
#include "dense_lanes.h"
#include "screen_bound.h"

namespace bn_cuda {
namespace {

constexpr uint32_t kThreads = 128, kRows = kThreads / 32;

// The bits of the largest |w|: integers compare as the floats do, NaN above all.
template <class Lanes>
BN_DEVICE uint32_t largest_bits(const HeadArgs& a, const uint8_t* row) {
  uint32_t largest = 0;
  for (uint32_t c = 8 * lane_index(); c < a.n_embd; c += 256) {
    float w[8];
    Lanes::convert(Lanes::load(a, row, c), w);
    BN_UNROLL
    for (uint32_t j = 0; j < 8; ++j) {
      const uint32_t bits = bn::kit::bits_of(w[j]) & 0x7FFFFFFFu;
      largest = bits > largest ? bits : largest;
    }
  }
  for (uint32_t m = 16; m > 0; m /= 2) {
    const uint32_t other = shuffle_xor(largest, m);
    largest = other > largest ? other : largest;
  }
  return largest;
}

struct Squares {
  double error, row, codes;  // of d, w and s q
};

// Eight codes, and what they add to the sums. scale 0: the codes are 0.
BN_DEVICE Words2 quantize(const float (&w)[8], float scale, float inverse, Squares& sum) {
  Words2 packed{};
  BN_UNROLL
  for (uint32_t j = 0; j < 8; ++j) {
    float code = bn::kit::round_half_even(w[j] * inverse);
    code = code > 127.0f ? 127.0f : code < -127.0f ? -127.0f : code;
    packed.w[j / 4] |= (static_cast<uint32_t>(static_cast<int32_t>(code)) & 255u) << (8 * (j % 4));
    const double stored = static_cast<double>(scale) * static_cast<double>(code), full = static_cast<double>(w[j]);
    sum.error += (full - stored) * (full - stored);
    sum.row += full * full;
    sum.codes += stored * stored;
  }
  return packed;
}

BN_DEVICE double sum_of_warp(double v) {
  for (uint32_t m = 16; m > 0; m /= 2) v += shuffle_xor(v, m);
  return v;
}

template <class Lanes>
BN_GLOBAL void screen_build(ScreenBuildArgs args) {
  const HeadArgs& a = args.head;
  const uint32_t r = block_x() * kRows + warp_index();
  dependency_wait();
  if (r >= a.n_vocab) return;
  const uint8_t* row = a.table + r * bn::kit::dense_row_bytes(a.dtype, a.n_embd);
  const float largest = bn::kit::float_of(largest_bits<Lanes>(a, row));
  const bool sound = largest <= kMostLargest, coded = sound && largest >= kLeastLargest;
  const float scale = coded ? largest / 127.0f : 0.0f, inverse = coded ? 127.0f / largest : 0.0f;
  Squares sum{};
  for (uint32_t c = 8 * lane_index(); c < args.screen.q_stride; c += 256) {
    float w[8] = {};
    if (c < a.n_embd && sound) Lanes::convert(Lanes::load(a, row, c), w);
    *reinterpret_cast<Words2*>(args.screen.q + uint64_t{r} * args.screen.q_stride + c) = quantize(w, scale, inverse, sum);
  }
  const double error = sum_of_warp(sum.error), full = sum_of_warp(sum.row), codes = sum_of_warp(sum.codes);
  if (lane_index() != 0) return;
  const float infinity = __builtin_huge_valf();
  args.screen.scale[r] = scale;
  args.screen.error[r] = sound ? float_above(norm_above(error)) : infinity;
  args.screen.norm[r] = sound ? float_above(norm_above(full > codes ? full : codes)) : infinity;
}

}  // namespace

const Kernel& screen_build_kernel(uint32_t dtype) {
  static const Kernel f32 = KernelOf<ScreenBuildArgs>::make<screen_build<F32Lanes>>("screen_build_f32"),
                      f16 = KernelOf<ScreenBuildArgs>::make<screen_build<F16Lanes>>("screen_build_f16"),
                      bf16 = KernelOf<ScreenBuildArgs>::make<screen_build<Bf16Lanes>>("screen_build_bf16");
  return dtype == BN_DT_F32 ? f32 : dtype == BN_DT_F16 ? f16 : bf16;
}

Shape screen_build_shape(const ScreenBuildArgs& a) { return {(a.head.n_vocab + kRows - 1) / kRows, 1, kThreads, 0}; }

}  // namespace bn_cuda
