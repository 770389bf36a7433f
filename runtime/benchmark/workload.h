// benchmark/workload.h - what a step costs, counted from the model: bytes that must be read, multiplications that must be made.
//
// The only place that knows it. Who makes a token cheaper (a smaller copy of the head, fewer rows of it) changes it here.
// Threads pure.
#pragma once

#include <cstdint>

#include "model/best_rows.h"
#include "model/model.h"

namespace bitnet::benchmark {

struct Workload {
  uint64_t matrix_bytes = 0;       // ternary matrices as the file has them, 2 bits per weight
  uint64_t head_bytes = 0;         // output head as stored
  uint64_t head_row_bytes = 0;     // one row of it
  uint64_t kv_position_bytes = 0;  // keys and values of one position, all layers
  uint64_t matrix_macs = 0;        // int8 multiply-accumulates of the ternary matrices, per token
  uint64_t head_macs = 0;          // float ones of the head, per row of logits
};

// kv_dtype: BN_DT_F32 or BN_DT_F16.
Workload count_workload(const model::Model& model, uint32_t kv_dtype);

// Bytes and int8 multiply-accumulates.
struct Work {
  double bytes = 0, macs = 0;
};

// Bytes of the head that a step for one token each of n sequences reads on average: as stored, or the int8 copy with its scales
// and coefficients once, for each the rows computed exactly, and the stored head where it had to be used instead.
double head_bytes_read(const Workload& w, const model::HeadUse& use, uint32_t n_sequences = 1);

// One step that sends n tokens through the layers, the first at `position` (0 is the first of the sequence). Read are, once,
// all matrices and the keys and values of all positions up to the last; and head_bytes of the head. With several sequences each
// of them sends n tokens and has keys and values of its own; the matrices are read for all.
Work step_work(const Workload& w, uint64_t position, uint64_t n, double head_bytes, uint64_t n_sequences = 1);

}  // namespace bitnet::benchmark
