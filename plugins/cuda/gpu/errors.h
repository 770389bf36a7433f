// gpu/errors.h - what a code of the CUDA runtime means for the engine.
#pragma once

#include <exception>

#include "bitnet/plugin.h"

namespace bn_cuda {

enum class Trouble {
  kNone,
  kMemory,  // the device is well: try smaller
  kLaunch,  // this launch or capture is not possible here, the device is well
  kLost,    // every other code, known or not: this process must not touch the device again
};
// Of a code that came after the device was opened.
Trouble trouble_of(int code);
bn_status status_of(int code);
// The runtime's name, without the runtime: "IllegalAddress"; "an error without a name" for those not in the table.
const char* name_of_error(int code);

// A failed call. Thrown inside the plugin only.
struct DeviceError : std::exception {
  DeviceError(int c, const char* call) : code(c), where(call) {}
  const char* what() const noexcept override { return where; }
  int code;
  const char* where;  // what was being done
};

// Throws DeviceError unless code is 0; a lost device is remembered for the whole process first.
void check(int code, const char* where);

// One flag for the process, as the CUDA runtime allows no other way. Any thread.
bool is_lost();
int lost_code();           // 0: not lost
void set_lost(int code);   // the first code stays
constexpr int kHung = -1;  // the code of a device that gave no sign of life
void forget_lost_for_tests();

}  // namespace bn_cuda
