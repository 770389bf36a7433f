// gpu/errors.cpp - the codes, sorted by what they leave of the device.
//
// Source: the CUDA 13.0 runtime's header: which errors ask for the process to be started anew. What is not listed there as
// harmless counts as lost.
#include "errors.h"

#include <atomic>

namespace bn_cuda {
namespace {

struct Code {
  int code;
  Trouble trouble;
  bn_status status;
  const char* name;
};

constexpr Code kCodes[] = {
    {0, Trouble::kNone, BN_OK, "Success"},
    {2, Trouble::kMemory, BN_E_NO_MEMORY, "MemoryAllocation"},
    // A launch, a copy or a capture that was refused before it began.
    {1, Trouble::kLaunch, BN_E_INTERNAL, "InvalidValue"},
    {9, Trouble::kLaunch, BN_E_INTERNAL, "InvalidConfiguration"},
    {98, Trouble::kLaunch, BN_E_UNSUPPORTED, "InvalidDeviceFunction"},
    {200, Trouble::kLaunch, BN_E_UNSUPPORTED, "InvalidKernelImage"},
    {209, Trouble::kLaunch, BN_E_UNSUPPORTED, "NoKernelImageForDevice"},
    {218, Trouble::kLaunch, BN_E_UNSUPPORTED, "InvalidPtx"},
    {221, Trouble::kLaunch, BN_E_UNSUPPORTED, "JitCompilerNotFound"},
    {222, Trouble::kLaunch, BN_E_UNSUPPORTED, "UnsupportedPtxVersion"},
    {223, Trouble::kLaunch, BN_E_UNSUPPORTED, "JitCompilationDisabled"},
    {400, Trouble::kLaunch, BN_E_INTERNAL, "InvalidResourceHandle"},
    {701, Trouble::kLaunch, BN_E_INTERNAL, "LaunchOutOfResources"},
    {720, Trouble::kLaunch, BN_E_INTERNAL, "CooperativeLaunchTooLarge"},
    {801, Trouble::kLaunch, BN_E_UNSUPPORTED, "NotSupported"},
    {900, Trouble::kLaunch, BN_E_INTERNAL, "StreamCaptureUnsupported"},
    {901, Trouble::kLaunch, BN_E_INTERNAL, "StreamCaptureInvalidated"},
    {904, Trouble::kLaunch, BN_E_INTERNAL, "StreamCaptureUnjoined"},
    {905, Trouble::kLaunch, BN_E_INTERNAL, "StreamCaptureIsolation"},
    {906, Trouble::kLaunch, BN_E_INTERNAL, "StreamCaptureImplicit"},
    // The rest loses the device. Named are those that happen.
    {46, Trouble::kLost, BN_E_DEVICE_LOST, "DevicesUnavailable"},
    {100, Trouble::kLost, BN_E_DEVICE_LOST, "NoDevice"},
    {101, Trouble::kLost, BN_E_DEVICE_LOST, "InvalidDevice"},
    {214, Trouble::kLost, BN_E_DEVICE_LOST, "ECCUncorrectable"},
    {220, Trouble::kLost, BN_E_DEVICE_LOST, "NvlinkUncorrectable"},
    {226, Trouble::kLost, BN_E_DEVICE_LOST, "Contained"},
    {700, Trouble::kLost, BN_E_DEVICE_LOST, "IllegalAddress"},
    {702, Trouble::kLost, BN_E_DEVICE_LOST, "LaunchTimeout"},
    {709, Trouble::kLost, BN_E_DEVICE_LOST, "ContextIsDestroyed"},
    {710, Trouble::kLost, BN_E_DEVICE_LOST, "Assert"},
    {714, Trouble::kLost, BN_E_DEVICE_LOST, "HardwareStackError"},
    {715, Trouble::kLost, BN_E_DEVICE_LOST, "IllegalInstruction"},
    {716, Trouble::kLost, BN_E_DEVICE_LOST, "MisalignedAddress"},
    {717, Trouble::kLost, BN_E_DEVICE_LOST, "InvalidAddressSpace"},
    {718, Trouble::kLost, BN_E_DEVICE_LOST, "InvalidPc"},
    {719, Trouble::kLost, BN_E_DEVICE_LOST, "LaunchFailure"},
    {721, Trouble::kLost, BN_E_DEVICE_LOST, "TensorMemoryLeak"},
    {810, Trouble::kLost, BN_E_DEVICE_LOST, "MpsClientTerminated"},
    {911, Trouble::kLost, BN_E_DEVICE_LOST, "ExternalDevice"},
    {999, Trouble::kLost, BN_E_DEVICE_LOST, "Unknown"},
    {kHung, Trouble::kLost, BN_E_DEVICE_LOST, "no sign of life"},
};

constexpr Code kOther = {0, Trouble::kLost, BN_E_DEVICE_LOST, "an error without a name"};

const Code& find(int code) {
  for (const Code& c : kCodes) {
    if (c.code == code) return c;
  }
  return kOther;
}

std::atomic<int> first_loss{0};

}  // namespace

Trouble trouble_of(int code) { return find(code).trouble; }
bn_status status_of(int code) { return find(code).status; }
const char* name_of_error(int code) { return find(code).name; }

void check(int code, const char* where) {
  if (code == 0) return;
  if (trouble_of(code) == Trouble::kLost) set_lost(code);
  throw DeviceError(code, where);
}

bool is_lost() { return lost_code() != 0; }
int lost_code() { return first_loss.load(std::memory_order_acquire); }
void set_lost(int code) {
  int none = 0;
  first_loss.compare_exchange_strong(none, code, std::memory_order_acq_rel);
}
void forget_lost_for_tests() { first_loss.store(0, std::memory_order_release); }

}  // namespace bn_cuda
