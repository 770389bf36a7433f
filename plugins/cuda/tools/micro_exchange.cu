// tools/micro_exchange.cu - what it costs blocks to hand results to each other: a grid that meets, packets, contended atomics.
#include <cooperative_groups.h>

#include <cstdio>

#include "micro.h"

namespace micro {
namespace {

__global__ void meet(int rounds) {
  for (int i = 0; i < rounds; ++i) cooperative_groups::this_grid().sync();
}

// Packets carry their epoch, so whoever reads one knows whether it is new. Of 16 bytes with three values, of 8 with one.
struct Wide {
  static constexpr uint32_t kWords = 4, kValues = 3;
  static __device__ void store(uint32_t* p, uint32_t value, uint32_t epoch) {
    asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1,%1,%1,%2};" ::"l"(p), "r"(value), "r"(epoch) : "memory");
  }
  static __device__ uint32_t load(const uint32_t* p, uint32_t* value) {
    uint32_t v[4];
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                 : "l"(p)
                 : "memory");
    *value = v[0] + v[1] - v[2];  // the three are the same
    return v[3];
  }
};
struct Narrow {
  static constexpr uint32_t kWords = 2, kValues = 1;
  static __device__ void store(uint32_t* p, uint32_t value, uint32_t epoch) {
    asm volatile("st.relaxed.gpu.global.v2.u32 [%0], {%1,%2};" ::"l"(p), "r"(value), "r"(epoch) : "memory");
  }
  static __device__ uint32_t load(const uint32_t* p, uint32_t* value) {
    uint32_t epoch;
    asm volatile("ld.relaxed.gpu.global.v2.u32 {%0,%1}, [%2];" : "=r"(*value), "=r"(epoch) : "l"(p) : "memory");
    return epoch;
  }
};

// All blocks publish n packets together, each block reads all of them; two buffers by turns. Spins are bounded.
template <class Packet>
__global__ void exchange(uint32_t* packets, uint32_t n, uint32_t rounds, uint32_t first_epoch, uint32_t* failed) {
  uint32_t sum = 0;
  for (uint32_t r = 0; r < rounds; ++r) {
    uint32_t* buffer = packets + (r % 2) * n * Packet::kWords;
    const uint32_t epoch = first_epoch + r;
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
      Packet::store(buffer + Packet::kWords * i, sum + i, epoch);
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x) {
      uint32_t value;
      for (uint32_t spins = 0; Packet::load(buffer + Packet::kWords * i, &value) != epoch; ++spins) {
        if (spins > 20000000u) {
          atomicAdd(failed, 1u);
          return;
        }
      }
      sum += value;
    }
    __syncthreads();
  }
  if (sum == 0x12345678u) failed[1] = sum;
}

void launch_together(const void* kernel, void** args) {
  must(cudaLaunchCooperativeKernel(kernel, dim3(card.n_processors), dim3(256), args, 0, card.stream), "cooperative launch");
}

template <class Packet>
void measure_packets(const Buffers& b, uint32_t values, uint32_t* epoch) {
  uint32_t n = (values + Packet::kValues - 1) / Packet::kValues, rounds = 200, *packets = b.memory, *failed = b.out;
  must(cudaMemsetAsync(packets, 0, 8ull * n * Packet::kWords, card.stream), "fill");
  const double us = time_us(
      [&] {
        void* args[] = {&packets, &n, &rounds, epoch, &failed};
        launch_together(reinterpret_cast<const void*>(exchange<Packet>), args);
        *epoch += rounds;
      },
      5);
  print("all to all, " + std::to_string(values) + " values in packets of " + std::to_string(4 * Packet::kWords) + " bytes",
        us / rounds, "us");
}

__global__ void contend(uint32_t* p, int n) {
  for (int i = 0; i < n; ++i) atomicAdd(p + (threadIdx.x & 31), 1u);
}

}  // namespace

void measure_exchange(const Buffers& b) {
  int rounds = 200;
  void* args[] = {&rounds};
  print("grid meets", time_us([&] { launch_together(reinterpret_cast<const void*>(meet), args); }, 5) / rounds, "us");
  uint32_t epoch = 1, failed = 0;
  must(cudaMemsetAsync(b.out, 0, 8, card.stream), "fill");
  for (const uint32_t values : {1u, 2560u, 6912u}) {
    measure_packets<Wide>(b, values, &epoch);
    measure_packets<Narrow>(b, values, &epoch);
  }
  must(cudaMemcpy(&failed, b.out, 4, cudaMemcpyDeviceToHost), "result");
  if (failed != 0) std::fprintf(stderr, "bitnet-gpu-micro: %u threads waited for packets that never came\n", failed);
  print("atomic add, 32 addresses, all processors",
        time_us([&] { contend<<<card.n_processors, 256, 0, card.stream>>>(b.out, 100); }, 5) * 1e3 / (100.0 * 8), "ns a warp");
}

}  // namespace micro
