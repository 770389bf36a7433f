// engine/table.h - bn.engine/1 of this backend, and what an open device is.
#pragma once

#include <memory>
#include <mutex>

#include "model.h"
#include "session.h"

// Made by open(), deleted by close().
struct bn_device {
  bn_device(std::unique_ptr<bn_cuda::Gpu> g, bn_cuda::Options o, const bn_host* h)
      : gpu(std::move(g)), options(std::move(o)), stream(*gpu, options.watchdog), host(h) {}

  std::unique_ptr<bn_cuda::Gpu> gpu;
  const bn_cuda::Options options;
  bn_cuda::Stream stream;
  const bn_host* const host;
  std::mutex mutex;  // of everything that is done with the device: models of one device may be used by several threads
};
struct bn_model {
  bn_device* device;
  std::unique_ptr<bn_cuda::Model> model;
};
struct bn_session {
  bn_device* device;
  std::unique_ptr<bn_cuda::Session> session;
};

namespace bn_cuda {

// What fast numerics declare: relative L2 error of the logits. Measured; README, "Fast numerics".
constexpr float kFastTolerance = 0.1f;
const bn_engine_v1* engine_table(const bn_device& device);

// What every entry answers once the device is lost. code: of the runtime.
bn_status report_lost(bn_error* error);

}  // namespace bn_cuda
