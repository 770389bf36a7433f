// mock/kernels.cpp - mode faithful: the reference kernels, or those of a wrapped plugin, with faults in front.
//
// No rules, no difference: every op is the one behind, bit for bit. Damage hits the first number of the call's output range and
// nothing else: wrong makes it 1 (or 2, if it was 1), nan makes it NaN; oob does to the number behind the range what wrong
// does.
#include <cstring>
#include <limits>

#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/ternary.hpp"
#include "device.h"

namespace bn_mock {
namespace {

using bn::kit::guard;
using bn::kit::set_error;

void damage(const Verdict& v, float* first, float* behind) {
  if (v.wrong) *first = *first == 1.0f ? 2.0f : 1.0f;
  if (v.nan) *first = std::numeric_limits<float>::quiet_NaN();
  if (v.oob) *behind = *behind == 1.0f ? 2.0f : 1.0f;
}

// A range of floats that an op was asked for: its first number, and the one behind it. No numbers: both NULL.
struct Range {
  float *first = nullptr, *behind = nullptr;
};

// Asks the rules for `point`, runs op, damages its range if that is asked for.
template <class Op>
bn_status with_faults(bn_device* d, Point point, const Range& range, Op&& op) {
  return guard(nullptr, [&]() -> bn_status {
    const Verdict v = d->faults.at(point);
    if (v.status != BN_OK) return v.status;
    const bn_status status = op();
    if (status == BN_OK && range.first != nullptr) damage(v, range.first, range.behind);
    return status;
  });
}

// As the ops behind, unless a rule waits for pack(): then what would be read in place is copied.
bool is_copied(bn_device* d, const bn_tensor* w) {
  return d->faults.has_rules_for(Point::kPack) && d->inner.accepts(d->inner_device, w) == BN_NATIVE;
}

int32_t accepts(bn_device* d, const bn_tensor* w) {
  int32_t answer = BN_NO;
  guard(nullptr, [&] {
    if (d->faults.at(Point::kAccepts).status == BN_OK) answer = d->inner.accepts(d->inner_device, w);
    if (answer == BN_NATIVE && is_copied(d, w)) answer = BN_PACK;
    return BN_OK;
  });
  return answer;
}

bn_status pack_size(bn_device* d, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* error) {
  if (!is_copied(d, w)) return d->inner.pack_size(d->inner_device, w, bytes, layout, error);
  const bn::kit::Layout known = bn::kit::layout_of(w->format);
  if (known == bn::kit::Layout::kUnknown) return set_error(error, BN_E_UNSUPPORTED, "unknown ternary layout");
  *bytes = bn::kit::row_bytes(known, w->cols) * w->rows;
  const uint32_t size = layout->struct_size;
  std::memcpy(layout, w->format, size < w->format->struct_size ? size : w->format->struct_size);
  layout->struct_size = size;
  return BN_OK;
}

bn_status pack(bn_device* d, const bn_tensor* w, uint32_t row0, uint32_t row1, void* dst, bn_error* error) {
  return guard(error, [&]() -> bn_status {
    if (const Verdict v = d->faults.at(Point::kPack); v.status != BN_OK) return report(v, error);
    if (!is_copied(d, w)) return d->inner.pack(d->inner_device, w, row0, row1, dst, error);
    const uint64_t row = bn::kit::row_bytes(bn::kit::layout_of(w->format), w->cols);
    std::memcpy(static_cast<uint8_t*>(dst) + row0 * row, static_cast<const uint8_t*>(w->data) + row0 * row,
                (row1 - row0) * row);
    return BN_OK;
  });
}

Range rows_of(float* y, uint32_t m, uint32_t row0, uint32_t row1) {
  return row0 < row1 && m > 0 ? Range{y + row0, y + row1} : Range{};
}

bn_status matmul(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  d->step_tokens = a->m;
  if (d->step_failed.exchange(false)) d->steps.forget();
  return with_faults(d, Point::kMatmul, rows_of(a->y, a->m, row0, row1),
                     [&] { return d->inner.matmul(d->inner_device, a, row0, row1, scratch); });
}

bn_status dense(bn_device* d, const bn_dense* a, uint32_t row0, uint32_t row1, void* scratch) {
  d->steps.forget();
  return with_faults(d, Point::kDense, rows_of(a->y, a->m, row0, row1),
                     [&] { return d->inner.dense(d->inner_device, a, row0, row1, scratch); });
}

// Without y the scales of the codes are what is damaged.
bn_status norm(bn_device* d, const bn_norm* a, uint32_t vec0, uint32_t vec1, void* scratch) {
  Range range;
  if (vec0 < vec1 && a->y != nullptr) {
    range = {a->y + static_cast<uint64_t>(vec0) * a->y_stride, a->y + static_cast<uint64_t>(vec1 - 1) * a->y_stride + a->n};
  } else if (vec0 < vec1) {
    range = {a->q_scale + vec0, a->q_scale + vec1};
  }
  return with_faults(d, Point::kNorm, range, [&] { return d->inner.norm(d->inner_device, a, vec0, vec1, scratch); });
}

// Columns [col0, col1) of the first token of a range.
Range columns_of(float* y, uint32_t stride, uint32_t tok0, uint32_t tok1, uint64_t col0, uint64_t col1) {
  if (tok0 >= tok1 || col0 >= col1) return {};
  float* row = y + static_cast<uint64_t>(tok0) * stride;
  return {row + col0, row + col1};
}

bn_status rope(bn_device* d, const bn_rope* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void* scratch) {
  const uint64_t dim = a->head_dim;
  return with_faults(d, Point::kRope, columns_of(a->x, a->x_stride, tok0, tok1, head0 * dim, head1 * dim),
                     [&] { return d->inner.rope(d->inner_device, a, tok0, tok1, head0, head1, scratch); });
}

// Points prefill and token: asked once per step, by its first attention call. In the engine tier append() asks them.
Verdict step_verdict(bn_device* d, uint32_t pos0) {
  if (d->mode != Mode::kKernels) return {};
  if (!d->faults.has_rules_for(Point::kPrefill) && !d->faults.has_rules_for(Point::kToken)) return {};
  const Steps::Step step = d->steps.see(pos0, d->step_tokens);
  if (!step.is_new) return {};
  Verdict v;
  if (step.is_prefill) v = d->faults.judge(Point::kPrefill, ++d->prefills);
  if (v.status != BN_OK) return v;
  const Verdict token = d->faults.judge(Point::kToken, step.token);
  if (token.status != BN_OK) return token;
  v.add_damage(token);
  return v;
}

bn_status attention(bn_device* d, const bn_attn* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1,
                    void* scratch) {
  return guard(nullptr, [&]() -> bn_status {
    const Verdict step = step_verdict(d, a->pos0);
    if (step.status != BN_OK) {
      d->step_failed = true;
      return step.status;
    }
    const uint64_t dim = a->head_dim;
    const Range range = columns_of(a->y, a->y_stride, tok0, tok1, head0 * dim, head1 * dim);
    const bn_status status = with_faults(
        d, Point::kAttention, range, [&] { return d->inner.attention(d->inner_device, a, tok0, tok1, head0, head1, scratch); });
    if (status == BN_OK && range.first != nullptr) damage(step, range.first, range.behind);
    return status;
  });
}

bn_status glu(bn_device* d, const bn_glu* a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1, void* scratch) {
  return with_faults(d, Point::kGlu, columns_of(a->y, a->y_stride, tok0, tok1, col0, col1),
                     [&] { return d->inner.glu(d->inner_device, a, tok0, tok1, col0, col1, scratch); });
}

}  // namespace

void make_faithful_kernels(bn_device& d) {
  bn_kernels_v1& t = d.kernels;
  t = d.inner;  // profile, granule, alignment, scratch and dtypes are those of the ops behind
  t.accepts = accepts;
  t.pack_size = pack_size;
  t.pack = pack;
  t.matmul = matmul;
  t.dense = dense;
  t.norm = norm;
  t.rope = rope;
  t.attention = attention;
  t.glu = glu;
  t.attention_parts = nullptr, t.merge_parts = nullptr;  // optional; a step is known by its attention calls
}

}  // namespace bn_mock
