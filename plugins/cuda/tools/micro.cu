// tools/micro.cu - bitnet-gpu-micro: the numbers of a GPU that the engine's design rests on, as lines of JSON.
//
// Each number is the median of some repetitions, measured with events on one stream. Never of zeros: buffers hold a hash.
// What is measured: memory and L2 reading, first bytes, launches, nodes of a graph with and without early starts, a grid that
// meets, packets from all blocks to all, contended atomics, and the instructions of the three dot products.
// Exit code 4 without a GPU.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../device/simt.h"
#include "bitnet/kit/arithmetic.hpp"
#include "micro.h"

namespace micro {

Card card;

namespace {
cudaEvent_t before, after;
}

void must(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  std::fprintf(stderr, "bitnet-gpu-micro: %s: %s (%d)\n", what, cudaGetErrorString(code), code);
  std::exit(4);
}

double time_us(const std::function<void()>& run, int repeat) {
  std::vector<float> ms;
  run();
  for (int i = 0; i < repeat; ++i) {
    must(cudaEventRecord(before, card.stream), "event");
    run();
    must(cudaEventRecord(after, card.stream), "event");
    must(cudaEventSynchronize(after), "waiting for a measurement");
    ms.push_back(0);
    must(cudaEventElapsedTime(&ms.back(), before, after), "event");
  }
  std::nth_element(ms.begin(), ms.begin() + repeat / 2, ms.end());
  return ms[repeat / 2] * 1e3;
}

void print(const std::string& name, double value, const char* unit) {
  std::printf("{\"micro\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name.c_str(), value, unit);
  std::fflush(stdout);
}
void not_measured(const std::string& name, const std::string& why) {
  std::printf("{\"micro\": \"%s\", \"not_measured\": \"%s\"}\n", name.c_str(), why.c_str());
}

namespace {

using namespace bn_cuda;

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
    for (int i = 0; i < passes; ++i)
      read_all<kOpen><<<card.n_processors * blocks_each, 512, 0, card.stream>>>(p, bytes / 16, out);
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
    return time_us([&] { chase<<<1, 1, 0, card.stream>>>(memory, words - 1, steps, out); }, 3) * 1e3 / steps;
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
  config.gridDim = dim3(card.n_processors);
  config.blockDim = dim3(256);
  config.stream = card.stream;
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
    must(cudaStreamBeginCapture(card.stream, cudaStreamCaptureModeThreadLocal), "capture");
    for (int i = 0; i < n; ++i) launch_nothing(p, early);
    must(cudaStreamEndCapture(card.stream, &graph), "capture");
    must(cudaGraphInstantiate(&ready, graph, 0), "graph");
    print(early ? "node after node in a graph, early starts" : "node after node in a graph",
          time_us([&] { must(cudaGraphLaunch(ready, card.stream), "graph launch"); }) / n, "us");
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i) must(cudaGraphLaunch(ready, card.stream), "graph launch");
    if (!early) {
      print("graph launch on the host",
            std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() / 10, "us");
    }
    must(cudaStreamSynchronize(card.stream), "graph");
    cudaGraphExecDestroy(ready);
    cudaGraphDestroy(graph);
  }
}

// --------------------------------------------------------------------------------------------------- instructions
// A float in [0, 32) that depends on the last result.
__device__ float kit_argument(int32_t bits) {
  return bn::kit::float_of(0x3F800000u | (static_cast<uint32_t>(bits) & 0x7FFFFFu)) * 16.0f;
}

enum class Op { kDot4, kBytes, kBits, kLogic, kExp };
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
      if constexpr (op == Op::kExp) {
        const float x = -kit_argument(d[k][0]);
        d[k][0] = static_cast<int32_t>(bn::kit::bits_of(bn::kit::exp1(x)));
      }
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
  const double us = time_us([&] { instructions<op><<<card.n_processors, warps * 32, 0, card.stream>>>(rounds, out); }, 5);
  print(name, work_per_warp_instruction * 8 * rounds * warps * card.n_processors / us * 1e-6, unit);
}

}  // namespace
}  // namespace micro

int main() {
  using namespace micro;
  int count = 0;
  must(cudaGetDeviceCount(&count), "looking for GPUs");
  cudaDeviceProp p{};
  must(cudaGetDeviceProperties(&p, 0), "asking the GPU");
  card.n_processors = p.multiProcessorCount;
  card.major = p.major;
  std::printf("{\"gpu\": \"%s\", \"capability\": \"%d.%d\", \"processors\": %d, \"L2\": %d}\n", p.name, p.major, p.minor,
              card.n_processors, p.l2CacheSize);
  must(cudaStreamCreate(&card.stream), "stream");
  must(cudaEventCreate(&before), "event");
  must(cudaEventCreate(&after), "event");
  Buffers b{nullptr, uint64_t{1} << 30, nullptr};
  must(cudaMalloc(&b.memory, b.bytes), "memory");
  must(cudaMalloc(&b.out, 256), "memory");
  hash_fill<<<4 * card.n_processors, 512, 0, card.stream>>>(b.memory, b.bytes / 4);

  reading(b.memory, b.bytes, b.out);
  measure_bulk(b);
  first_bytes(b.memory, b.out);
  launching(b.out, p.major >= 9);
  rate<Op::kDot4>("dp4a", 32.0 * 4, "T multiply-adds/s", b.out);
  rate<Op::kBytes>("int8 mma", 16.0 * 8 * 32, "T multiply-adds/s", b.out);
  rate<Op::kBits>("binary mma", 16.0 * 8 * 256, "T bits/s", b.out);
  rate<Op::kLogic>("and-xor-add", 32.0 * 3, "T operations/s", b.out);
  rate<Op::kExp>("exponentials of exact-1", 32.0, "T/s", b.out);
  measure_library(b);
  measure_exchange(b);  // last: it writes over the hash
  must(cudaDeviceSynchronize(), "the end");
  return 0;
}
