// model/kv_cache.cpp - page allocation and the store of one position.
#include "model/kv_cache.h"

#include <cstring>

#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::model {
namespace {
uint64_t element_bytes(uint32_t dtype) { return dtype == BN_DT_F16 ? 2 : 4; }
}  // namespace

KvCache::KvCache(const bn_arch& arch, uint32_t kv_dtype)
    : n_layers_(arch.n_layers),
      n_kv_heads_(arch.n_kv_heads),
      head_dim_(arch.head_dim),
      dtype_(kv_dtype),
      plane_bytes_(static_cast<uint64_t>(n_kv_heads_) * BN_KV_PAGE * head_dim_ * element_bytes(kv_dtype)),
      k_pages_(n_layers_),
      v_pages_(n_layers_) {}

uint64_t KvCache::bytes_per_position(const bn_arch& arch, uint32_t kv_dtype) {
  return 2ull * arch.n_layers * arch.n_kv_heads * arch.head_dim * element_bytes(kv_dtype);
}

void KvCache::reserve(uint32_t n) {
  while (pages_.size() * BN_KV_PAGE < n) {
    AlignedBuffer page(2 * plane_bytes_ * n_layers_);
    for (uint32_t layer = 0; layer < n_layers_; ++layer) {
      k_pages_[layer].push_back(page.as<uint8_t>() + 2 * layer * plane_bytes_);
      v_pages_[layer].push_back(page.as<uint8_t>() + (2 * layer + 1) * plane_bytes_);
    }
    bytes_ += page.size();
    pages_.push_back(std::move(page));
  }
}

void KvCache::store(uint32_t layer, uint32_t position, const float* k, const float* v) {
  const uint32_t page = position / BN_KV_PAGE, slot = position % BN_KV_PAGE;
  for (const auto& [pages, source] : {std::pair{&k_pages_, k}, std::pair{&v_pages_, v}}) {
    uint8_t* plane = static_cast<uint8_t*>(const_cast<void*>((*pages)[layer][page]));
    for (uint32_t head = 0; head < n_kv_heads_; ++head) {
      const uint64_t offset = static_cast<uint64_t>(head) * stride_head() + static_cast<uint64_t>(slot) * head_dim_;
      const float* x = source + static_cast<uint64_t>(head) * head_dim_;
      if (dtype_ == BN_DT_F32) {
        std::memcpy(plane + 4 * offset, x, 4ull * head_dim_);
      } else {
        uint16_t* y = reinterpret_cast<uint16_t*>(plane) + offset;
        for (uint32_t d = 0; d < head_dim_; ++d) y[d] = bn::kit::f32_to_f16(x[d]);
      }
    }
  }
}

uint64_t KvCache::vector_bytes() const { return static_cast<uint64_t>(n_kv_heads_) * head_dim_ * element_bytes(dtype_); }

template <class F>
void KvCache::for_each_head(uint32_t pos0, uint32_t pos1, F&& f) const {
  const uint64_t head_bytes = head_dim_ * element_bytes(dtype_);
  uint64_t offset = 0;
  for (uint32_t layer = 0; layer < n_layers_; ++layer) {
    for (const auto* pages : {&k_pages_[layer], &v_pages_[layer]}) {
      for (uint32_t p = pos0; p < pos1; ++p) {
        uint8_t* plane = static_cast<uint8_t*>(const_cast<void*>((*pages)[p / BN_KV_PAGE]));
        for (uint32_t head = 0; head < n_kv_heads_; ++head, offset += head_bytes) {
          f(plane + (static_cast<uint64_t>(head) * BN_KV_PAGE + p % BN_KV_PAGE) * head_bytes, offset, head_bytes);
        }
      }
    }
  }
}

void KvCache::read(uint32_t pos0, uint32_t pos1, void* dst) const {
  for_each_head(pos0, pos1, [&](const uint8_t* head, uint64_t offset, uint64_t bytes) {
    std::memcpy(static_cast<uint8_t*>(dst) + offset, head, bytes);
  });
}

void KvCache::write(uint32_t pos0, uint32_t pos1, const void* src) {
  for_each_head(pos0, pos1, [&](uint8_t* head, uint64_t offset, uint64_t bytes) {
    std::memcpy(head, static_cast<const uint8_t*>(src) + offset, bytes);
  });
}

}  // namespace bitnet::model
