// gpu/cuda_gpu.cu - a real GPU through the CUDA runtime, which is linked statically: without a driver it only says so.
#include <cuda_runtime_api.h>

#include <set>

#include "errors.h"
#include "gpu.h"

namespace bn_cuda {
namespace {

constexpr int kOldestMajor = 8;  // no code is built for older chips

class CudaGpu final : public Gpu {
 public:
  CudaGpu(int index, DeviceFacts facts) : index_(index), facts_(std::move(facts)) {}

  ~CudaGpu() override {
    if (is_lost()) return;
    enter();
    for (cudaEvent_t event : events_) {
      if (event != nullptr) cudaEventDestroy(event);
    }
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  int open() {
    if (const int code = cudaSetDevice(index_); code != 0) return code;
    if (const int code = cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking); code != 0) return code;
    for (cudaEvent_t& event : events_) {
      if (const int code = cudaEventCreate(&event); code != 0) return code;
    }
    return 0;
  }

  const DeviceFacts& facts() const override { return facts_; }

  int memory(uint64_t* free_bytes, uint64_t* total_bytes) override {
    size_t free = 0, total = 0;
    const int code = done(enter() ? cudaMemGetInfo(&free, &total) : entered_);
    *free_bytes = free;
    *total_bytes = total;
    return code;
  }

  int allocate(void** p, uint64_t bytes) override { return done(enter() ? cudaMalloc(p, bytes) : entered_); }
  int release(void* p) override { return done(enter() ? cudaFree(p) : entered_); }
  int allocate_host(void** p, void** device_view, uint64_t bytes) override {
    if (!enter()) return done(entered_);
    if (const cudaError_t code = cudaHostAlloc(p, bytes, cudaHostAllocMapped); code != 0) return done(code);
    return done(cudaHostGetDevicePointer(device_view, *p, 0));
  }
  int release_host(void* p) override { return done(enter() ? cudaFreeHost(p) : entered_); }

  int upload(void* device, const void* host, uint64_t bytes) override {
    return done(enter() ? cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_) : entered_);
  }
  int download(void* host, const void* device, uint64_t bytes) override {
    return done(enter() ? cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_) : entered_);
  }
  int copy(void* to, const void* from, uint64_t bytes) override {
    return done(enter() ? cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_) : entered_);
  }
  int fill(void* device, uint8_t byte, uint64_t bytes) override {
    return done(enter() ? cudaMemsetAsync(device, byte, bytes, stream_) : entered_);
  }

  int launch(const Kernel& kernel, const Shape& shape, const void* args, bool early) override {
    if (!enter()) return done(entered_);
    if (const cudaError_t code = allow_shared(kernel, shape.shared_bytes); code != 0) return done(code);
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(shape.grid_x, shape.grid_y);
    config.blockDim = dim3(shape.threads);
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream_;
    config.attrs = &attribute;
    config.numAttrs = early && facts_.early_launch ? 1 : 0;
    void* list[] = {const_cast<void*>(args)};
    return done(cudaLaunchKernelExC(&config, kernel.on_device, list));
  }

  int begin_graph() override {
    return done(enter() ? cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) : entered_);
  }
  int end_graph(void** out) override {
    if (!enter()) return done(entered_);
    cudaGraph_t graph = nullptr;
    cudaError_t code = cudaStreamEndCapture(stream_, &graph);
    cudaGraphExec_t ready = nullptr;
    if (code == 0) code = cudaGraphInstantiate(&ready, graph, 0);
    if (code == 0) code = cudaGraphUpload(ready, stream_);
    if (graph != nullptr) cudaGraphDestroy(graph);
    *out = ready;
    return done(code);
  }
  int launch_graph(void* graph) override {
    return done(enter() ? cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_) : entered_);
  }
  int release_graph(void* graph) override {
    return done(enter() ? cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)) : entered_);
  }

  int record(uint32_t mark) override { return done(enter() ? cudaEventRecord(events_[mark], stream_) : entered_); }
  int reached(uint32_t mark, bool* yes) override {
    const cudaError_t code = enter() ? cudaEventQuery(events_[mark]) : entered_;
    *yes = code == cudaSuccess;
    return code == cudaErrorNotReady ? 0 : done(code);
  }
  int milliseconds(uint32_t from, uint32_t to, float* ms) override {
    return done(enter() ? cudaEventElapsedTime(ms, events_[from], events_[to]) : entered_);
  }

 private:
  // The runtime keeps the current device per thread, and the host calls from several.
  bool enter() {
    thread_local int current = -1;
    if (current == index_) return true;
    entered_ = cudaSetDevice(index_);
    if (entered_ == cudaSuccess) current = index_;
    return entered_ == cudaSuccess;
  }

  // A refused call leaves its code behind for the next one to trip over.
  static int done(cudaError_t code) {
    if (code != cudaSuccess && trouble_of(code) != Trouble::kLost) cudaGetLastError();
    return code;
  }

  // Above 48 KiB a kernel must be told so once.
  cudaError_t allow_shared(const Kernel& kernel, uint32_t bytes) {
    if (bytes <= 48 * 1024 || allowed_.count({kernel.on_device, bytes}) != 0) return cudaSuccess;
    const cudaError_t code =
        cudaFuncSetAttribute(kernel.on_device, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    if (code == cudaSuccess) allowed_.insert({kernel.on_device, bytes});
    return code;
  }

  const int index_;
  const DeviceFacts facts_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t events_[kMarks] = {};
  cudaError_t entered_ = cudaSuccess;
  std::set<std::pair<const void*, uint32_t>> allowed_;
};

// "no device" is the normal case of a machine without one, of which nobody has to hear; an old driver is not.
std::string words(int code) {
  int driver = 0;
  if (code == cudaErrorNoDevice) return "no device: no NVIDIA GPU on this machine";
  if (code == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) {
    return "no device: no NVIDIA driver on this machine";
  }
  if (code == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is one of CUDA " + std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10) +
           ", needed is CUDA " + std::to_string(CUDART_VERSION / 1000) + ".0: update the driver";
  }
  return std::string("the CUDA runtime says: ") + cudaGetErrorString(static_cast<cudaError_t>(code)) + " (" +
         std::to_string(code) + ")";
}

}  // namespace

int count_gpus(uint32_t* n, std::string* why) {
  int count = 0;
  const int code = cudaGetDeviceCount(&count);
  *n = code == 0 ? static_cast<uint32_t>(count) : 0;
  if (code != 0) *why = words(code);
  return code;
}

// 0: the driver does not say. Memory moves two words a clock.
uint64_t memory_bytes_per_second(int device) {
  int khz = 0, bits = 0;
  const bool known = cudaDeviceGetAttribute(&khz, cudaDevAttrMemoryClockRate, device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, device) == cudaSuccess && khz > 0 &&
                     bits > 0;
  if (!known) cudaGetLastError();
  return known ? 2000ull * static_cast<uint64_t>(khz) * static_cast<uint64_t>(bits / 8) : 0;
}

int describe_gpu(uint32_t index, DeviceFacts* facts, std::string* why) {
  cudaDeviceProp p{};
  char bus[64] = {};
  int code = cudaGetDeviceProperties(&p, static_cast<int>(index));
  if (code == 0) code = cudaDeviceGetPCIBusId(bus, sizeof bus, static_cast<int>(index));
  if (code != 0) {
    *why = words(code);
    return code;
  }
  facts->id = bus;
  facts->name = p.name;
  facts->major = static_cast<uint32_t>(p.major);
  facts->minor = static_cast<uint32_t>(p.minor);
  facts->n_processors = static_cast<uint32_t>(p.multiProcessorCount);
  facts->max_shared_bytes = static_cast<uint32_t>(p.sharedMemPerBlockOptin);
  facts->memory_bytes = p.totalGlobalMem;
  facts->memory_bytes_per_second = memory_bytes_per_second(static_cast<int>(index));
  facts->l2_bytes = static_cast<uint64_t>(p.l2CacheSize);
  facts->early_launch = p.major >= 9;  // below, the code that is loaded has no such instructions
  return 0;
}

int open_gpu(uint32_t index, std::unique_ptr<Gpu>* out, std::string* why) {
  DeviceFacts facts;
  if (const int code = describe_gpu(index, &facts, why); code != 0) return code;
  if (facts.major < kOldestMajor) {
    *why = facts.name + " has compute capability " + std::to_string(facts.major) + "." + std::to_string(facts.minor) +
           ", needed is 8.0 (Ampere) or newer";
    return cudaErrorNoKernelImageForDevice;
  }
  auto gpu = std::make_unique<CudaGpu>(static_cast<int>(index), facts);
  if (const int code = gpu->open(); code != 0) {
    *why = words(code);
    return code;
  }
  *out = std::move(gpu);
  return 0;
}

}  // namespace bn_cuda
