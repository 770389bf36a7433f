// mock/kernels.cpp - mode faithful: the portable reference kernels with faults in front.
//
// No rules, no difference: every op is the kit's, bit for bit. Damage hits the first number of the call's output range and
// nothing else: wrong makes it 1 (or 2, if it was 1), nan makes it NaN.
#include <cstring>
#include <limits>

#include "bitnet/kit/plugin.hpp"
#include "bitnet/kit/portable.h"
#include "bitnet/kit/ternary.hpp"
#include "device.h"

namespace bn_mock {
namespace {

using bn::kit::guard;
using bn::kit::set_error;

const bn_kernels_v1& portable() { return *bn_portable_kernels(); }

void damage(const Verdict& v, float* at) {
  if (v.wrong) *at = *at == 1.0f ? 2.0f : 1.0f;
  if (v.nan) *at = std::numeric_limits<float>::quiet_NaN();
}

// Asks the rules for `point`, runs op, damages *result() if that is asked for. result may give NULL: nothing computed.
template <class Op, class Result>
bn_status with_faults(bn_device* d, Point point, Op&& op, Result&& result) {
  return guard(nullptr, [&]() -> bn_status {
    const Verdict v = d->faults.at(point);
    if (v.status != BN_OK) return v.status;
    const bn_status status = op();
    if (float* at = result(); status == BN_OK && at != nullptr) damage(v, at);
    return status;
  });
}

// In place, unless a rule waits for pack(): then everything is packed, which here is a copy.
int32_t accepts(bn_device* d, const bn_tensor* w) {
  int32_t answer = BN_NO;
  guard(nullptr, [&] {
    if (d->faults.at(Point::kAccepts).status == BN_OK) answer = portable().accepts(nullptr, w);
    if (answer == BN_NATIVE && d->faults.has_rules_for(Point::kPack)) answer = BN_PACK;
    return BN_OK;
  });
  return answer;
}

bn_status pack_size(bn_device*, const bn_tensor* w, uint64_t* bytes, bn_format* layout, bn_error* error) {
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
    const uint64_t row = bn::kit::row_bytes(bn::kit::layout_of(w->format), w->cols);
    std::memcpy(static_cast<uint8_t*>(dst) + row0 * row, static_cast<const uint8_t*>(w->data) + row0 * row,
                (row1 - row0) * row);
    return BN_OK;
  });
}

bn_status matmul(bn_device* d, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  d->step_tokens = a->m;
  if (d->step_failed.exchange(false)) d->steps.forget();
  return with_faults(
      d, Point::kMatmul, [&] { return portable().matmul(nullptr, a, row0, row1, scratch); },
      [&] { return row0 < row1 && a->m > 0 ? a->y + row0 : nullptr; });
}

bn_status dense(bn_device* d, const bn_dense* a, uint32_t row0, uint32_t row1, void* scratch) {
  d->steps.forget();
  return with_faults(
      d, Point::kDense, [&] { return portable().dense(nullptr, a, row0, row1, scratch); },
      [&] { return row0 < row1 && a->m > 0 ? a->y + row0 : nullptr; });
}

// Without y the scale of the codes is what is damaged.
bn_status norm(bn_device* d, const bn_norm* a, uint32_t vec0, uint32_t vec1, void* scratch) {
  return with_faults(
      d, Point::kNorm, [&] { return portable().norm(nullptr, a, vec0, vec1, scratch); },
      [&]() -> float* {
        if (vec0 >= vec1) return nullptr;
        return a->y != nullptr ? a->y + static_cast<uint64_t>(vec0) * a->y_stride : a->q_scale + vec0;
      });
}

bn_status rope(bn_device* d, const bn_rope* a, uint32_t tok0, uint32_t tok1, uint32_t head0, uint32_t head1, void* scratch) {
  return with_faults(
      d, Point::kRope, [&] { return portable().rope(nullptr, a, tok0, tok1, head0, head1, scratch); },
      [&]() -> float* {
        if (tok0 >= tok1 || head0 >= head1) return nullptr;
        return a->x + static_cast<uint64_t>(tok0) * a->x_stride + static_cast<uint64_t>(head0) * a->head_dim;
      });
}

// Points prefill and token: asked once per step, by its first attention call.
Verdict step_verdict(bn_device* d, uint32_t pos0) {
  if (!d->faults.has_rules_for(Point::kPrefill) && !d->faults.has_rules_for(Point::kToken)) return {};
  const Steps::Step step = d->steps.see(pos0, d->step_tokens);
  if (!step.is_new) return {};
  Verdict v;
  if (step.is_prefill) v = d->faults.judge(Point::kPrefill, ++d->prefills);
  if (v.status != BN_OK) return v;
  const Verdict token = d->faults.judge(Point::kToken, step.token);
  if (token.status != BN_OK) return token;
  v.wrong |= token.wrong;
  v.nan |= token.nan;
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
    float* at = nullptr;
    if (tok0 < tok1 && head0 < head1) {
      at = a->y + static_cast<uint64_t>(tok0) * a->y_stride + static_cast<uint64_t>(head0) * a->head_dim;
    }
    const bn_status status = with_faults(
        d, Point::kAttention, [&] { return portable().attention(nullptr, a, tok0, tok1, head0, head1, scratch); },
        [&] { return at; });
    if (status == BN_OK && at != nullptr) damage(step, at);
    return status;
  });
}

bn_status glu(bn_device* d, const bn_glu* a, uint32_t tok0, uint32_t tok1, uint32_t col0, uint32_t col1, void* scratch) {
  return with_faults(
      d, Point::kGlu, [&] { return portable().glu(nullptr, a, tok0, tok1, col0, col1, scratch); },
      [&]() -> float* {
        return tok0 < tok1 && col0 < col1 ? a->y + static_cast<uint64_t>(tok0) * a->y_stride + col0 : nullptr;
      });
}

bn_kernels_v1 make_table() {
  bn_kernels_v1 t = portable();  // profile, granule, alignment, scratch and dtypes are those of the reference
  t.accepts = accepts;
  t.pack_size = pack_size;
  t.pack = pack;
  t.matmul = matmul;
  t.dense = dense;
  t.norm = norm;
  t.rope = rope;
  t.attention = attention;
  t.glu = glu;
  return t;
}

}  // namespace

const bn_kernels_v1* faithful_kernels() {
  static const bn_kernels_v1 table = make_table();
  return &table;
}

}  // namespace bn_mock
