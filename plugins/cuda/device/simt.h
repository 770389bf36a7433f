// device/simt.h - the dialect kernels are written in: CUDA, under names that a host compiler can have too.
//
// The same kernel source is compiled twice. nvcc makes the GPU's code of it, where every function here is an instruction or
// two. A host compiler makes the emulated code (emulation/simt_host.h), where each thread of a block is a fiber and a warp's
// instruction is a meeting of 32 fibers. So a kernel is checked, with sanitizers, on machines without a GPU.
//
// Rules for kernels
//  - A kernel is a function template or function `BN_GLOBAL void name(Args args)`: one struct by value, no other parameter.
//  - Shared memory is dynamic only: shared_memory<T>(). Its bytes are given at the launch.
//  - Blocks have 1 dimension and a multiple of 32 threads; grids have x and y.
//  - sync_block() and everything that works on a warp (shuffle, ballot, mma) is reached by all threads of the block or warp.
//  - No floating-point contraction (-fmad=false): what is written is what is rounded. FMA is kit::fma().
//  - Nothing that an earlier kernel of the same chain wrote is read, and nothing is written, before dependency_wait().
#pragma once

#include <cstdint>

namespace bn_cuda {

// 16 bytes that are loaded and stored at once.
struct alignas(16) Words4 {
  uint32_t w[4];
};

}  // namespace bn_cuda

#if defined(__CUDACC__)

#  include <cuda_runtime.h>

#  define BN_GLOBAL __global__
#  define BN_GLOBAL_FITTING(threads, blocks) __global__ __launch_bounds__(threads, blocks)  // so many blocks fit on a processor
#  define BN_DEVICE static __device__ __forceinline__
#  define BN_DEVICE_MEMBER __device__ __forceinline__  // of a struct
#  define BN_BOTH static __host__ __device__ inline
#  define BN_UNROLL _Pragma("unroll")
#  define BN_ROLLED _Pragma("unroll 1")  // keeps registers down

namespace bn_cuda {

BN_DEVICE uint32_t thread_index() { return threadIdx.x; }
BN_DEVICE uint32_t n_threads() { return blockDim.x; }
BN_DEVICE uint32_t block_x() { return blockIdx.x; }
BN_DEVICE uint32_t block_y() { return blockIdx.y; }
BN_DEVICE uint32_t n_blocks_x() { return gridDim.x; }
BN_DEVICE uint32_t n_blocks_y() { return gridDim.y; }

// The block's dynamic shared memory, 16-byte aligned.
template <class T>
BN_DEVICE T* shared_memory() {
  extern __shared__ Words4 dynamic_shared[];
  return reinterpret_cast<T*>(dynamic_shared);
}

BN_DEVICE void sync_block() { __syncthreads(); }
BN_DEVICE void sync_warp() { __syncwarp(); }
BN_DEVICE void fence_device() { __threadfence(); }
BN_DEVICE void fence_system() { __threadfence_system(); }  // what the host may look at

template <class T>
BN_DEVICE T shuffle_xor(T value, uint32_t mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, value, static_cast<int>(mask));
}
template <class T>
BN_DEVICE T shuffle(T value, uint32_t source) {
  return __shfl_sync(0xFFFFFFFFu, value, static_cast<int>(source));
}
BN_DEVICE uint32_t ballot(bool bit) { return __ballot_sync(0xFFFFFFFFu, bit); }

// On global or shared memory; the value before.
BN_DEVICE int32_t atomic_add(int32_t* p, int32_t v) { return atomicAdd(p, v); }
BN_DEVICE uint32_t atomic_add(uint32_t* p, uint32_t v) { return atomicAdd(p, v); }
BN_DEVICE uint32_t atomic_max(uint32_t* p, uint32_t v) { return atomicMax(p, v); }
BN_DEVICE uint64_t atomic_max(uint64_t* p, uint64_t v) {
  return atomicMax(reinterpret_cast<unsigned long long*>(p), static_cast<unsigned long long>(v));
}

// Weights: read once by one thread, so they do not stay in the L1. p: 16-byte aligned, never written while kernels run.
BN_DEVICE Words4 load_stream(const void* p) {
  Words4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
               : "l"(p));
  return v;
}
BN_DEVICE void prefetch_l2(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

// 16 bytes from global to shared memory without registers; commit makes a group, wait<N> leaves at most N groups open.
BN_DEVICE void copy_async(void* shared, const void* global) {
  const uint32_t s = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(s), "l"(global) : "memory");
}
BN_DEVICE void copy_async_8(void* shared, const void* global) {  // 8 bytes
  const uint32_t s = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(s), "l"(global) : "memory");
}
BN_DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
BN_DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Programmatic dependent launch: wait for the kernels before; let the kernels after begin. No-ops where there is none.
BN_DEVICE void dependency_wait() {
#  if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#  endif
}
BN_DEVICE void dependents_may_start() {
#  if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#  endif
}

// IEEE half to float, exact.
BN_DEVICE float half_to_float(uint16_t h) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
  return x;
}
BN_DEVICE uint32_t bit_count(uint32_t v) { return static_cast<uint32_t>(__popc(static_cast<int>(v))); }
// acc + sum of 4 products of unsigned bytes of a and signed bytes of b.
BN_DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t acc) {
  int32_t d;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(acc));
  return d;
}
// The same with signed bytes of both.
BN_DEVICE int32_t dot4_signed(uint32_t a, uint32_t b, int32_t acc) {
  return __dp4a(static_cast<int32_t>(a), static_cast<int32_t>(b), acc);
}
// d[16x8] += a[16x32] b[32x8], unsigned times signed bytes. With g = lane/4, t = lane%4: a[0] row g, k 4t..4t+3; a[1] row g+8;
// a[2], a[3] the same at k+16; b[0] column g, k 4t..4t+3, b[1] at k+16; d[0], d[1] row g, columns 2t, 2t+1; d[2], d[3] row g+8.
BN_DEVICE void mma_u8s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// d[16x8] += popcount of a[16x256] AND b[256x8], bits. As above with 32 bits a register: a[0] row g, bits 32t..; a[2] at k+128.
BN_DEVICE void mma_b1(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace bn_cuda

#else
#  include "../emulation/simt_host.h"
#endif

namespace bn_cuda {

BN_DEVICE uint32_t lane_index() { return thread_index() % 32; }
BN_DEVICE uint32_t warp_index() { return thread_index() / 32; }

// How a kernel is started.
struct Shape {
  uint32_t grid_x, grid_y;
  uint32_t threads;       // a multiple of 32
  uint32_t shared_bytes;  // dynamic
};

// A kernel as the launching side sees it. Exactly one of the two functions is set, by whoever compiled it.
struct Kernel {
  const char* name;
  const void* on_device;              // what cudaLaunchKernelExC takes
  void (*on_host)(const void* args);  // one thread of it, emulated
  uint32_t args_bytes;
};

template <class Args>
struct KernelOf {
#if defined(__CUDACC__)
  template <void (*function)(Args)>
  static Kernel make(const char* name) {
    return {name, reinterpret_cast<const void*>(function), nullptr, sizeof(Args)};
  }
#else
  template <void (*function)(Args)>
  static Kernel make(const char* name) {
    return {name, nullptr, [](const void* args) { function(*static_cast<const Args*>(args)); }, sizeof(Args)};
  }
#endif
};

}  // namespace bn_cuda
