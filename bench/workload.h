// bench/workload.h - what one token costs, counted from the model: bytes that must be read, multiplications that must be made.
//
// Threads pure.
#pragma once

#include <cstdint>

#include "model/best_rows.h"
#include "model/model.h"

namespace bitnet::bench {

struct Workload {
  uint64_t matrix_bytes = 0;       // ternary matrices, 2 bits per weight
  uint64_t head_bytes = 0;         // output head as stored
  uint64_t head_row_bytes = 0;     // one row of it
  uint64_t kv_position_bytes = 0;  // keys and values of one position, all layers, as f32
  uint64_t matrix_macs = 0;        // int8 multiply-accumulates of the ternary matrices
  uint64_t head_macs = 0;          // float ones of the head
};

Workload count_workload(const model::Model& model);

// Bytes of the head that a token reads on average: as stored, or the int8 copy with its scales and coefficients, the rows
// computed exactly, and the stored head where it had to be used instead.
inline double head_bytes_read(const Workload& w, const model::HeadUse& use) {
  const auto tokens = static_cast<double>(use.screened + use.fell_back);
  if (tokens == 0) return static_cast<double>(w.head_bytes);
  const auto extra = static_cast<double>(use.candidates * w.head_row_bytes + use.fell_back * w.head_bytes);
  return static_cast<double>(use.screen_bytes) + extra / tokens;
}

// Bytes that a token at `position` (0 is the first) reads at least: all matrices, the head, the keys and values up to its own.
inline double bytes_at(const Workload& w, const model::HeadUse& use, double position) {
  return static_cast<double>(w.matrix_bytes) + head_bytes_read(w, use) +
         (position + 1) * static_cast<double>(w.kv_position_bytes);
}

}  // namespace bitnet::bench
