// emulation/emulated_gpu.cpp - a GPU of host memory and emulated kernels, behind the calls of gpu/gpu.h.
//
// Late on purpose: an operation of the stream is queued and done when reached() is asked, never before. A host that reads a
// download too early, or changes memory that an upload still needs, gets wrong results here as on a real device.
// Device memory is poisoned with 0xCB when it is given out. Environment: BN_CUDA_EMULATED_MEMORY, bytes the device has.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <stdexcept>
#include <vector>

#include "../gpu/gpu.h"
#include "block.h"

namespace bn_cuda {
namespace {

using Operation = std::function<void()>;
using Graph = std::vector<Operation>;

constexpr int kInvalidValue = 1, kMemoryAllocation = 2, kNotCaptured = 901, kLaunchFailure = 719;

DeviceFacts emulated_facts() {
  DeviceFacts facts;
  facts.id = "emulated";
  facts.name = "emulated GPU (tests only)";
  facts.major = 9;
  facts.n_processors = 4;
  facts.max_shared_bytes = 227 * 1024;
  facts.memory_bytes = uint64_t{4} << 30;
  if (const char* bytes = std::getenv("BN_CUDA_EMULATED_MEMORY")) facts.memory_bytes = std::strtoull(bytes, nullptr, 10);
  if (const char* speed = std::getenv("BN_CUDA_EMULATED_BANDWIDTH")) {
    facts.memory_bytes_per_second = std::strtoull(speed, nullptr, 10);
  }
  facts.early_launch = true;
  return facts;
}

class EmulatedGpu final : public Gpu {
 public:
  ~EmulatedGpu() override {
    for (auto& [p, bytes] : device_) std::free(p);
    for (auto& [p, bytes] : host_) std::free(p);
  }

  const DeviceFacts& facts() const override { return facts_; }
  int memory(uint64_t* free_bytes, uint64_t* total_bytes) override {
    *total_bytes = facts_.memory_bytes;
    *free_bytes = facts_.memory_bytes - used_;
    return 0;
  }

  int allocate(void** p, uint64_t bytes) override {
    if (bytes > facts_.memory_bytes - used_) return kMemoryAllocation;
    *p = take(device_, bytes);
    if (*p == nullptr) return kMemoryAllocation;
    used_ += bytes;
    return 0;
  }
  // As the runtime does: what is queued is done first.
  int release(void* p) override {
    if (p == nullptr) return 0;
    const auto at = device_.find(p);
    if (at == device_.end()) return kInvalidValue;
    if (const int code = drain(); code != 0) return code;
    used_ -= at->second;
    std::free(p);
    device_.erase(at);
    return 0;
  }
  int allocate_host(void** p, void** device_view, uint64_t bytes) override {
    *p = *device_view = take(host_, bytes);
    return *p == nullptr ? kMemoryAllocation : 0;
  }
  int release_host(void* p) override {
    if (p == nullptr) return 0;
    if (host_.count(p) == 0) return kInvalidValue;
    if (const int code = drain(); code != 0) return code;
    std::free(p);
    host_.erase(p);
    return 0;
  }

  int upload(void* to, const void* from, uint64_t bytes) override {
    if (capture_ != nullptr) return kNotCaptured;
    if (!inside(device_, to, bytes) || !inside(host_, from, bytes)) return kInvalidValue;
    return queue([=] { std::memcpy(to, from, bytes); });
  }
  int download(void* to, const void* from, uint64_t bytes) override {
    if (capture_ != nullptr) return kNotCaptured;
    if (!inside(host_, to, bytes) || !inside(device_, from, bytes)) return kInvalidValue;
    return queue([=] { std::memcpy(to, from, bytes); });
  }
  int copy(void* to, const void* from, uint64_t bytes) override {
    if (!inside(device_, to, bytes) || !inside(device_, from, bytes)) return kInvalidValue;
    return queue([=] { std::memmove(to, from, bytes); });
  }
  int fill(void* p, uint8_t byte, uint64_t bytes) override {
    if (!inside(device_, p, bytes)) return kInvalidValue;
    return queue([=] { std::memset(p, byte, bytes); });
  }

  int launch(const Kernel& kernel, const Shape& shape, const void* args, bool) override {
    if (shape.threads == 0 || shape.threads > 1024 || shape.threads % 32 != 0 || shape.grid_x == 0 || shape.grid_y == 0 ||
        shape.grid_y > 65535 || shape.shared_bytes > facts_.max_shared_bytes) {
      return 9;  // invalid configuration
    }
    const uint8_t* bytes = static_cast<const uint8_t*>(args);
    std::vector<Words4> kept((kernel.args_bytes + 15) / 16);
    std::memcpy(kept.data(), bytes, kernel.args_bytes);
    return queue([kernel, shape, kept = std::move(kept)] { emulation::launch(kernel, shape, kept.data()); });
  }

  int begin_graph() override {
    if (capture_ != nullptr) return kNotCaptured;
    capture_ = std::make_unique<Graph>();
    return 0;
  }
  int end_graph(void** graph) override {
    if (capture_ == nullptr) return kNotCaptured;
    *graph = capture_.get();
    graphs_[*graph] = std::move(capture_);
    return 0;
  }
  int launch_graph(void* graph) override {
    if (capture_ != nullptr || graphs_.count(graph) == 0) return kInvalidValue;
    const Graph* g = graphs_[graph].get();
    return queue([g] {
      for (const Operation& operation : *g) operation();
    });
  }
  int release_graph(void* graph) override {
    if (graphs_.count(graph) == 0) return kInvalidValue;
    if (const int code = drain(); code != 0) return code;
    graphs_.erase(graph);
    return 0;
  }

  int record(uint32_t mark) override {
    if (capture_ != nullptr || mark >= kMarks) return kInvalidValue;
    marks_[mark].reached = false;
    return queue([this, mark] { marks_[mark] = {true, std::chrono::steady_clock::now()}; });
  }
  // Does one operation and says no, so that a host that asks once is found.
  int reached(uint32_t mark, bool* yes) override {
    *yes = marks_[mark].reached;
    if (*yes) return 0;
    return queue_.empty() ? broken_ : run_one();
  }
  int milliseconds(uint32_t from, uint32_t to, float* ms) override {
    if (!marks_[from].reached || !marks_[to].reached) return 600;
    *ms = std::chrono::duration<float, std::milli>(marks_[to].at - marks_[from].at).count();
    return 0;
  }

 private:
  using Blocks = std::map<void*, uint64_t>;
  struct Mark {
    bool reached = false;
    std::chrono::steady_clock::time_point at;
  };

  static void* take(Blocks& blocks, uint64_t bytes) {
    const uint64_t rounded = (std::max<uint64_t>(bytes, 1) + 255) / 256 * 256;
    void* p = std::aligned_alloc(256, rounded);
    if (p == nullptr) return nullptr;
    std::memset(p, 0xCB, rounded);
    blocks[p] = bytes;
    return p;
  }
  static bool inside(const Blocks& blocks, const void* p, uint64_t bytes) {
    auto at = blocks.upper_bound(const_cast<void*>(p));
    if (at == blocks.begin()) return false;
    --at;
    const uint64_t offset = static_cast<uint64_t>(static_cast<const uint8_t*>(p) - static_cast<const uint8_t*>(at->first));
    return offset <= at->second && bytes <= at->second - offset;
  }

  int queue(Operation operation) {
    if (broken_ != 0) return broken_;
    if (capture_ != nullptr) {
      capture_->push_back(std::move(operation));
    } else {
      queue_.push_back(std::move(operation));
    }
    return 0;
  }
  // The oldest operation of the stream.
  int run_one() {
    if (broken_ != 0) return broken_;
    const Operation operation = std::move(queue_.front());
    queue_.pop_front();
    try {
      operation();
    } catch (const std::logic_error& e) {
      std::fprintf(stderr, "emulated GPU: %s\n", e.what());
      broken_ = kLaunchFailure;
    }
    return broken_;
  }
  int drain() {
    while (!queue_.empty()) {
      if (const int code = run_one(); code != 0) return code;
    }
    return broken_;
  }

  const DeviceFacts facts_ = emulated_facts();
  Blocks device_, host_;
  uint64_t used_ = 0;
  std::deque<Operation> queue_;
  std::unique_ptr<Graph> capture_;
  std::map<void*, std::unique_ptr<Graph>> graphs_;
  Mark marks_[kMarks];
  int broken_ = 0;
};

}  // namespace

int count_gpus(uint32_t* n, std::string*) {
  *n = 1;
  return 0;
}
int describe_gpu(uint32_t, DeviceFacts* facts, std::string*) {
  *facts = emulated_facts();
  return 0;
}
int open_gpu(uint32_t, std::unique_ptr<Gpu>* gpu, std::string*) {
  *gpu = std::make_unique<EmulatedGpu>();
  return 0;
}

}  // namespace bn_cuda
