// gpu/errors.h - what a code of the CUDA runtime means for the engine.
#pragma once

#include <atomic>
#include <exception>

#include "bitnet/plugin.h"

namespace bn_cuda {

enum class Trouble { kNone, kMemory, kLaunch, kNoDevice, kLost };
// kMemory: try smaller. kLaunch: this launch or capture is not possible, the device is well. kNoDevice: there is none, or no driver.
// kLost: every other code, known or not: the process must not touch the device again.
Trouble trouble_of(int code);
bn_status status_of(int code);
const char* name_of_error(int code);  // "cudaErrorIllegalAddress (700)"-like words without the runtime library

// A failed call. Thrown inside the plugin only.
struct DeviceError : std::exception {
  DeviceError(int c, const char* call) : code(c), where(call) {}
  const char* what() const noexcept override { return where; }
  int code;
  const char* where;
};
// Throws DeviceError; remembers a lost device for the whole process first.
void check(int code, const char* where);
bool is_lost();               // a call of this process said so, or the watchdog gave up
void set_lost(int code);      // the first code stays
int lost_code();

}  // namespace bn_cuda
