// bitnet/kit/call_watch.hpp - the services of bn_call: stop when asked to, show life.
#pragma once

#include <chrono>

#include "bitnet/engine.h"
#include "bitnet/kit/plugin.hpp"

namespace bn::kit {

// The services of bn_call during one call. poll() often: it shows life, and says when to stop.
class CallWatch {
 public:
  explicit CallWatch(const bn_call* call) : call_(call) {}

  bn_status poll(bn_error* error) {
    if (call_ == nullptr) return BN_OK;
    if (call_->heartbeat != nullptr) *call_->heartbeat = *call_->heartbeat + 1;
    if (call_->cancel != nullptr && *call_->cancel != 0) return set_error(error, BN_E_CANCELLED, "cancelled");
    if (call_->budget_ns != 0 && std::chrono::steady_clock::now() - begin_ >= std::chrono::nanoseconds(call_->budget_ns)) {
      return set_error(error, BN_E_TIMEOUT, "the time budget of the call is used up");
    }
    return BN_OK;
  }

 private:
  const bn_call* call_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace bn::kit
