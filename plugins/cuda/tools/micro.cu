// tools/micro.cu - bitnet-gpu-micro: the numbers of a GPU that the engine's design rests on, as lines of JSON.
//
// Each number is the median of some repetitions, measured with events on one stream. Never of zeros: buffers hold a hash.
// What is measured: memory and L2 reading, first bytes, launches, nodes of a graph with and without early starts, a grid that
// meets, packets from all blocks to all, contended atomics, and the instructions of the three dot products.
// Exit code 4 without a GPU.
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "../device/simt.h"

namespace {

using namespace bn_cuda;

int n_processors = 0;
cudaStream_t stream;
cudaEvent_t before, after;

void must(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  std::fprintf(stderr, "bitnet-gpu-micro: %s: %s (%d)\n", what, cudaGetErrorString(code), code);
  std::exit(4);
}

// Microseconds of one run, the median of `repeat`.
double time_us(const std::function<void()>& run, int repeat = 9) {
  std::vector<float> ms;
  run();
  for (int i = 0; i < repeat; ++i) {
    must(cudaEventRecord(before, stream), "event");
    run();
    must(cudaEventRecord(after, stream), "event");
    must(cudaEventSynchronize(after), "waiting for a measurement");
    ms.push_back(0);
    must(cudaEventElapsedTime(&ms.back(), before, after), "event");
  }
  std::nth_element(ms.begin(), ms.begin() + repeat / 2, ms.end());
  return ms[repeat / 2] * 1e3;
}

void print(const std::string& name, double value, const char* unit) {
  std::printf("{\"micro\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name.c_str(), value, unit);
}

__global__ void hash_fill(uint32_t* p, uint64_t n) {
  for (uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += uint64_t{gridDim.x} * blockDim.x) {
    p[i] = static_cast<uint32_t>((i * 2654435761u) ^ (i >> 7));
  }
}

// ------------------------------------------------------------------------------------------------------- reading
// Every thread keeps kOpen loads of 16 bytes open.
template <int kOpen>
__global__ void read_all(const Words4* p, uint64_t n, uint32_t* out) {
  uint32_t sum = 0;
  const uint64_t stride = uint64_t{gridDim.x} * blockDim.x;
  for (uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += kOpen * stride) {
    Words4 v[kOpen];
#pragma unroll
    for (int k = 0; k < kOpen; ++k) {
      if (i + k * stride < n) v[k] = load_stream(p + i + k * stride);
    }
#pragma unroll
    for (int k = 0; k < kOpen; ++k) sum ^= i + k * stride < n ? v[k].w[0] ^ v[k].w[1] ^ v[k].w[2] ^ v[k].w[3] : 0;
  }
  if (sum == 0x12345678u) out[0] = sum;
}

template <int kOpen>
double read_gbs(const Words4* p, uint64_t bytes, uint32_t* out, int blocks_each, int passes) {
  const double us = time_us([&] {
    for (int i = 0; i < passes; ++i) read_all<kOpen><<<n_processors * blocks_each, 512, 0, stream>>>(p, bytes / 16, out);
  });
  return static_cast<double>(bytes) * passes / us * 1e-3;
}

void reading(uint32_t* memory, uint64_t bytes, uint32_t* out) {
  const Words4* p = reinterpret_cast<const Words4*>(memory);
  double best = 0;
  for (const int blocks : {1, 2, 4}) {
    best = std::max({best, read_gbs<2>(p, bytes, out, blocks, 1), read_gbs<4>(p, bytes, out, blocks, 1),
                     read_gbs<8>(p, bytes, out, blocks, 1)});
  }
  print("memory read", best, "GB/s");
  print("L2 read, 16 MB", read_gbs<4>(p, 16 << 20, out, 4, 20), "GB/s");
}

// A chain of loads, each address from the one before; stride a prime number of lines.
__global__ void chase(const uint32_t* p, uint32_t mask, int steps, uint32_t* out) {
  uint32_t at = 0;
  for (int i = 0; i < steps; ++i) at = (at + 32u * 10007u + (__ldcg(p + at) & 1u) * 32u) & mask;
  *out = at;
}

void first_bytes(const uint32_t* memory, uint32_t* out) {
  const int steps = 2000;
  const auto one = [&](uint32_t words) {
    return time_us([&] { chase<<<1, 1, 0, stream>>>(memory, words - 1, steps, out); }, 3) * 1e3 / steps;
  };
  print("first bytes from memory", one(1u << 28), "ns");
  print("first bytes from the L2", one(1u << 20), "ns");
}

// ------------------------------------------------------------------------------------------------------ launching
__global__ void nothing(uint32_t* p) {
  dependency_wait();
  dependents_may_start();
  if (p == nullptr) __trap();
}

void launch_nothing(uint32_t* p, bool early) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(n_processors);
  config.blockDim = dim3(256);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = early ? 1 : 0;
  must(cudaLaunchKernelEx(&config, nothing, p), "launch");
}

void launching(uint32_t* p, bool can_start_early) {
  const int n = 160;
  print("stream launch, kernel after kernel", time_us([&] {
                                                for (int i = 0; i < n; ++i) launch_nothing(p, false);
                                              }) / n,
        "us");
  for (const bool early : {false, true}) {
    if (early && !can_start_early) continue;
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
    for (int i = 0; i < n; ++i) launch_nothing(p, early);
    must(cudaStreamEndCapture(stream, &graph), "capture");
    must(cudaGraphInstantiate(&ready, graph, 0), "graph");
    print(early ? "node after node in a graph, early starts" : "node after node in a graph",
          time_us([&] { must(cudaGraphLaunch(ready, stream), "graph launch"); }) / n, "us");
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i) must(cudaGraphLaunch(ready, stream), "graph launch");
    if (!early) {
      print("graph launch on the host",
            std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() / 10, "us");
    }
    must(cudaStreamSynchronize(stream), "graph");
    cudaGraphExecDestroy(ready);
    cudaGraphDestroy(graph);
  }
}

// ----------------------------------------------------------------------------------------------------- exchanging
__global__ void meet(int rounds) {
  for (int i = 0; i < rounds; ++i) cooperative_groups::this_grid().sync();
}

__device__ void store_packet(uint32_t* p, uint32_t value, uint32_t epoch) {
  asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1,%1,%1,%2};" ::"l"(p), "r"(value), "r"(epoch) : "memory");
}
__device__ uint32_t load_packet(const uint32_t* p, uint32_t* value) {
  uint32_t v[4];
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
               : "l"(p)
               : "memory");
  *value = v[0] + v[1] - v[2];  // the three are the same
  return v[3];
}

// All blocks publish n packets together, each block reads all of them; two buffers by turns. Spins are bounded.
__global__ void exchange(uint32_t* packets, uint32_t n, uint32_t rounds, uint32_t first_epoch, uint32_t* failed) {
  uint32_t sum = 0;
  for (uint32_t r = 0; r < rounds; ++r) {
    uint32_t* buffer = packets + (r % 2) * n * 4;
    const uint32_t epoch = first_epoch + r;
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
      store_packet(buffer + 4 * i, sum + i, epoch);
    for (uint32_t i = threadIdx.x; i < n; i += blockDim.x) {
      uint32_t value;
      for (uint32_t spins = 0; load_packet(buffer + 4 * i, &value) != epoch; ++spins) {
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

void exchanging(uint32_t* memory, uint32_t* out) {
  int rounds = 200;
  void* meet_args[] = {&rounds};
  print("grid meets",
        time_us(
            [&] {
              must(cudaLaunchCooperativeKernel(reinterpret_cast<void*>(meet), dim3(n_processors), dim3(256), meet_args, 0,
                                               stream),
                   "cooperative launch");
            },
            5) /
            rounds,
        "us");
  uint32_t epoch = 1;
  must(cudaMemsetAsync(out, 0, 8, stream), "fill");
  for (uint32_t n : {1u, 854u, 2304u}) {  // scalars; 2560 and 6912 values, three a packet
    must(cudaMemsetAsync(memory, 0, 2ull * n * 16, stream), "fill");
    const double us = time_us(
                          [&] {
                            uint32_t r = 200;
                            void* args[] = {&memory, &n, &r, &epoch, &out};
                            must(cudaLaunchCooperativeKernel(reinterpret_cast<void*>(exchange), dim3(n_processors), dim3(256),
                                                             args, 0, stream),
                                 "cooperative launch");
                            epoch += r;
                          },
                          5) /
                      200;
    print("packets from all to all, " + std::to_string(n), us, "us");
  }
  uint32_t failed = 0;
  must(cudaMemcpy(&failed, out, 4, cudaMemcpyDeviceToHost), "result");
  if (failed != 0) std::fprintf(stderr, "bitnet-gpu-micro: %u threads waited for packets that never came\n", failed);
}

__global__ void contend(uint32_t* p, int n) {
  for (int i = 0; i < n; ++i) atomicAdd(p + (threadIdx.x & 31), 1u);
}

// --------------------------------------------------------------------------------------------------- instructions
enum class Op { kDot4, kBytes, kBits, kLogic };
template <Op op>
__global__ void instructions(int rounds, uint32_t* out) {
  uint32_t a[4] = {threadIdx.x, 3, 5, 7}, b[2] = {threadIdx.x * 77u, 11};
  int32_t d[8][4] = {};
  for (int i = 0; i < rounds; ++i) {
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      if constexpr (op == Op::kBytes) mma_u8s8(d[k], a, b);
      if constexpr (op == Op::kBits) mma_b1(d[k], a, b);
      if constexpr (op == Op::kDot4) d[k][0] = dot4(a[k % 4], b[k % 2], d[k][0]);
      if constexpr (op == Op::kLogic)
        d[k][0] = static_cast<int32_t>((static_cast<uint32_t>(d[k][0]) & a[k % 4]) ^ (b[k % 2] + static_cast<uint32_t>(i)));
    }
  }
  int32_t sum = 0;
  for (int k = 0; k < 8; ++k) sum += d[k][0] + d[k][1] + d[k][2] + d[k][3];
  if (sum == 0x12345678) out[0] = static_cast<uint32_t>(sum);
}

template <Op op>
void rate(const char* name, double work_per_warp_instruction, const char* unit, uint32_t* out) {
  const int rounds = 4000, warps = 16;
  const double us = time_us([&] { instructions<op><<<n_processors, warps * 32, 0, stream>>>(rounds, out); }, 5);
  print(name, work_per_warp_instruction * 8 * rounds * warps * n_processors / us * 1e-6, unit);
}

}  // namespace

int main() {
  int count = 0;
  must(cudaGetDeviceCount(&count), "looking for GPUs");
  cudaDeviceProp p{};
  must(cudaGetDeviceProperties(&p, 0), "asking the GPU");
  n_processors = p.multiProcessorCount;
  std::printf("{\"gpu\": \"%s\", \"capability\": \"%d.%d\", \"processors\": %d, \"L2\": %d}\n", p.name, p.major, p.minor,
              n_processors, p.l2CacheSize);
  must(cudaStreamCreate(&stream), "stream");
  must(cudaEventCreate(&before), "event");
  must(cudaEventCreate(&after), "event");
  const uint64_t bytes = uint64_t{1} << 30;
  uint32_t *memory = nullptr, *out = nullptr;
  must(cudaMalloc(&memory, bytes), "memory");
  must(cudaMalloc(&out, 256), "memory");
  hash_fill<<<4 * n_processors, 512, 0, stream>>>(memory, bytes / 4);

  reading(memory, bytes, out);
  first_bytes(memory, out);
  launching(out, p.major >= 9);
  exchanging(memory, out);
  print("atomic add, 32 addresses, all processors",
        time_us([&] { contend<<<n_processors, 256, 0, stream>>>(out, 100); }, 5) * 1e3 / (100.0 * 8), "ns a warp");
  rate<Op::kDot4>("dp4a", 32.0 * 4, "T multiply-adds/s", out);
  rate<Op::kBytes>("int8 mma", 16.0 * 8 * 32, "T multiply-adds/s", out);
  rate<Op::kBits>("binary mma", 16.0 * 8 * 256, "T bits/s", out);
  rate<Op::kLogic>("and-xor-add", 32.0 * 3, "T operations/s", out);
  must(cudaDeviceSynchronize(), "the end");
  return 0;
}
