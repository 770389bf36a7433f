// model/kv_cache.h - keys and values of one sequence, in pages of 128 positions that are allocated when first needed.
//
// Layout  page of one layer: K then V, each [n_kv_heads][BN_KV_PAGE][head_dim], f32 or f16 (rounded to nearest even).
// Errors  Error{kNoMemory}. Threads: reserve() and truncate() alone; store() on different positions from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "bitnet/model.h"

namespace bitnet::model {

class KvCache {
 public:
  KvCache(const bn_arch& arch, uint32_t kv_dtype);

  // Makes room for positions [0, n).
  void reserve(uint32_t n);
  // Writes one position of one layer; k, v: [n_kv_heads][head_dim].
  void store(uint32_t layer, uint32_t position, const float* k, const float* v);

  // What bn_attn needs.
  uint32_t dtype() const { return dtype_; }
  const void* const* k_pages(uint32_t layer) const { return k_pages_[layer].data(); }
  const void* const* v_pages(uint32_t layer) const { return v_pages_[layer].data(); }
  uint32_t stride_position() const { return head_dim_; }
  uint32_t stride_head() const { return BN_KV_PAGE * head_dim_; }

  // Positions [pos0, pos1) in the order of bn_kv_v1, [layer][k, v][position][n_kv_heads][head_dim], elements as stored. Both
  // need reserve(pos1).
  uint64_t interchange_bytes(uint32_t n_positions) const { return 2ull * n_layers_ * n_positions * vector_bytes(); }
  void read(uint32_t pos0, uint32_t pos1, void* dst) const;
  void write(uint32_t pos0, uint32_t pos1, const void* src);

  uint64_t bytes() const { return bytes_; }  // allocated so far
  static uint64_t bytes_per_position(const bn_arch& arch, uint32_t kv_dtype);

 private:
  uint64_t vector_bytes() const;  // K or V of one layer and position
  // f(where a head lies in its page, its offset in the interchange order, bytes) for all heads of positions [pos0, pos1).
  template <class F>
  void for_each_head(uint32_t pos0, uint32_t pos1, F&& f) const;

  uint32_t n_layers_, n_kv_heads_, head_dim_, dtype_;
  uint64_t plane_bytes_;  // K or V of one layer's page
  uint64_t bytes_ = 0;
  std::vector<AlignedBuffer> pages_;                         // one buffer holds all layers of a page
  std::vector<std::vector<const void*>> k_pages_, v_pages_;  // [layer][page]
};

}  // namespace bitnet::model
