// bench/workload.h - what one token costs, counted from the model: bytes that must be read, multiplications that must be made.
//
// Threads pure.
#pragma once

#include <cstdint>

#include "model/model.h"

namespace bitnet::bench {

struct Workload {
  uint64_t matrix_bytes = 0;       // ternary matrices, 2 bits per weight
  uint64_t head_bytes = 0;         // output head as stored
  uint64_t kv_position_bytes = 0;  // keys and values of one position, all layers, as f32
  uint64_t matrix_macs = 0;        // int8 multiply-accumulates of the ternary matrices
  uint64_t head_macs = 0;          // float ones of the head
};

Workload count_workload(const model::Model& model);

// Bytes that a token at `position` (0 is the first) reads at least: all matrices, the head, the keys and values up to its own.
inline double bytes_at(const Workload& w, double position) {
  return static_cast<double>(w.matrix_bytes + w.head_bytes) + (position + 1) * static_cast<double>(w.kv_position_bytes);
}

}  // namespace bitnet::bench
