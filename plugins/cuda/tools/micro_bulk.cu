// tools/micro_bulk.cu - memory read by bulk copies into a ring in shared memory, as a persistent kernel would stream weights.
//
// One thread of a block asks for pieces, nobody touches their bytes: what is measured is how fast they come. Plain bulk copies;
// those of tensor maps are for tiles of activations and not what this design rests on.
#include "../device/simt.h"
#include "micro.h"

namespace micro {
namespace {

constexpr uint32_t kRingBytes = 193536, kMostStages = 32;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
__device__ uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }
__device__ void make_barrier(uint64_t* b) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(b)) : "memory");
}
__device__ void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ void ask_for(uint8_t* to, const uint8_t* from, uint32_t bytes, uint64_t* b) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(b))
      : "memory");
}
__device__ bool has_come(uint64_t* b, uint32_t parity) {
  uint32_t yes;
  asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
               : "=r"(yes)
               : "r"(shared_address(b)), "r"(parity)
               : "memory");
  return yes != 0;
}
#else  // never launched there
__device__ void make_barrier(uint64_t*) {}
__device__ void publish_barriers() {}
__device__ void ask_for(uint8_t*, const uint8_t*, uint32_t, uint64_t*) {}
__device__ bool has_come(uint64_t*, uint32_t) { return true; }
#endif

// Blocks of one warp, of which one lane works. out: 1 where a piece did not come in a second's spins.
__global__ void bulk_read(const uint8_t* memory, uint32_t n_pieces, uint32_t piece, uint32_t* out) {
  __shared__ uint64_t barriers[kMostStages];
  uint8_t* ring = bn_cuda::shared_memory<uint8_t>();
  if (threadIdx.x != 0) return;
  const uint32_t ring_pieces = kRingBytes / piece, stages = ring_pieces < kMostStages ? ring_pieces : kMostStages;
  for (uint32_t s = 0; s < stages; ++s) make_barrier(barriers + s);
  publish_barriers();
  const auto begin = [&](uint32_t i) {
    const uint64_t at = blockIdx.x + uint64_t{i} * gridDim.x;
    if (at < n_pieces) ask_for(ring + i % stages * piece, memory + at * piece, piece, barriers + i % stages);
  };
  for (uint32_t i = 0; i < stages; ++i) begin(i);
  for (uint32_t i = 0; blockIdx.x + uint64_t{i} * gridDim.x < n_pieces; ++i) {
    for (uint32_t spins = 0; !has_come(barriers + i % stages, i / stages % 2); ++spins) {
      if (spins > 20000000u) {
        *out = 1;
        return;
      }
    }
    begin(i + stages);
  }
}

}  // namespace

void measure_bulk(const Buffers& b) {
  const char* const name = "memory read by bulk copies";
  if (card.major < 9) return not_measured(name, "needs compute capability 9.0");
  const void* const kernel = reinterpret_cast<const void*>(bulk_read);
  must(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kRingBytes), "shared memory");
  must(cudaMemsetAsync(b.out, 0, 4, card.stream), "fill");
  const uint8_t* memory = reinterpret_cast<const uint8_t*>(b.memory);
  for (const uint32_t piece : {4096u, 13824u, 27648u}) {
    const uint32_t n = static_cast<uint32_t>(b.bytes / piece);
    const double us = time_us([&] { bulk_read<<<card.n_processors, 32, kRingBytes, card.stream>>>(memory, n, piece, b.out); });
    print(std::string(name) + ", pieces of " + std::to_string(piece), static_cast<double>(n) * piece / us * 1e-3, "GB/s");
  }
  uint32_t failed = 0;
  must(cudaMemcpy(&failed, b.out, 4, cudaMemcpyDeviceToHost), "result");
  if (failed != 0) not_measured(name, "a copy never came");
}

}  // namespace micro
