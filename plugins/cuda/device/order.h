// device/order.h - logits as integers that rank as the sampler ranks: falling logit, ties by rising id; and a block that sorts.
#pragma once

#include "bitnet/kit/arithmetic.hpp"
#include "simt.h"

namespace bn_cuda {

// Rises with x; -0 equals 0. No number gives 0. NaN with sign 0 is above all, with sign 1 below all.
BN_BOTH uint32_t ordered(float x) {
  const uint32_t u = bn::kit::bits_of(x + 0.0f);
  return (u & 0x80000000u) != 0 ? ~u : u | 0x80000000u;
}
BN_BOTH float from_ordered(uint32_t o) { return bn::kit::float_of((o & 0x80000000u) != 0 ? o & 0x7FFFFFFFu : ~o); }

// Larger ranks before. 0 is no row's key.
BN_BOTH uint64_t rank_key(float logit, uint32_t id) { return static_cast<uint64_t>(ordered(logit)) << 32 | (0xFFFFFFFFu - id); }
BN_BOTH uint32_t id_of_key(uint64_t key) { return 0xFFFFFFFFu - static_cast<uint32_t>(key); }

// Sorts n keys in shared memory, falling. n: a power of two. All threads of the block; ends with a barrier.
BN_DEVICE void sort_falling(uint64_t* key, uint32_t n) {
  for (uint32_t size = 2; size <= n; size *= 2) {
    for (uint32_t step = size / 2; step > 0; step /= 2) {
      sync_block();
      for (uint32_t i = thread_index(); i < n / 2; i += n_threads()) {
        const uint32_t low = i / step * 2 * step + i % step, high = low + step;
        const uint64_t a = key[low], b = key[high];
        const bool falling = (low & size) == 0;
        if ((a < b) == falling) {
          key[low] = b;
          key[high] = a;
        }
      }
    }
  }
  sync_block();
}

BN_DEVICE uint32_t next_power_of_two(uint32_t n) {
  uint32_t p = 1;
  while (p < n) p *= 2;
  return p;
}

}  // namespace bn_cuda
