// gpu/faulty_gpu.h - a layer of faults over a GPU: any code at the n-th call, or a device that never answers again.
//
// Script  "N:CODE" - call number N (from 1) and all after it return CODE; for a code that leaves the device well (gpu/errors.h)
// only
//         call N does. "N:hang" - from call N on nothing is done and reached() never says yes. "NAME:N:CODE" counts the calls
//         of that name only: allocate, release, upload, download, copy, fill, launch, begin_graph, end_graph, launch_graph,
//         record, reached. Several rules are separated by commas. release and release_host and release_graph count as calls
//         too.
#pragma once

#include <vector>

#include "gpu.h"

namespace bn_cuda {

struct FaultRule {
  std::string call;  // empty: any
  uint64_t at = 0;
  int code = 0;  // kHung: hang
};
// Throws std::invalid_argument with a sentence.
std::vector<FaultRule> parse_gpu_faults(const std::string& script);

class FaultyGpu final : public Gpu {
 public:
  FaultyGpu(std::unique_ptr<Gpu> inner, std::vector<FaultRule> rules);
  ~FaultyGpu() override;

  // Calls made after one of them had returned a code that loses the device, in this process: must stay 0.
  static uint64_t calls_after_loss();
  uint64_t calls() const { return n_calls_; }

  const DeviceFacts& facts() const override { return inner_->facts(); }
  int memory(uint64_t* free_bytes, uint64_t* total_bytes) override;
  int allocate(void** p, uint64_t bytes) override;
  int release(void* p) override;
  int allocate_host(void** p, void** device_view, uint64_t bytes) override;
  int release_host(void* p) override;
  int upload(void* device, const void* host, uint64_t bytes) override;
  int download(void* host, const void* device, uint64_t bytes) override;
  int copy(void* to, const void* from, uint64_t bytes) override;
  int fill(void* device, uint8_t byte, uint64_t bytes) override;
  int launch(const Kernel& kernel, const Shape& shape, const void* args, bool early) override;
  int begin_graph() override;
  int end_graph(void** graph) override;
  int launch_graph(void* graph) override;
  int release_graph(void* graph) override;
  int record(uint32_t mark) override;
  int reached(uint32_t mark, bool* yes) override;
  int milliseconds(uint32_t from_mark, uint32_t to_mark, float* ms) override;

 private:
  struct Rule : FaultRule {
    uint64_t seen = 0;
  };
  // 0: go on; else the code to return. Hangs are answered by the caller of judge().
  int judge(const char* call);

  std::unique_ptr<Gpu> inner_;
  std::vector<Rule> rules_;
  uint64_t n_calls_ = 0;
  int lost_ = 0;  // this object returned a losing code
  bool hangs_ = false;
};

}  // namespace bn_cuda
