// engine/weights.h - where every weight of a model lies on the device, and what has to be copied there.
//
// One block of device memory holds all of it. lay_out() places the arrays in a Carver and lists the copies that fill them; with
// a Carver from null it only counts, which is how much memory a model needs.
// Matrices are T2 (device/t2.h). Q, K and V are one matrix, rows after each other; gate and up are one, alternating by 8 rows.
// Families whose projections have input norms of their own keep these apart: they multiply different activations.
#pragma once

#include <vector>

#include "bitnet/engine.h"
#include "memory.h"

namespace bn_cuda {

struct DeviceLinear {
  uint8_t* w;      // T2
  float* scale;    // [rows]
  float* bias;     // [rows] or null
  float* norm_in;  // [cols] or null: the norm of its own input
  uint32_t rows, cols;
  uint32_t y_at;  // column of the output row where its results begin
};

struct DeviceLayer {
  float *attn_norm, *attn_sub_norm, *ffn_norm, *ffn_sub_norm;  // null: none
  float *q_norm, *k_norm, *post_attn_norm, *post_ffn_norm;     // null: none
  std::vector<DeviceLinear> qkv, output, gate_up, down;        // one each, or qkv 3 and gate_up 2
};

struct DeviceTable {  // embedding or head: rows as the file has them
  uint8_t* rows;
  float* row_scales;  // null: none
  uint32_t dtype, n_row_scales;
};

struct Weights {
  DeviceTable token_embd, head;  // head: the same arrays where it is tied, null where there is none
  float* output_norm;
  float *rope_cos, *rope_sin;  // [n_ctx][rope_dim/2]
  std::vector<DeviceLayer> layers;
};

// Bytes to copy as they are.
struct PlainCopy {
  void* to;
  const void* from;
  uint64_t bytes;
};
// One fused matrix to pack.
struct MatrixCopy {
  DeviceLinear to;
  std::vector<uint64_t> tensors, biases;  // of the description, by part; n_tensors: no bias
  bool pairs;                             // gate and up; else rows after each other
  const char* name;
};
struct Copies {
  std::vector<PlainCopy> plain;
  std::vector<MatrixCopy> matrices;
};

// The part and row that row r of a fused matrix comes from. part n_parts: padding.
struct RowSource {
  uint32_t part, row;
};
RowSource row_source(const bn_model_desc& desc, const MatrixCopy& m, uint32_t r);

// desc and plan: checked (bitnet/kit/model_description.hpp). Arrays in `copies` point into desc.
Weights lay_out(const bn_model_desc& desc, const bn_plan& plan, Carver& carver, Copies* copies);

}  // namespace bn_cuda
