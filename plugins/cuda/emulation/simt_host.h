// emulation/simt_host.h - the dialect of device/simt.h for a host compiler: a thread is a fiber, a warp meets where its
// instruction needs all of its lanes. Included by device/simt.h only.
//
// Memory is the host's, so the address sanitizer sees every access out of bounds. A block whose threads cannot go on (not all
// reach a barrier, a lane left early) ends the launch with an error that names the kernel. Blocks run one after the other.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "bitnet/kit/arithmetic.hpp"

#define BN_GLOBAL static
#define BN_GLOBAL_FITTING(threads, blocks) static
#define BN_DEVICE static inline
#define BN_DEVICE_MEMBER inline
#define BN_BOTH static inline
#define BN_UNROLL
#define BN_ROLLED

namespace bn_cuda {
namespace emulation {

constexpr uint32_t kSlotWords = 8;
struct Slot {  // what one lane shows to its warp
  uint32_t word[kSlotWords];
};

// Of the running fiber.
struct Place {
  uint32_t thread, n_threads, block_x, block_y, n_blocks_x, n_blocks_y;
  void* shared;
};
const Place& place();
void meet_block();
// Shows `n` words to the warp and waits until all lanes did. Lane i's words are at [i] until this lane meets again.
const Slot* meet_warp(const uint32_t* words, uint32_t n);
// A copy is made as late as it may be: when its thread waits for its group. One that nobody waits for is never made.
void copy_later(void* shared, const void* global, uint32_t bytes);
void end_copy_group();
void finish_copies(uint32_t groups_left);

}  // namespace emulation

BN_DEVICE uint32_t thread_index() { return emulation::place().thread; }
BN_DEVICE uint32_t n_threads() { return emulation::place().n_threads; }
BN_DEVICE uint32_t block_x() { return emulation::place().block_x; }
BN_DEVICE uint32_t block_y() { return emulation::place().block_y; }
BN_DEVICE uint32_t n_blocks_x() { return emulation::place().n_blocks_x; }
BN_DEVICE uint32_t n_blocks_y() { return emulation::place().n_blocks_y; }

template <class T>
BN_DEVICE T* shared_memory() {
  return static_cast<T*>(emulation::place().shared);
}

BN_DEVICE void sync_block() { emulation::meet_block(); }
BN_DEVICE void sync_warp() { emulation::meet_warp(nullptr, 0); }
BN_DEVICE void fence_device() {}
BN_DEVICE void fence_system() {}

template <class T>
BN_DEVICE T shuffle(T value, uint32_t source) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  uint32_t words[sizeof(T) / 4];
  std::memcpy(words, &value, sizeof(T));
  const emulation::Slot* lanes = emulation::meet_warp(words, sizeof(T) / 4);
  std::memcpy(&value, lanes[source % 32].word, sizeof(T));
  return value;
}
template <class T>
BN_DEVICE T shuffle_xor(T value, uint32_t mask) {
  return shuffle(value, (thread_index() % 32) ^ mask);
}
BN_DEVICE uint32_t ballot(bool bit) {
  const uint32_t word = bit;
  const emulation::Slot* lanes = emulation::meet_warp(&word, 1);
  uint32_t bits = 0;
  for (uint32_t i = 0; i < 32; ++i) bits |= lanes[i].word[0] << i;
  return bits;
}

template <class T>
BN_DEVICE T exchange_host(T* p, T next) {
  const T before = *p;
  *p = next;
  return before;
}
BN_DEVICE int32_t atomic_add(int32_t* p, int32_t v) {
  return exchange_host(p, static_cast<int32_t>(static_cast<uint32_t>(*p) + static_cast<uint32_t>(v)));
}
BN_DEVICE uint32_t atomic_add(uint32_t* p, uint32_t v) { return exchange_host(p, *p + v); }
BN_DEVICE uint32_t atomic_max(uint32_t* p, uint32_t v) { return exchange_host(p, *p > v ? *p : v); }
BN_DEVICE uint64_t atomic_max(uint64_t* p, uint64_t v) { return exchange_host(p, *p > v ? *p : v); }

BN_DEVICE Words4 load_stream(const void* p) { return *static_cast<const Words4*>(p); }
BN_DEVICE void prefetch_l2(const void*) {}
BN_DEVICE void copy_async(void* shared, const void* global) { emulation::copy_later(shared, global, 16); }
BN_DEVICE void copy_async_8(void* shared, const void* global) { emulation::copy_later(shared, global, 8); }
BN_DEVICE void copy_commit() { emulation::end_copy_group(); }
template <int N>
BN_DEVICE void copy_wait() {
  emulation::finish_copies(N);
}
BN_DEVICE void dependency_wait() {}
BN_DEVICE void dependents_may_start() {}

BN_DEVICE float half_to_float(uint16_t h) { return bn::kit::f16_to_f32(h); }
BN_DEVICE uint32_t bit_count(uint32_t v) { return static_cast<uint32_t>(__builtin_popcount(v)); }
BN_DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t acc) {
  for (int i = 0; i < 4; ++i) {
    acc += static_cast<int32_t>(a >> (8 * i) & 255u) * static_cast<int8_t>(b >> (8 * i) & 255u);
  }
  return acc;
}

BN_DEVICE int32_t dot4_signed(uint32_t a, uint32_t b, int32_t acc) {
  for (int i = 0; i < 4; ++i) {
    acc += static_cast<int8_t>(a >> (8 * i) & 255u) * static_cast<int8_t>(b >> (8 * i) & 255u);
  }
  return acc;
}

// The two tensor-core instructions differ in what one register of A and one of B give.
template <class F>
BN_DEVICE void mma_host(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], F&& product) {
  const uint32_t words[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const emulation::Slot* lanes = emulation::meet_warp(words, 6);
  const uint32_t g = thread_index() % 32 / 4, t = thread_index() % 4;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t column = 2 * t + i % 2, high = i / 2;  // row g or g+8
    for (uint32_t k = 0; k < 4; ++k) {
      const uint32_t *row = lanes[4 * g + k].word, *col = lanes[4 * column + k].word;
      d[i] = product(row[high], col[4], product(row[2 + high], col[5], d[i]));
    }
  }
}
BN_DEVICE void mma_u8s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { mma_host(d, a, b, dot4); }
BN_DEVICE void mma_b1(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_host(d, a, b, [](uint32_t x, uint32_t y, int32_t acc) { return acc + static_cast<int32_t>(bit_count(x & y)); });
}

}  // namespace bn_cuda
