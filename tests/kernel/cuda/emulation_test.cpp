// kernel/cuda/emulation_test.cpp - the emulation itself: fibers meet, instructions of a warp, kernels that hang are found.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "emulation/block.h"

namespace bn_cuda {
namespace {

struct SumArgs {
  int32_t* out;
};

BN_GLOBAL void sum_block(SumArgs a) {
  int32_t* of_warp = shared_memory<int32_t>();
  int32_t v = static_cast<int32_t>(1000 * block_x() + thread_index());
  for (uint32_t m = 16; m > 0; m /= 2) v += shuffle_xor(v, m);
  if (lane_index() == 0) of_warp[warp_index()] = v;
  sync_block();
  if (thread_index() != 0) return;
  a.out[block_x()] = 0;
  for (uint32_t w = 0; w < n_threads() / 32; ++w) a.out[block_x()] += of_warp[w];
}

TEST(CudaEmulation, ThreadsOfABlockMeet) {
  int32_t out[3] = {};
  const SumArgs args{out};
  emulation::launch(KernelOf<SumArgs>::make<sum_block>("sum_block"), {3, 1, 256, 32}, &args);
  for (int b = 0; b < 3; ++b) EXPECT_EQ(out[b], 256 * 1000 * b + 255 * 256 / 2);
}

BN_GLOBAL void one_stays_away(SumArgs) {
  if (thread_index() != 3) sync_block();
}

TEST(CudaEmulation, AKernelThatWaitsForEverIsNamed) {
  const SumArgs args{};
  try {
    emulation::launch(KernelOf<SumArgs>::make<one_stays_away>("one_stays_away"), {1, 1, 64, 0}, &args);
    FAIL() << "no error";
  } catch (const std::logic_error& e) {
    EXPECT_STREQ(e.what(), "kernel one_stays_away, block 0,0: 63 threads wait for others that never come");
  }
}

// Thread i gives its number to its neighbour without a barrier between.
BN_GLOBAL void forgets_the_barrier(SumArgs a) {
  int32_t* box = shared_memory<int32_t>();
  box[thread_index()] = static_cast<int32_t>(thread_index());
  a.out[thread_index()] = box[(thread_index() + 63) % 64];
}

TEST(CudaEmulation, AMissingBarrierShowsInOneOfTwoOrders) {
  uint32_t wrong[2] = {};
  for (uint32_t& n : wrong) {
    int32_t out[64];
    const SumArgs args{out};
    emulation::launch(KernelOf<SumArgs>::make<forgets_the_barrier>("forgets_the_barrier"), {1, 1, 64, 256}, &args);
    for (int32_t i = 0; i < 64; ++i) n += out[i] != (i + 63) % 64;
  }
  EXPECT_EQ(std::min(wrong[0], wrong[1]), 1u);   // forwards only the first thread is too early
  EXPECT_EQ(std::max(wrong[0], wrong[1]), 63u);  // backwards all but the first are
}

struct MmaArgs {
  const uint8_t* a;  // [16][32] or bits [16][32 bytes]
  const uint8_t* b;  // [8][32], a column after the other
  int32_t* d;        // [16][8]
};

// Fragments as the PTX manual draws them: lane 4g+t.
template <void (*instruction)(int32_t (&)[4], const uint32_t (&)[4], const uint32_t (&)[2])>
BN_GLOBAL void one_mma(MmaArgs args) {
  const uint32_t g = lane_index() / 4, t = lane_index() % 4;
  const auto word = [&](const uint8_t* p, uint32_t row, uint32_t half) {
    uint32_t w;
    std::memcpy(&w, p + 32 * row + 16 * half + 4 * t, 4);
    return w;
  };
  int32_t d[4] = {1, 1, 1, 1};
  const uint32_t a[4] = {word(args.a, g, 0), word(args.a, g + 8, 0), word(args.a, g, 1), word(args.a, g + 8, 1)};
  const uint32_t b[2] = {word(args.b, g, 0), word(args.b, g, 1)};
  instruction(d, a, b);
  for (uint32_t i = 0; i < 4; ++i) args.d[8 * (g + i / 2 * 8) + 2 * t + i % 2] = d[i];
}

TEST(CudaEmulation, MatrixInstructions) {
  std::vector<uint8_t> a(16 * 32), b(8 * 32);
  uint32_t state = 1;
  for (uint8_t& x : a) x = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  for (uint8_t& x : b) x = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  int32_t bytes[128], bits[128];
  MmaArgs args{a.data(), b.data(), bytes};
  emulation::launch(KernelOf<MmaArgs>::make<one_mma<mma_u8s8>>("bytes"), {1, 1, 32, 0}, &args);
  args.d = bits;
  emulation::launch(KernelOf<MmaArgs>::make<one_mma<mma_b1>>("bits"), {1, 1, 32, 0}, &args);
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 8; ++c) {
      int32_t want_bytes = 1, want_bits = 1;
      for (int k = 0; k < 32; ++k) {
        want_bytes += a[32 * r + k] * static_cast<int8_t>(b[32 * c + k]);
        want_bits += __builtin_popcount(a[32 * r + k] & b[32 * c + k]);
      }
      EXPECT_EQ(bytes[8 * r + c], want_bytes);
      EXPECT_EQ(bits[8 * r + c], want_bits);
    }
  }
}

struct CopyArgs {
  const uint8_t* in;  // [48]
  uint8_t* out;       // [2][48]: after all groups but the last arrived, after all
};

BN_GLOBAL void two_groups(CopyArgs a) {
  uint8_t* shared = shared_memory<uint8_t>();
  if (thread_index() == 0) {
    copy_async(shared, a.in);
    copy_commit();
    copy_async(shared + 16, a.in + 16);
    copy_async_8(shared + 32, a.in + 32);
    copy_commit();
    copy_wait<1>();
    std::memcpy(a.out, shared, 48);
    copy_wait<0>();
    std::memcpy(a.out + 48, shared, 48);
  }
}

TEST(CudaEmulation, ACopyIsThereOnlyWhenItWasWaitedFor) {
  std::vector<uint8_t> in(48, 1), out(96), want(96, 0xFF);
  const CopyArgs args{in.data(), out.data()};
  emulation::launch(KernelOf<CopyArgs>::make<two_groups>("two_groups"), {1, 1, 32, 48}, &args);
  std::fill(want.begin(), want.begin() + 16, uint8_t{1});
  std::fill(want.begin() + 48, want.begin() + 88, uint8_t{1});
  EXPECT_EQ(out, want);
}

}  // namespace
}  // namespace bn_cuda
