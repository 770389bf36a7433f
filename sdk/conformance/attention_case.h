// conformance/attention_case.h - a call of attention: its shape, and its pages of keys and values.
#pragma once

#include <limits>

#include "operation.h"

namespace bitnet::conformance {

struct AttentionCase {
  uint32_t head_dim = 64, n_heads = 4, n_kv_heads = 1, kv_dtype = BN_DT_F32, pos0 = 0, tokens = 1, window = 0;
  float score_size = 1.0f;
  bool head_major = false;  // inside a page: [head][position][head_dim], else [position][head][head_dim]
  uint32_t gap = 0;
  std::string text() const {
    return say("head_dim %u, heads %u/%u, KV %s %s, pos0 %u, %u tokens, window %u, scores of size %g, strides + %u, seed %llu",
               head_dim, n_heads, n_kv_heads, kv_dtype == BN_DT_F16 ? "f16" : "f32", head_major ? "by head" : "by position",
               pos0, tokens, window, static_cast<double>(score_size), gap, static_cast<unsigned long long>(base_seed));
  }
  size_t floats() const { return static_cast<size_t>(tokens - 1) * (width() + gap) + width(); }  // of q and y
  uint32_t width() const { return n_heads * head_dim; }
  uint32_t stride_pos() const { return (head_major ? head_dim : n_kv_heads * head_dim) + gap; }
  uint32_t stride_head() const { return head_major ? stride_pos() * BN_KV_PAGE : head_dim; }
  uint32_t page_elements() const {
    return n_kv_heads * head_dim * BN_KV_PAGE + gap * BN_KV_PAGE * (head_major ? n_kv_heads : 1);
  }
  size_t page_numbers() const {
    return static_cast<size_t>((pos0 + tokens - 1) / BN_KV_PAGE + 1) * BN_KV_PAGE * n_kv_heads * head_dim;
  }
  bool seen(uint32_t position, Range tokens_asked) const {
    return position < pos0 + tokens_asked.second && (window == 0 || position + window > pos0 + tokens_asked.first);
  }
};

// What the pages of a case hold. Made once a case: numbers take longer than what is computed from them.
struct PageNumbers {
  explicit PageNumbers(const AttentionCase& c)
      : keys(Random(11).normals(c.page_numbers())), values(Random(12).normals(c.page_numbers())) {}
  std::vector<float> keys, values;
};

// The pages of keys or of values. Elements that no token asked for may read are NaN; pages without any visible position
// are not there at all.
class Pages {
 public:
  Pages(const char* name, const AttentionCase& c, const std::vector<float>& numbers, Range tokens, Edge edge) : name_(name) {
    const float* next = numbers.data();
    for (uint32_t first = 0; first < c.pos0 + c.tokens; first += BN_KV_PAGE) {
      std::vector<float> values(c.page_elements(), std::numeric_limits<float>::quiet_NaN());
      bool any = false;
      for (uint32_t p = 0; p < BN_KV_PAGE; ++p) {
        for (uint32_t h = 0; h < c.n_kv_heads; ++h) {
          if (c.seen(first + p, tokens)) {
            std::copy_n(next, c.head_dim,
                        &values[static_cast<size_t>(p) * c.stride_pos() + static_cast<size_t>(h) * c.stride_head()]);
            any = true;
          }
          next += c.head_dim;
        }
      }
      pointers_.push_back(add_page(c.kv_dtype, values, any, edge));
    }
    table_ = std::make_unique<Input<const void*>>("the table of KV pages", pointers_, edge);
  }
  const void* const* table() const { return table_->data(); }

 private:
  const void* add_page(uint32_t dtype, const std::vector<float>& values, bool any, Edge edge) {
    const size_t bytes = dtype == BN_DT_F16 ? 2 : 4;
    memory_.push_back(std::make_unique<GuardedBytes>(name_, values.size() * bytes, edge, bytes));
    GuardedBytes& page = *memory_.back();
    if (dtype == BN_DT_F16) {
      auto* halves = reinterpret_cast<uint16_t*>(page.data());
      for (size_t i = 0; i < values.size(); ++i) halves[i] = bn::kit::f32_to_f16(values[i]);
    } else {
      std::memcpy(page.data(), values.data(), values.size() * bytes);
    }
    if (any) {
      page.freeze();
    } else {
      page.make_absent();
    }
    return page.data();
  }
  const char* name_;
  std::vector<std::unique_ptr<GuardedBytes>> memory_;
  std::vector<const void*> pointers_;
  std::unique_ptr<Input<const void*>> table_;
};

// The arguments of a case; q, y: rows of c.width() + c.gap floats.
inline bn_attn attention_arguments(const AttentionCase& c, const Pages& k, const Pages& v, const float* q, float* y) {
  const uint32_t stride = c.width() + c.gap;
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(c.head_dim));
  return {sizeof(bn_attn), c.n_heads, c.n_kv_heads, c.head_dim, c.pos0, c.window,  c.kv_dtype, c.stride_pos(),
          c.stride_head(), stride,    stride,       scale,      q,      k.table(), v.table(),  y};
}

}  // namespace bitnet::conformance
