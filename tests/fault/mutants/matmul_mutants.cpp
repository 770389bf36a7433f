// mutants/matmul_mutants.cpp - defects of the ternary product: arithmetic, bounds, ranges, state, manners.

#include <cfenv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "bitnet/kit/arithmetic.hpp"
#include "bitnet/kit/ternary.hpp"
#include "mutants.h"

namespace bitnet::mutants {
namespace {

bn_status correct(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  return correct_kernels().matmul(d, a, row0, row1, scratch);
}

int32_t exact_dot(const bn_matmul& a, uint32_t t, uint32_t r) {
  const int8_t* w = static_cast<const int8_t*>(a.packed) + r * row_stride(*a.w);
  const int8_t* x = a.x + uint64_t{t} * a.x_stride;
  int32_t dot = 0;
  for (uint32_t c = 0; c < a.w->cols; ++c) dot += w[c] * x[c];
  return dot;
}

// y[t][r] = f(t, r) over the range.
template <class F>
bn_status fill(const bn_matmul& a, uint32_t row0, uint32_t row1, F&& f) {
  for (uint32_t t = 0; t < a.m; ++t) {
    for (uint32_t r = row0; r < row1; ++r) a.y[uint64_t{t} * a.y_stride + r] = f(t, r);
  }
  return BN_OK;
}
float scaled(const bn_matmul& a, uint32_t t, uint32_t r, int32_t dot) {
  return static_cast<float>(dot) * (a.x_scale[t] * bn::kit::row_scale(*a.w, r));
}
// A read that the compiler may not drop.
void touch(const void* p) { (void)*static_cast<const volatile uint8_t*>(p); }

using Matmul = bn_status(bn_device*, const bn_matmul*, uint32_t, uint32_t, void*);

bn_status int16_accumulator(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void*) {
  return fill(*a, row0, row1,
              [&](uint32_t t, uint32_t r) { return scaled(*a, t, r, static_cast<int16_t>(exact_dot(*a, t, r))); });
}
bn_status float_accumulator_of_products(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void*) {
  return fill(*a, row0, row1, [&](uint32_t t, uint32_t r) {
    return static_cast<float>(static_cast<double>(exact_dot(*a, t, r)) * static_cast<double>(a->x_scale[t]) *
                              static_cast<double>(bn::kit::row_scale(*a->w, r)));
  });
}
bn_status scale_order(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void*) {
  return fill(*a, row0, row1, [&](uint32_t t, uint32_t r) {
    return static_cast<float>(exact_dot(*a, t, r)) * a->x_scale[t] * bn::kit::row_scale(*a->w, r);
  });
}
bn_status one_scale(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void*) {
  return fill(*a, row0, row1, [&](uint32_t t, uint32_t r) {
    return static_cast<float>(exact_dot(*a, t, r)) * (a->x_scale[t] * a->w->scales[0]);
  });
}
bn_status wrong_sum(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1,
                    void*) {  // w+1 stored, sum of token 0 taken off
  return fill(*a, row0, row1,
              [&](uint32_t t, uint32_t r) { return scaled(*a, t, r, exact_dot(*a, t, r) + a->x_sum[t] - a->x_sum[0]); });
}
bn_status tail_dropped(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void*) {
  return fill(*a, row0, row1, [&](uint32_t t, uint32_t r) {
    const int8_t* w = static_cast<const int8_t*>(a->packed) + r * row_stride(*a->w);
    int32_t dot = 0;
    for (uint32_t c = 0; c < a->w->cols / 4 * 4; ++c) dot += w[c] * a->x[uint64_t{t} * a->x_stride + c];
    return scaled(*a, t, r, dot);
  });
}
bn_status ignores_y_stride(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  bn_matmul b = *a;
  b.y_stride = a->w->rows;
  return correct(d, &b, row0, row1, s);
}
bn_status ignores_x_stride(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  bn_matmul b = *a;
  b.x_stride = static_cast<uint32_t>(row_stride(*a->w));
  return correct(d, &b, row0, row1, s);
}
bn_status many_tokens_lost(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  bn_matmul b = *a;
  b.m = a->m < 64 ? a->m : 64;
  return correct(d, &b, row0, row1, s);
}
bn_status past_weights(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  touch(static_cast<const int8_t*>(a->packed) + row1 * row_stride(*a->w) + 63);
  return correct(d, a, row0, row1, s);
}
bn_status past_x(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  touch(a->x + uint64_t{a->m - 1} * a->x_stride + row_stride(*a->w));
  return correct(d, a, row0, row1, s);
}
bn_status before_x(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  touch(a->x - 1);
  return correct(d, a, row0, row1, s);
}
bn_status past_y(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  a->y[uint64_t{a->m - 1} * a->y_stride + a->w->rows] = 0;
  return correct(d, a, row0, row1, s);
}
bn_status past_scratch(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  static_cast<uint8_t*>(s)[-1] = 0;
  return correct(d, a, row0, row1, s);
}
bn_status writes_x(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  *const_cast<volatile int8_t*>(a->x) = a->x[0];
  return correct(d, a, row0, row1, s);
}
bn_status all_rows(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  return row0 < row1 ? correct(d, a, 0, a->w->rows, s) : BN_OK;
}
void approximate_all_rows(bn_device& d) {
  d.table.numerics = BN_APPROX_1;
  d.table.tolerance = 1e-2f;
  d.table.matmul = all_rows;
}
bn_status empty_range_writes(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  return correct(d, a, row0, row0 == row1 ? row0 + 1 : row1, s);
}
bn_status scratch_is_zero(bn_device*, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  int32_t* sum = static_cast<int32_t*>(s);
  return fill(*a, row0, row1, [&](uint32_t t, uint32_t r) {
    sum[0] += exact_dot(*a, t, r);
    const float y = scaled(*a, t, r, sum[0]);
    sum[0] = 0;
    return y;
  });
}
bn_status remembers(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  if (++d->calls > 4) a->y[row0] = 0;
  return d->calls > 4 ? BN_OK : correct(d, a, row0, row1, s);
}
bn_status shared_buffer(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void*) {
  return fill(*a, row0, row1, [&](uint32_t t, uint32_t r) {
    d->shared = exact_dot(*a, t, r);
    if (r % 8 == 0) usleep(20);  // long enough for another thread to come between
    return scaled(*a, t, r, d->shared);
  });
}
bn_status leaves_a_thread(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  std::thread([] { pause(); }).detach();
  return correct(d, a, row0, row1, s);
}
bn_status size_equality(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  return a->struct_size == sizeof(bn_matmul) ? correct(d, a, row0, row1, s) : BN_E_INVALID;
}
bn_status reads_newer_field(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  touch(a + 1);
  return correct(d, a, row0, row1, s);
}
bn_status throws(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  if (a->m > 1) throw std::runtime_error("several tokens");
  return correct(d, a, row0, row1, s);
}
bn_status exits(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  if (a->m > 1) std::exit(0);
  return correct(d, a, row0, row1, s);
}
bn_status aborts(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  if (a->m > 1) std::abort();
  return correct(d, a, row0, row1, s);
}
bn_status hangs(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  while (a->m == 3) pause();
  return correct(d, a, row0, row1, s);
}
bn_status prints(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  if (a->m == 5) std::printf("five tokens\n");
  return correct(d, a, row0, row1, s);
}
bn_status logs_to_stderr(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  if (a->m == 5) std::fputs("five tokens\n", stderr);
  return correct(d, a, row0, row1, s);
}
bn_status sets_rounding(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {  // to what is usual
  std::fesetround(FE_TONEAREST);
  return correct(d, a, row0, row1, s);
}
bn_status truncates_rounding(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  std::fesetround(FE_TOWARDZERO);
  return correct(d, a, row0, row1, s);
}
bn_status refuses_one_token(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* s) {
  return a->m == 1 ? BN_E_UNSUPPORTED : correct(d, a, row0, row1, s);
}

template <Matmul* kBody>
void with(bn_device& d) {
  d.table.matmul = kBody;
}

}  // namespace

const Mutant kMatmulMutants[] = {{"int16_accumulator", with<int16_accumulator>},
                                 {"one_rounding", with<float_accumulator_of_products>},
                                 {"scale_order", with<scale_order>},
                                 {"one_scale", with<one_scale>},
                                 {"wrong_sum", with<wrong_sum>},
                                 {"tail_dropped", with<tail_dropped>},
                                 {"ignores_y_stride", with<ignores_y_stride>},
                                 {"ignores_x_stride", with<ignores_x_stride>},
                                 {"many_tokens_lost", with<many_tokens_lost>},
                                 {"past_weights", with<past_weights>},
                                 {"past_x", with<past_x>},
                                 {"before_x", with<before_x>},
                                 {"past_y", with<past_y>},
                                 {"past_scratch", with<past_scratch>},
                                 {"writes_x", with<writes_x>},
                                 {"all_rows", with<all_rows>},
                                 {"approximate_all_rows", approximate_all_rows},
                                 {"empty_range_writes", with<empty_range_writes>},
                                 {"scratch_is_zero", with<scratch_is_zero>},
                                 {"remembers", with<remembers>},
                                 {"shared_buffer", with<shared_buffer>},
                                 {"leaves_a_thread", with<leaves_a_thread>},
                                 {"size_equality", with<size_equality>},
                                 {"reads_newer_field", with<reads_newer_field>},
                                 {"throws", with<throws>},
                                 {"exits", with<exits>},
                                 {"aborts", with<aborts>},
                                 {"hangs", with<hangs>},
                                 {"prints", with<prints>},
                                 {"logs_to_stderr", with<logs_to_stderr>},
                                 {"sets_rounding", with<sets_rounding>},
                                 {"truncates_rounding", with<truncates_rounding>},
                                 {"refuses_one_token", with<refuses_one_token>},
                                 {nullptr, nullptr}};

}  // namespace bitnet::mutants
