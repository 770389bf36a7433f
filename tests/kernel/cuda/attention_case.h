// kernel/cuda/attention_case.h - one step of attention with random q and cache, and what the kit makes of it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "bitnet/kit/ops.hpp"
#include "device/attention.h"
#include "emulation/block.h"
#include "kernel/compare.h"
#include "kernel/random.h"

namespace bn_cuda {

struct AttentionCase {
  uint32_t dtype, n_heads, n_kv_heads, head_dim, position, n_tokens, n_splits, window;

  std::string name() const {
    std::string text = dtype == BN_DT_F16 ? "f16" : "f32";
    for (const uint32_t n : {n_heads, n_kv_heads, head_dim, position, n_tokens, n_splits, window})
      text += "," + std::to_string(n);
    return text;
  }
};

// The memory of a case. The cache ends with the last token; positions that no token sees hold NaN.
class AttentionMemory {
 public:
  explicit AttentionMemory(const AttentionCase& c) : c_(c), n_ctx_(c.position + c.n_tokens) {
    bitnet::kernel_test::Random random(c.head_dim + 1000 * c.position + c.n_heads);
    q = random.normals(size_t{c.n_tokens} * q_stride(), 1.5f);
    const size_t elements = size_t{c.n_kv_heads} * n_ctx_ * c.head_dim;
    fill(&k_, random.normals(elements));
    fill(&v_, random.normals(elements));
    y.assign(size_t{c.n_tokens} * y_stride(), -1.0f);
    partial.assign(attention_partial_floats(c.n_tokens, c.n_heads, c.head_dim, n_ctx_), -1.0f);
    arrived.assign(size_t{c.n_tokens} * c.n_heads, 0);
    state = {static_cast<int32_t>(c.position), 0, 0, 0};
  }

  AttentionArgs args() {
    return {q.data(),    k(),       v(),        y.data(),    partial.data(), arrived.data(),
            &state,      stride(),  q_stride(), y_stride(),  c_.n_heads,     c_.n_kv_heads,
            c_.head_dim, c_.window, c_.dtype,   c_.n_tokens, c_.n_splits,    scale()};
  }

  std::vector<float> expected() {
    std::vector<float> want(y.size(), -1.0f);
    std::vector<const void*> keys, values;
    for (uint32_t p = 0; p < n_ctx_; p += BN_KV_PAGE) {
      keys.push_back(static_cast<uint8_t*>(k()) + uint64_t{p} * c_.head_dim * element());
      values.push_back(static_cast<uint8_t*>(v()) + uint64_t{p} * c_.head_dim * element());
    }
    const bn_attn a = {sizeof(bn_attn), c_.n_heads,  c_.n_kv_heads,
                       c_.head_dim,     c_.position, c_.window,
                       c_.dtype,        c_.head_dim, static_cast<uint32_t>(stride()),
                       q_stride(),      y_stride(),  scale(),
                       q.data(),        keys.data(), values.data(),
                       want.data()};
    bn::kit::attention(a, 0, c_.n_tokens, 0, c_.n_heads);
    return want;
  }

  void check(const char* what) {
    const std::vector<float> want = expected();
    EXPECT_TRUE(bitnet::kernel_test::same_bits(want.data(), y.data(), y.size())) << what << " " << c_.name();
    for (const uint32_t n : arrived) EXPECT_EQ(n, 0u) << what << " " << c_.name() << ": a counter is left";
  }

  void* k() { return c_.dtype == BN_DT_F16 ? static_cast<void*>(k_.half.data()) : k_.full.data(); }
  void* v() { return c_.dtype == BN_DT_F16 ? static_cast<void*>(v_.half.data()) : v_.full.data(); }
  uint64_t stride() const { return uint64_t{n_ctx_} * c_.head_dim; }
  uint32_t element() const { return c_.dtype == BN_DT_F16 ? 2 : 4; }
  uint32_t q_stride() const { return (c_.n_heads + 2 * c_.n_kv_heads) * c_.head_dim; }
  uint32_t y_stride() const { return c_.n_heads * c_.head_dim + 4; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(c_.head_dim)); }

  std::vector<float> q, y, partial;
  std::vector<uint32_t> arrived;
  StepState state;

 private:
  struct Cache {
    std::vector<float> full;
    std::vector<uint16_t> half;
  };

  void fill(Cache* cache, std::vector<float> values) {
    const uint32_t seen = c_.window != 0 && c_.position + 1 > c_.window ? c_.position + 1 - c_.window : 0;
    for (size_t i = 0; i < values.size(); ++i) {
      if (i / c_.head_dim % n_ctx_ < seen) values[i] = std::numeric_limits<float>::quiet_NaN();
      if (c_.dtype == BN_DT_F16) cache->half.push_back(bn::kit::f32_to_f16(values[i]));
    }
    if (c_.dtype == BN_DT_F32) cache->full = std::move(values);
  }

  AttentionCase c_;
  uint32_t n_ctx_;
  Cache k_, v_;
};

// One kernel of attention: what it is called in messages, and how it is started.
struct AttentionUnderTest {
  const char* what;
  const Kernel& (*kernel)(uint32_t kv_dtype);
  Shape (*shape)(const AttentionArgs&);

  void launch(AttentionMemory& memory, uint32_t kv_dtype) const {
    const AttentionArgs args = memory.args();
    emulation::launch(kernel(kv_dtype), shape(args), &args);
  }
  void check(const AttentionCase& c) const {
    AttentionMemory memory(c);
    launch(memory, c.dtype);
    memory.check(what);
  }
  void check_stopped(const AttentionCase& c) const {
    AttentionMemory memory(c);
    memory.state.stopped = 1;
    launch(memory, c.dtype);
    for (const float y : memory.y) ASSERT_EQ(y, -1.0f) << what << " " << c.name();
  }
};

constexpr uint32_t kHeadDims[] = {8, 64, 80, 96, 100, 128, 192, 256};

}  // namespace bn_cuda
