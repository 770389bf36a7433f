// mutants/mutants.h - a correct kernels plugin and its mutants: each differs from it by one deliberate defect, chosen by
// name when a device is opened: {"mutant": "NAME"}.
#pragma once

#include <atomic>
#include <cstdint>

#include "bitnet/kernels.h"

// Matrices are packed one trit per byte, rows padded with 0 to a multiple of 16.
struct bn_device {
  bn_kernels_v1 table;              // what get_interface gives
  bool leaks = false;               // close() forgets it
  std::atomic<uint32_t> calls = 0;  // for defects that keep state
  std::atomic<uint32_t> inside = 0;
  int32_t shared = 0;
};

namespace bitnet::mutants {

inline constexpr uint32_t kAlign = 16;
inline uint64_t row_stride(const bn_tensor& w) { return (uint64_t{w.cols} + kAlign - 1) / kAlign * kAlign; }

// One defect: changes the correct table, or the device.
struct Mutant {
  const char* name;
  void (*apply)(bn_device&);
};
extern const Mutant kMatmulMutants[];
extern const Mutant kFormatMutants[];
extern const Mutant kOpMutants[];

bn_kernels_v1 correct_kernels();

}  // namespace bitnet::mutants
