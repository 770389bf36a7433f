// kernel/cuda/gpu_test.cpp - the emulated GPU is as late and as strict as a real one; the layer of faults; what codes mean.
#include "gpu/gpu.h"

#include <gtest/gtest.h>

#include <cstring>

#include "device/elementwise.h"
#include "gpu/errors.h"
#include "gpu/faulty_gpu.h"

namespace bn_cuda {
namespace {

std::unique_ptr<Gpu> open() {
  std::unique_ptr<Gpu> gpu;
  std::string why;
  EXPECT_EQ(open_gpu(0, &gpu, &why), 0) << why;
  return gpu;
}

// Records mark 0 and asks until it is reached.
int wait(Gpu& gpu) {
  if (const int code = gpu.record(0); code != 0) return code;
  for (int i = 0; i < 1000; ++i) {
    bool yes = false;
    if (const int code = gpu.reached(0, &yes); code != 0) return code;
    if (yes) return 0;
  }
  return kHung;
}

struct Buffers {
  explicit Buffers(Gpu& gpu) : owner(gpu) {
    void* view = nullptr;
    EXPECT_EQ(gpu.allocate_host(&host, &view, 64), 0);
    EXPECT_EQ(gpu.allocate(&device, 64), 0);
    std::memset(host, 1, 64);
  }
  ~Buffers() {
    owner.release(device);
    owner.release_host(host);
  }
  uint8_t first() const { return *static_cast<uint8_t*>(host); }
  Gpu& owner;
  void *host = nullptr, *device = nullptr;
};

TEST(CudaGpu, ACopyHappensLaterThanItsCall) {
  auto gpu = open();
  Buffers b(*gpu);
  ASSERT_EQ(gpu->fill(b.device, 7, 64), 0);
  ASSERT_EQ(gpu->download(b.host, b.device, 64), 0);
  EXPECT_EQ(b.first(), 1);
  ASSERT_EQ(wait(*gpu), 0);
  EXPECT_EQ(b.first(), 7);
}

TEST(CudaGpu, AnUploadTakesWhatTheHostHasThen) {
  auto gpu = open();
  Buffers b(*gpu);
  ASSERT_EQ(gpu->upload(b.device, b.host, 64), 0);
  std::memset(b.host, 2, 64);  // too early: the old bytes were meant
  ASSERT_EQ(gpu->download(b.host, b.device, 64), 0);
  ASSERT_EQ(wait(*gpu), 0);
  EXPECT_EQ(b.first(), 2);
}

TEST(CudaGpu, CopiesOutsideOfMemoryAreRefused) {
  auto gpu = open();
  Buffers b(*gpu);
  EXPECT_EQ(gpu->upload(b.device, b.host, 65), 1);
  EXPECT_EQ(gpu->fill(static_cast<uint8_t*>(b.device) + 1, 0, 64), 1);
  EXPECT_EQ(gpu->upload(b.device, b.device, 64), 1);
  EXPECT_EQ(gpu->release(b.host), 1);
}

TEST(CudaGpu, AGraphDoesItsLaunchesEachTime) {
  auto gpu = open();
  Buffers b(*gpu);
  float* h = static_cast<float*>(b.device);
  const GluArgs args{h, h, 8, 16, 8, 1, 0};
  ASSERT_EQ(gpu->begin_graph(), 0);
  ASSERT_EQ(gpu->fill(b.device, 0, 64), 0);
  ASSERT_EQ(gpu->launch(glu_kernel(), glu_shape(1, 8), &args, true), 0);
  EXPECT_NE(gpu->download(b.host, b.device, 64), 0);
  void* graph = nullptr;
  ASSERT_EQ(gpu->end_graph(&graph), 0);
  ASSERT_EQ(wait(*gpu), 0);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(gpu->fill(b.device, 9, 64), 0);
    ASSERT_EQ(gpu->launch_graph(graph), 0);
    ASSERT_EQ(gpu->download(b.host, b.device, 64), 0);
    ASSERT_EQ(wait(*gpu), 0);
    EXPECT_EQ(b.first(), 0);
  }
  EXPECT_EQ(gpu->release_graph(graph), 0);
}

TEST(CudaGpu, MemoryEnds) {
  auto gpu = open();
  uint64_t free_bytes = 0, total = 0;
  ASSERT_EQ(gpu->memory(&free_bytes, &total), 0);
  void* p = nullptr;
  EXPECT_EQ(gpu->allocate(&p, free_bytes + 1), 2);
}

TEST(CudaFaults, ACodeAtTheNthCall) {
  FaultyGpu gpu(open(), parse_gpu_faults("fill:2:2"));
  Buffers b(gpu);
  EXPECT_EQ(gpu.fill(b.device, 1, 64), 0);
  EXPECT_EQ(gpu.fill(b.device, 1, 64), 2);
  EXPECT_EQ(gpu.fill(b.device, 1, 64), 0) << "the device was well";
}

TEST(CudaFaults, ALostDeviceStaysLostAndCallsAreCounted) {
  auto gpu = std::make_unique<FaultyGpu>(open(), parse_gpu_faults("3:700"));
  void *p = nullptr, *view = nullptr;
  EXPECT_EQ(gpu->allocate(&p, 16), 0);
  EXPECT_EQ(gpu->fill(p, 0, 16), 0);
  const uint64_t before = FaultyGpu::calls_after_loss();
  EXPECT_EQ(gpu->fill(p, 0, 16), 700);
  EXPECT_EQ(FaultyGpu::calls_after_loss(), before);
  EXPECT_EQ(gpu->allocate_host(&p, &view, 16), 700);
  EXPECT_EQ(FaultyGpu::calls_after_loss(), before + 1);
}

TEST(CudaFaults, AHangNeverSaysYes) {
  FaultyGpu gpu(open(), parse_gpu_faults("record:1:hang"));
  EXPECT_EQ(wait(gpu), kHung);
}

TEST(CudaFaults, AScriptThatMakesNoSenseIsRefused) {
  for (const char* script : {"x", "1", "0:700", "1:", "fill:1:2:3", "1:0", "1:7x"}) {
    EXPECT_THROW(parse_gpu_faults(script), std::invalid_argument) << script;
  }
  EXPECT_EQ(parse_gpu_faults("5:700,launch:2:hang").size(), 2u);
}

TEST(CudaErrors, WhatCodesMean) {
  EXPECT_EQ(status_of(2), BN_E_NO_MEMORY);
  EXPECT_EQ(status_of(209), BN_E_UNSUPPORTED);
  for (const int code : {46, 100, 214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911, 999, 12345}) {
    EXPECT_EQ(status_of(code), BN_E_DEVICE_LOST) << code;
  }
  forget_lost_for_tests();
  EXPECT_THROW(check(2, "a copy"), DeviceError);
  EXPECT_FALSE(is_lost());
  EXPECT_THROW(check(719, "a launch"), DeviceError);
  EXPECT_THROW(check(700, "a launch"), DeviceError);
  EXPECT_EQ(lost_code(), 719);
  forget_lost_for_tests();
}

}  // namespace
}  // namespace bn_cuda
