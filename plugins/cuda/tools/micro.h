// tools/micro.h - what the files of bitnet-gpu-micro share: one GPU, one stream, medians by events, lines of JSON.
//
// Every section prints what it measures; what cannot be measured here is a line with a reason. A call that fails ends the
// program with exit code 4.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <string>

namespace micro {

struct Card {
  int n_processors = 0, major = 0;
  cudaStream_t stream = nullptr;
};
extern Card card;

// Memory that holds a hash, never zeros, and room for results.
struct Buffers {
  uint32_t* memory;  // hashed
  uint64_t bytes;    // of it
  uint32_t* out;     // 256 bytes
};

void must(cudaError_t code, const char* what);
// Microseconds of one run, the median of `repeat`.
double time_us(const std::function<void()>& run, int repeat = 9);
void print(const std::string& name, double value, const char* unit);
void not_measured(const std::string& name, const std::string& why);

void measure_exchange(const Buffers& b);  // grids that meet, packets of several shapes from all blocks to all, atomics
void measure_bulk(const Buffers& b);      // memory read by bulk copies into shared memory
void measure_library(const Buffers& b);   // int8 products of cuBLASLt, where that library is

}  // namespace micro
