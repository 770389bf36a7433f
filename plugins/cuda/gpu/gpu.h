// gpu/gpu.h - the few calls of a GPU's runtime that the engine makes: a real GPU, the emulated one and a layer of faults are
// one.
//
// One device, one stream: uploads, fills, launches, graphs and downloads happen in the order of the calls, later than the call.
// Nothing waits: the host asks reached() and so can be stopped, show life and give up on a device that hangs.
// Errors   every call returns a cudaError_t as int, 0 for success; gpu/errors.h says what a code means. After a code that
//          errors.h calls lost, nobody calls the object again except its destructor, which then touches nothing.
// Memory   device memory is what allocate() gives (256-byte aligned); host memory that takes part in a copy comes from
// allocate_host()
//          and must not change before a mark recorded behind the copy is reached.
// Threads  one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "../device/simt.h"

namespace bn_cuda {

struct DeviceFacts {
  std::string id, name;           // PCI bus id; what nvidia-smi calls it
  uint32_t major = 0, minor = 0;  // compute capability
  uint32_t n_processors = 0;      // streaming multiprocessors
  uint32_t max_shared_bytes = 0;  // per block, what a launch may ask for
  uint64_t memory_bytes = 0;
  uint64_t memory_bytes_per_second = 0;  // by clock and width; 0: the driver does not say
  uint64_t l2_bytes = 0;
  bool early_launch = false;  // programmatic dependent launch works with the code that was loaded
};

class Gpu {
 public:
  static constexpr uint32_t kMarks = 64;

  virtual ~Gpu() = default;
  virtual const DeviceFacts& facts() const = 0;
  virtual int memory(uint64_t* free_bytes, uint64_t* total_bytes) = 0;

  virtual int allocate(void** p, uint64_t bytes) = 0;
  virtual int release(void* p) = 0;
  // Pinned, and mapped: device_view is its address for kernels.
  virtual int allocate_host(void** p, void** device_view, uint64_t bytes) = 0;
  virtual int release_host(void* p) = 0;

  virtual int upload(void* device, const void* host, uint64_t bytes) = 0;
  virtual int download(void* host, const void* device, uint64_t bytes) = 0;
  virtual int copy(void* device_to, const void* device_from, uint64_t bytes) = 0;
  virtual int fill(void* device, uint8_t byte, uint64_t bytes) = 0;

  // args are copied. early: the kernel may start before the one before it ended; it calls dependency_wait().
  virtual int launch(const Kernel& kernel, const Shape& shape, const void* args, bool early) = 0;
  // What is called between the two is recorded instead of done; only launch, copy and fill may be.
  virtual int begin_graph() = 0;
  virtual int end_graph(void** graph) = 0;
  virtual int launch_graph(void* graph) = 0;
  virtual int release_graph(void* graph) = 0;

  virtual int record(uint32_t mark) = 0;
  virtual int reached(uint32_t mark, bool* yes) = 0;
  virtual int milliseconds(uint32_t from_mark, uint32_t to_mark, float* ms) = 0;  // both reached
};

// The GPUs of this machine. Both give a sentence in *why where there is none, or it cannot be used (code != 0). It begins with
// "no device" where the machine simply has none.
int count_gpus(uint32_t* n, std::string* why);
int open_gpu(uint32_t index, std::unique_ptr<Gpu>* gpu, std::string* why);

// What open_gpu() would say, without opening: name, id and memory for a listing.
int describe_gpu(uint32_t index, DeviceFacts* facts, std::string* why);

}  // namespace bn_cuda
