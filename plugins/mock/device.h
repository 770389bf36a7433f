// mock/device.h - what an open mock device is, and the interfaces it may offer.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "bitnet/engine.h"
#include "bitnet/kernels.h"
#include "faults.h"

// Made by open(), deleted by close().
struct bn_device {
  bn_device(bn_mock::Mode m, std::vector<int32_t> canned_tokens, std::vector<bn_mock::Rule> rules)
      : mode(m), tokens(std::move(canned_tokens)), faults(std::move(rules)) {}
  ~bn_device() {
    if (close_inner != nullptr) close_inner(inner_device);
  }
  bn_device(const bn_device&) = delete;
  bn_device& operator=(const bn_device&) = delete;

  const bn_mock::Mode mode;
  const std::vector<int32_t> tokens;  // canned: what to say; empty: the prompt
  bn_mock::Faults faults;
  std::atomic<uint64_t> prefills{0};  // prefill steps since open()

  // faithful: the ops behind the faults, complete, and their device: the kit's, or those of a wrapped plugin.
  bn_kernels_v1 inner{};
  bn_device* inner_device = nullptr;
  void (*close_inner)(bn_device*) = nullptr;
  bn_kernels_v1 kernels{};  // the table that is offered

  // kernels tier: the step in progress. A matmul tells how many tokens it has, attention at which position it stands, the
  // head (dense) ends it; so does the first matmul after it was failed.
  std::atomic<uint32_t> step_tokens{1};
  std::atomic<bool> step_failed{false};
  bn_mock::Steps steps;
};

namespace bn_mock {

// Fills kernels with functions that put the faults in front of `inner`. kernels.cpp
void make_faithful_kernels(bn_device&);
// Makes the ops of the plugin in this file the inner ones; options: JSON for its open(), or null. Throws
// std::invalid_argument with the reason why that is not possible. wrap.cpp
void wrap_plugin(bn_device&, const bn_host*, const char* path, const char* options);

const bn_engine_v1* canned_engine();    // engine.cpp
const bn_engine_v1* faithful_engine();  // engine.cpp

}  // namespace bn_mock
