// mock/device.h - what an open mock device is, and the two interfaces it may offer.
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
  bn_device(bool is_faithful, std::vector<int32_t> canned_tokens, std::vector<bn_mock::Rule> rules)
      : faithful(is_faithful), tokens(std::move(canned_tokens)), faults(std::move(rules)) {}

  const bool faithful;
  const std::vector<int32_t> tokens;  // canned: what to say; empty: the prompt
  bn_mock::Faults faults;
  std::atomic<uint64_t> prefills{0};  // prefill steps since open()

  // faithful: the step in progress. A matmul tells how many tokens it has, attention at which position it stands, the head
  // (dense) ends it; so does the first matmul after it was failed.
  std::atomic<uint32_t> step_tokens{1};
  std::atomic<bool> step_failed{false};
  bn_mock::Steps steps;
};

namespace bn_mock {

const bn_kernels_v1* faithful_kernels();  // kernels.cpp
const bn_engine_v1* canned_engine();      // engine.cpp

}  // namespace bn_mock
